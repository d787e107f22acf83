//! One direction's means: reading, writing, and who makes whom wait.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use crate::buffers::{Buffers, Reads, Size};
use crate::outgoing::Outgoing;
use crate::serve::progress::{Progress, Side};
use crate::tls::Transport;

/// One end of a tunnel: bytes both ways.
pub(in crate::serve) trait Tube: Reads {
    /// Writes some of `out`, which must not be empty.
    async fn write_some(&self, out: &mut Outgoing) -> io::Result<()>;

    /// Holds nothing back of what was written.
    async fn flush(&self) -> io::Result<()>;

    /// Ends the sending direction.
    async fn shutdown(&self) -> io::Result<()>;
}

impl Tube for Transport {
    async fn write_some(&self, out: &mut Outgoing) -> io::Result<()> {
        Self::write_some(self, out).await
    }

    async fn flush(&self) -> io::Result<()> {
        Self::flush(self).await
    }

    async fn shutdown(&self) -> io::Result<()> {
        Self::shutdown(self).await
    }
}

/// One direction of a tunnel.
pub(super) struct Way<'a, F, T> {
    /// Where it comes from.
    pub(super) from: &'a F,
    /// What has been received there and not yet passed on.
    pub(super) buffer: &'a mut BytesMut,
    /// Where its memory comes from.
    pub(super) buffers: &'a Buffers,
    /// Where it goes.
    pub(super) to: &'a T,
    /// The tunnel's silence.
    pub(super) progress: &'a Progress<'a>,
    /// Its state in this direction.
    pub(super) side: &'a Side,
}

/// Why a direction broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum WayError {
    #[error("reading: {0}")]
    Read(io::Error),
    #[error("writing: {0}")]
    Write(io::Error),
}

/// What came of waiting for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Bytes,
    End,
    /// Something else is to be done first.
    Interrupted,
}

impl<F: Tube, T: Tube> Way<'_, F, T> {
    /// Passes bytes on.
    pub(super) async fn pass(&self, bytes: Bytes) -> Result<(), WayError> {
        let moved = self.side.moved.get() + bytes.len() as u64;
        self.side.moved.set(moved);
        let mut out = Outgoing::default();
        out.push(bytes);
        let written = self.watched(async {
            while !out.is_empty() {
                self.to.write_some(&mut out).await?;
                self.progress.touch();
            }
            Ok(())
        });
        written.await.map_err(WayError::Write)
    }

    /// Writes and flushes a frame of the gateway's own. It is no sign of life: an idle tunnel
    /// with pings is idle all the same.
    pub(super) async fn insert(&self, frame: Bytes) -> Result<(), WayError> {
        let mut out = Outgoing::default();
        out.push(frame);
        let written = self.watched(async {
            while !out.is_empty() {
                self.to.write_some(&mut out).await?;
            }
            self.to.flush().await
        });
        written.await.map_err(WayError::Write)
    }

    /// Hands everything that was passed on to the kernel.
    pub(super) async fn flush(&self) -> Result<(), WayError> {
        self.watched(self.to.flush()).await.map_err(WayError::Write)
    }

    /// Ends the direction.
    pub(super) async fn end(&self) -> Result<(), WayError> {
        self.to.shutdown().await.map_err(WayError::Write)
    }

    /// Reads more, unless there is something else to do.
    pub(super) async fn read(&mut self, other: impl Fn() -> bool) -> Result<More, WayError> {
        let read = self
            .buffers
            .read(self.from, self.buffer, READ_MIN, Size::Large);
        let mut read = pin!(read);
        let read = poll_fn(|cx| match other() {
            true => Poll::Ready(None),
            false => read.as_mut().poll(cx).map(Some),
        });
        match read.await {
            None => Ok(More::Interrupted),
            Some(Ok(0)) => Ok(More::End),
            Some(Ok(_)) => Ok(More::Bytes),
            Some(Err(error)) => Err(WayError::Read(error)),
        }
    }

    /// Notes while the receiver makes us wait.
    async fn watched(&self, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            self.progress.block(self.side, polled.is_pending());
            polled
        })
        .await
    }
}

/// A read is worth a system call from this much room on.
const READ_MIN: usize = 8 * 1024;
