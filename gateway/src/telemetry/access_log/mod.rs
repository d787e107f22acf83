//! The access log: one JSON object a line, one line a request (`docs/access-log.md`).

mod entry;
mod json;
mod redact;
mod writer;

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    queue: Option<Queue>,
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

    fn new(queue: Option<Queue>, cells: Arc<Cells>) -> Self {
        Self {
            buffer: RefCell::default(),
            armed: Cell::new(false),
            cells,
            queue,
        }
    }

    fn ship(&self, buffer: &mut Vec<u8>) {
        let Some(queue) = &self.queue else { return };
        let batch = if buffer.len() < BATCH {
            // What waits shall take no more memory than it has bytes.
            let batch = buffer.to_vec();
            buffer.clear();
            batch
        } else {
            // Room for the line that goes beyond.
            mem::replace(buffer, Vec::with_capacity(BATCH + BATCH / 8))
        };
        if let Err(batch) = queue.ship(batch) {
            self.cells.access_log_dropped(lines(&batch));
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The way to the writer's thread, as long as the bytes that wait there, and not their number of
/// batches: those of a worker with little to do are small.
#[derive(Clone, Debug)]
struct Queue {
    messages: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Ships a batch, or gives it back if there is no room.
    fn ship(&self, batch: Vec<u8>) -> Result<(), Vec<u8>> {
        let length = batch.len();
        if self.waiting.fetch_add(length, Ordering::Relaxed) + length > MOST_WAITING {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            return Err(batch);
        }
        match self.messages.try_send(Message::Batch(batch)) {
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                self.waiting.fetch_sub(length, Ordering::Relaxed);
                match message {
                    Message::Batch(batch) => Err(batch),
                    Message::Wake => Ok(()),
                }
            }
            Ok(()) => Ok(()),
        }
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
/// which costs a worker on the same CPU two switches.
const BATCH: usize = 64 * 1024;

/// The most bytes that wait for the writer.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// The most bytes that wait, and the batch that is written.
pub(crate) const MEMORY: usize = MOST_WAITING + MOST_WAITING / 8 + BATCH + BATCH / 8;

/// The most batches that wait: those of 64 workers, each with little to do, for more than a second.
const QUEUE: usize = 1024;

#[cfg(test)]
mod tests;
