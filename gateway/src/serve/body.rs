//! Moving one body: decode, frame anew, write, flush, read on. Back-pressure is the order of the
//! steps: nothing more is read before what was read is written.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use wire::h1::{ChunkError, Chunked};

use super::leg::{Sink, Source};
use super::progress::{Progress, Side};

/// One direction of an exchange.
pub(super) struct Flow<'a, S, K> {
    /// Where the body comes from.
    pub(super) from: S,
    /// Where it goes, with what goes before it: a head.
    pub(super) to: K,
    /// The most payload that is let through.
    pub(super) limit: Option<u64>,
    /// The exchange.
    pub(super) progress: &'a Progress<'a>,
    /// Its state in this direction.
    pub(super) side: &'a Side,
}

/// Why a body did not go through.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlowError {
    /// The chunked coding is broken.
    #[error("{0}")]
    Bad(#[from] ChunkError),
    /// The sender ended too early.
    #[error("the client went away before its request was whole")]
    Ended,
    /// A rule of HTTP/3 is broken.
    #[error("{0}")]
    Malformed(wire::h3::Error),
    /// Reading failed.
    #[error("reading: {0}")]
    Read(io::Error),
    /// More payload than is let through.
    #[error("the body is too large")]
    TooLarge,
    /// Writing failed.
    #[error("writing: {0}")]
    Write(io::Error),
}

impl<S: Source, K: Sink> Flow<'_, S, K> {
    /// Writes what is queued already (a head), then the whole body.
    pub(super) async fn run(&mut self) -> Result<(), FlowError> {
        // What is written may be held back until it is flushed; nothing may be held back while we
        // wait for more.
        let mut flushed = true;
        loop {
            let mut ended = self.decode()?;
            // One write for all that has come, and not one for each TLS record.
            while !ended && !self.to.is_full() && self.from.take_received() {
                ended = self.decode()?;
            }
            let more_to_decode = self.to.is_full() && !ended;
            if !self.to.is_empty() {
                flushed = false;
                self.write().await?;
            }
            if more_to_decode {
                continue;
            }
            // An end may be nothing to write, and has to be said all the same.
            if !flushed || ended {
                self.flush().await?;
                flushed = true;
            }
            if ended {
                return Ok(());
            }
            self.read().await?;
        }
    }

    /// Writes all that is queued.
    pub(super) async fn write(&mut self) -> Result<(), FlowError> {
        let (to, progress, side) = (&mut self.to, self.progress, self.side);
        let written = watched(progress, side, async {
            while !to.is_empty() {
                to.write_some().await?;
                progress.accept(side);
            }
            Ok(())
        });
        written.await.map_err(FlowError::Write)
    }

    async fn flush(&mut self) -> Result<(), FlowError> {
        watched(self.progress, self.side, self.to.flush())
            .await
            .map_err(FlowError::Write)
    }

    /// Queues what was received; true at the body's end.
    fn decode(&mut self) -> Result<bool, FlowError> {
        while !self.to.is_full() {
            match self.from.take()? {
                Chunked::Data(data) => {
                    let moved = self.side.moved.get() + data.len() as u64;
                    if self.limit.is_some_and(|limit| moved > limit) {
                        return Err(FlowError::TooLarge);
                    }
                    self.side.moved.set(moved);
                    self.to.push(data);
                }
                Chunked::End => {
                    self.to.end();
                    return Ok(true);
                }
                Chunked::NeedMore => break,
            }
        }
        Ok(false)
    }

    async fn read(&mut self) -> Result<(), FlowError> {
        let more = self.from.read().await?;
        self.progress.touch();
        more.then_some(()).ok_or(FlowError::Ended)
    }
}

/// Notes while the receiver makes us wait.
pub(super) async fn watched<T>(
    progress: &Progress<'_>,
    side: &Side,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        progress.block(side, polled.is_pending());
        polled
    })
    .await
}
