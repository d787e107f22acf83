//! The thread that writes the access log.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{AccessLog, Message, QUEUE, Queue, lines};
use crate::telemetry::{Cells, Telemetry};

/// The process's end of the access log.
#[derive(Debug)]
pub(crate) struct AccessLogWriter {
    /// `None`: the log is off.
    running: Option<Running>,
}

impl AccessLogWriter {
    /// Opens the log and starts its thread.
    ///
    /// A file is appended to, and created with mode 0640: lines hold names of users.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or there is no thread for it.
    pub(crate) fn start(target: &config::AccessLog, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        let (file, path) = match target {
            config::AccessLog::File(path) => (open(path)?, Some(path.clone())),
            config::AccessLog::Off => return Ok(Self { running: None }),
            // Not through `io::stdout`, whose buffer would cut batches into lines.
            config::AccessLog::Stdout => (io::stdout().as_fd().try_clone_to_owned()?.into(), None),
        };
        Self::spawn(file, path, telemetry)
    }

    /// A worker's end. Lines that find no room are counted in `cells`.
    pub(crate) fn worker(&self, cells: Arc<Cells>) -> AccessLog {
        AccessLog::new(
            self.running.as_ref().map(|running| running.queue.clone()),
            cells,
        )
    }

    /// Has the file opened anew, before anything else is written: for log rotation. Never waits.
    /// If that fails, the log goes on in the old file, with a warning.
    pub(crate) fn reopen(&self) {
        if let Some(running) = &self.running {
            running.flags.reopen.store(true, Ordering::Release);
            running.wake();
        }
    }

    /// Writes what was shipped, and ends the thread. Workers must have dropped or flushed their
    /// ends before; what they ship later is dropped and counted.
    ///
    /// # Errors
    ///
    /// `TimedOut` if whoever reads the log does not take it within `limit`.
    pub(crate) fn shutdown(self, limit: Duration) -> io::Result<()> {
        let Some(running) = self.running else {
            return Ok(());
        };
        running.flags.stop.store(true, Ordering::Release);
        running.wake();
        match running.ended.recv_timeout(limit) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Disconnected) => (),
            Err(RecvTimeoutError::Timeout) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the access log is blocked",
                ));
            }
        }
        running
            .thread
            .join()
            .map_err(|_panic| io::Error::other("the access log's thread panicked"))
    }

    fn spawn(file: File, path: Option<PathBuf>, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        let (sender, messages) = mpsc::sync_channel(QUEUE);
        let queue = Queue {
            messages: sender,
            waiting: Arc::default(),
        };
        let (alive, ended) = mpsc::channel();
        let flags = Arc::new(Flags::default());
        let writer = Writer {
            output: Output { file, torn: false },
            path,
            flags: Arc::clone(&flags),
            waiting: Arc::clone(&queue.waiting),
            telemetry,
            warned: None,
        };
        let thread = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                writer.run(&messages);
                drop::<mpsc::Sender<Infallible>>(alive);
            })?;
        Ok(Self {
            running: Some(Running {
                queue,
                flags,
                ended,
                thread,
            }),
        })
    }
}

/// A log that is not off.
#[derive(Debug)]
struct Running {
    queue: Queue,
    flags: Arc<Flags>,
    /// Disconnected when the thread ends.
    ended: Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Has the thread look at its flags.
    fn wake(&self) {
        // A full queue wakes it as well; and if it has ended, nobody is left to be woken.
        let _full_or_ended = self.queue.messages.try_send(Message::Wake);
    }
}

/// Orders that must reach the thread even when its queue is full.
#[derive(Debug, Default)]
struct Flags {
    reopen: AtomicBool,
    stop: AtomicBool,
}

/// The thread's state.
struct Writer {
    output: Output<File>,
    /// `None`: standard output.
    path: Option<PathBuf>,
    flags: Arc<Flags>,
    /// How many bytes wait; also the workers'.
    waiting: Arc<AtomicUsize>,
    telemetry: Arc<Telemetry>,
    /// When the last warning was given.
    warned: Option<Instant>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.handle(message);
            if self.flags.stop.load(Ordering::Acquire) {
                while let Ok(message) = messages.try_recv() {
                    self.handle(message);
                }
                break;
            }
        }
    }

    fn handle(&mut self, message: Message) {
        if self.flags.reopen.swap(false, Ordering::AcqRel) {
            self.reopen();
        }
        let Message::Batch(batch) = message else {
            return;
        };
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        if let Err((error, lost)) = self.output.write(&batch) {
            self.telemetry.access_log_lost(lost);
            self.warn("cannot write the access log; lines are lost", &error);
        }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => self.output.file = file,
            Err(error) => self.warn("cannot reopen the access log; the old file is kept", &error),
        }
    }

    /// Warns once a minute at most; the counter tells the rest.
    fn warn(&mut self, message: &str, error: &io::Error) {
        let now = Instant::now();
        if self.may_warn(now) {
            self.warned = Some(now);
            tracing::warn!(%error, path = ?self.path, "{message}");
        }
    }

    fn may_warn(&self, now: Instant) -> bool {
        self.warned
            .is_none_or(|warned| now.duration_since(warned) >= WARN_INTERVAL)
    }
}

/// Where lines go.
struct Output<W> {
    file: W,
    /// Whether the last write ended within a line.
    torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes whole lines; on failure also tells how many were lost. A line that was cut short is
    /// ended before the next one, so that it spoils no other.
    fn write(&mut self, batch: &[u8]) -> Result<(), (io::Error, u64)> {
        if self.torn {
            self.file
                .write_all(b"\n")
                .map_err(|error| (error, lines(batch)))?;
            self.torn = false;
        }
        let mut rest = batch;
        while !rest.is_empty() {
            let error = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    let (done, left) = rest.split_at_checked(written).unwrap_or((rest, b""));
                    self.torn = !done.ends_with(b"\n");
                    rest = left;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err((error, lines(rest)));
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

/// Between two warnings.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
