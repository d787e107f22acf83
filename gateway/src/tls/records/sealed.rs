//! Sealed bytes on their way to the kernel.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use record::{OVERHEAD, room_for};
use tokio::io::AsyncWrite;

/// What is sealed and not yet written, in memory that is the thread's while there is nothing:
/// most writes are taken whole, at once.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// Initialised to its end.
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Sealed {
    /// Appends what `seal` puts into `room` bytes: [`RECORDS`] if nothing waits, and [`ALERT`] once
    /// behind them.
    pub(super) fn append<E>(
        &mut self,
        room: usize,
        seal: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        if self.memory.is_empty() {
            self.memory = SPARE.take();
        }
        self.memory.resize(KEPT, 0);
        let room = self.memory.get_mut(self.end..self.end + room);
        let room = room.unwrap_or_default();
        self.end += seal(room)?;
        Ok(())
    }

    /// Writes all.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut to: impl AsyncWrite + Unpin,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.memory.get(self.start..self.end)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut to).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.start += written,
            }
        }
        (self.start, self.end) = (0, 0);
        if !self.memory.is_empty() {
            SPARE.set(std::mem::take(&mut self.memory));
        }
        Poll::Ready(Ok(()))
    }
}

/// Room for full records in one write: 64 KiB of payload, as much as one read takes.
pub(super) const RECORDS: usize = room_for(4);

/// Room for an alert.
pub(super) const ALERT: usize = 2 + OVERHEAD;

/// Bytes that a thread keeps.
pub(crate) const KEPT: usize = RECORDS + ALERT;

thread_local! {
    /// One connection's after the other.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
