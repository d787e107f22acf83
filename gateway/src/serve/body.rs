//! Moving one body: decode, frame anew, write, flush, read on. Back-pressure is the order of the
//! steps: nothing more is read before what was read is written.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use wire::h1::{AnswerBody, Body, ChunkError, Chunked, ChunkedDecoder};

use super::progress::{Progress, Side};
use crate::buffers::{Buffers, Size};
use crate::outgoing::Outgoing;
use crate::tls::Transport;

/// One direction of an exchange.
pub(super) struct Flow<'a> {
    /// Where the body comes from.
    pub(super) from: &'a Transport,
    /// What has been received there and not yet decoded.
    pub(super) buffer: &'a mut BytesMut,
    /// Where its memory comes from.
    pub(super) buffers: &'a Buffers,
    /// How it is framed there.
    pub(super) decoder: Decoder,
    /// Where it goes.
    pub(super) to: &'a Transport,
    /// Whether it is framed as chunks there; else its bytes are written as they are.
    pub(super) chunked: bool,
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

impl Flow<'_> {
    /// Writes what `out` already holds (a head), then the whole body.
    pub(super) async fn run(mut self, mut out: Outgoing) -> Result<(), FlowError> {
        // A transport may take bytes and hold them back until it is flushed; nothing may be held
        // back while we wait for more.
        let mut flushed = true;
        loop {
            let mut ended = self.decode(&mut out)?;
            // One write for all that has come, and not one for each TLS record.
            while !ended && !out.is_full() && self.from.take_received(self.buffer) {
                ended = self.decode(&mut out)?;
            }
            let more_to_decode = out.is_full() && !ended;
            if !out.is_empty() {
                flushed = false;
                self.write(&mut out).await?;
            }
            if more_to_decode {
                continue;
            }
            if !flushed {
                self.flush().await?;
                flushed = true;
            }
            if ended {
                return Ok(());
            }
            if !self.read().await? {
                if !matches!(self.decoder, Decoder::UntilClose) {
                    return Err(FlowError::Ended);
                }
                self.decoder = Decoder::Done;
            }
        }
    }

    /// Writes all of `out`.
    pub(super) async fn write(&self, out: &mut Outgoing) -> Result<(), FlowError> {
        let written = self.watched(async {
            while !out.is_empty() {
                self.to.write_some(out).await?;
                self.progress.accept(self.side);
            }
            Ok(())
        });
        written.await.map_err(FlowError::Write)
    }

    async fn flush(&self) -> Result<(), FlowError> {
        self.watched(self.to.flush())
            .await
            .map_err(FlowError::Write)
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

    /// Moves what the buffer holds to `out`; true at the body's end.
    fn decode(&mut self, out: &mut Outgoing) -> Result<bool, FlowError> {
        while !out.is_full() {
            match self.decoder.take(self.buffer)? {
                Chunked::Data(data) => {
                    let moved = self.side.moved.get() + data.len() as u64;
                    if self.limit.is_some_and(|limit| moved > limit) {
                        return Err(FlowError::TooLarge);
                    }
                    self.side.moved.set(moved);
                    if self.chunked {
                        out.push_chunk(data);
                    } else {
                        out.push(data);
                    }
                }
                Chunked::End => {
                    if self.chunked {
                        out.push_last_chunk();
                    }
                    return Ok(true);
                }
                Chunked::NeedMore => break,
            }
        }
        Ok(false)
    }

    /// Reads more; false at the end of the stream.
    async fn read(&mut self) -> Result<bool, FlowError> {
        let read = self
            .buffers
            .read(self.from, self.buffer, READ_MIN, Size::Large);
        let count = read.await.map_err(FlowError::Read)?;
        self.progress.touch();
        Ok(count > 0)
    }
}

/// How a body is framed where it comes from.
#[derive(Debug)]
pub(super) enum Decoder {
    /// Chunks.
    Chunked(ChunkedDecoder),
    /// Nothing is left.
    Done,
    /// So many bytes are left.
    Length(u64),
    /// Until the stream ends.
    UntilClose,
}

impl Decoder {
    fn take(&mut self, buffer: &mut BytesMut) -> Result<Chunked, ChunkError> {
        match self {
            Self::Chunked(decoder) => decoder.decode(buffer),
            Self::Done => Ok(Chunked::End),
            Self::Length(left) => Ok(match take_up_to(buffer, *left) {
                _ if *left == 0 => Chunked::End,
                Some(data) => {
                    *left -= data.len() as u64;
                    Chunked::Data(data)
                }
                None => Chunked::NeedMore,
            }),
            Self::UntilClose => Ok(match take_up_to(buffer, u64::MAX) {
                Some(data) => Chunked::Data(data),
                None => Chunked::NeedMore,
            }),
        }
    }
}

impl From<Body> for Decoder {
    fn from(body: Body) -> Self {
        match body {
            Body::Chunked => Self::Chunked(ChunkedDecoder::default()),
            Body::Empty | Body::Zero => Self::Done,
            Body::Length(length) => Self::Length(length),
        }
    }
}

impl From<AnswerBody> for Decoder {
    fn from(body: AnswerBody) -> Self {
        match body {
            AnswerBody::Chunked => Self::Chunked(ChunkedDecoder::default()),
            AnswerBody::Empty => Self::Done,
            AnswerBody::Length(length) => Self::Length(length),
            AnswerBody::UntilClose => Self::UntilClose,
        }
    }
}

fn take_up_to(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let count = usize::try_from(most)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    (count > 0).then(|| buffer.split_to(count).freeze())
}

/// A read is worth a system call from this much room on.
const READ_MIN: usize = 8 * 1024;
