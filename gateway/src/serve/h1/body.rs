//! Bodies on HTTP/1.1 connections: those of its clients, and of all back-ends.

use std::io;

use bytes::{Bytes, BytesMut};
use wire::h1::{AnswerBody, Body, ChunkError, Chunked, ChunkedDecoder};

use crate::buffers::{Buffers, Size};
use crate::outgoing::Outgoing;
use crate::serve::body::FlowError;
use crate::serve::leg::{Sink, Source};
use crate::tls::Transport;

/// A body that is received.
pub(in crate::serve) struct Received<'a> {
    /// Where it comes from.
    pub(in crate::serve) from: &'a Transport,
    /// What has been received there and not yet decoded.
    pub(in crate::serve) buffer: &'a mut BytesMut,
    /// Where its memory comes from.
    pub(in crate::serve) buffers: &'a Buffers,
    /// How it is framed.
    pub(in crate::serve) decoder: Decoder,
}

impl Source for Received<'_> {
    fn take(&mut self) -> Result<Chunked, FlowError> {
        Ok(self.decoder.take(self.buffer)?)
    }

    fn take_received(&mut self) -> bool {
        self.from.take_received(self.buffer)
    }

    async fn read(&mut self) -> Result<bool, FlowError> {
        let read = self
            .buffers
            .read(self.from, self.buffer, READ_MIN, Size::Large);
        if read.await.map_err(FlowError::Read)? > 0 {
            return Ok(true);
        }
        let whole = matches!(self.decoder, Decoder::UntilClose);
        if whole {
            self.decoder = Decoder::Done;
        }
        Ok(whole)
    }
}

/// A message that is sent.
pub(in crate::serve) struct Sent<'a> {
    /// What is queued.
    pub(in crate::serve) out: Outgoing,
    /// Where it goes.
    pub(in crate::serve) to: &'a Transport,
    /// Whether its body is framed as chunks; else its bytes are written as they are.
    pub(in crate::serve) chunked: bool,
}

impl Sink for Sent<'_> {
    fn push(&mut self, data: Bytes) {
        if self.chunked {
            self.out.push_chunk(data);
        } else {
            self.out.push(data);
        }
    }

    fn end(&mut self) {
        if self.chunked {
            self.out.push_last_chunk();
        }
    }

    fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    async fn write_some(&mut self) -> io::Result<()> {
        self.to.write_some(&mut self.out).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.to.flush().await
    }
}

/// How a body is framed.
#[derive(Debug)]
pub(in crate::serve) enum Decoder {
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
