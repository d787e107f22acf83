//! The access log: one JSON object a line, one line a request (`docs/access-log.md`).

mod entry;
mod json;
mod redact;
mod writer;

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::Cells;

pub(crate) use entry::Entry;
pub(crate) use writer::AccessLogWriter;

/// A worker's end of the access log: collects lines and ships them in batches, never waiting.
///
/// Dropping it ships what is left.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Whole lines that are not shipped yet.
    buffer: RefCell<Vec<u8>>,
    /// Whether the caller has been told to flush and has not done so yet.
    armed: Cell<bool>,
    cells: Arc<Cells>,
    /// `None`: the log is off.
    queue: Option<SyncSender<Message>>,
}

impl AccessLog {
    /// Adds a line.
    ///
    /// `true` asks the caller to call [`AccessLog::flush`] within 100 ms; it is not asked again
    /// until it does.
    #[must_use = "someone must call flush within 100 ms"]
    pub(crate) fn line(&self, entry: &Entry<'_>) -> bool {
        if self.queue.is_none() {
            return false;
        }
        let mut buffer = self.buffer.borrow_mut();
        entry.write(&mut buffer);
        if buffer.len() >= BATCH {
            self.ship(&mut buffer);
            return false;
        }
        !self.armed.replace(true)
    }

    /// Ships what is collected. Never waits: what finds no room in the queue is dropped and counted.
    pub(crate) fn flush(&self) {
        self.armed.set(false);
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.is_empty() {
            self.ship(&mut buffer);
        }
    }

    fn new(queue: Option<SyncSender<Message>>, cells: Arc<Cells>) -> Self {
        Self {
            buffer: RefCell::default(),
            armed: Cell::new(false),
            cells,
            queue,
        }
    }

    fn ship(&self, buffer: &mut Vec<u8>) {
        let Some(queue) = &self.queue else { return };
        // Room for the line that goes beyond.
        let batch = mem::replace(buffer, Vec::with_capacity(BATCH + BATCH / 8));
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            queue.try_send(Message::Batch(batch))
            && let Message::Batch(batch) = message
        {
            self.cells.access_log_dropped(lines(&batch));
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What goes to the writer's thread.
#[derive(Debug)]
enum Message {
    /// Whole lines.
    Batch(Vec<u8>),
    /// Look at the flags.
    Wake,
}

/// The number of lines in a batch.
fn lines(batch: &[u8]) -> u64 {
    batch.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A batch is shipped when it reaches so many bytes: few wake-ups of the writer under load, each of
/// which costs a worker on the same CPU two switches, and [`QUEUE`] batches stay small.
const BATCH: usize = 64 * 1024;

/// The most bytes that wait, and the one that is written.
pub(crate) const MEMORY: usize = (QUEUE + 1) * (BATCH + BATCH / 8);

/// So many batches wait for the writer at most: about 4 MiB.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests;
