//! Answers to an HTTP/3 client: their heads, and how their bodies are framed.

use std::cell::Cell;
use std::io;

use bytes::BytesMut;
use policy::{KeptAnswer, OwnFields};
use wire::h1::{Answer, AnswerBody, Request};
use wire::h3::{HeadWriter, push_data_header};
use wire::text::Decimal;
use wire::{Method, Name};

use super::writer::{Queue, Sent, Writer};
use crate::quic::COPIED;
use crate::serve::leg::{Download, TooLarge};

/// A client's answer.
pub(in crate::serve) struct Down<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) request: &'a Request,
    /// Bytes that QUIC took, with framing.
    pub(super) taken: &'a Cell<u64>,
}

impl<'a> Download for Down<'a> {
    type Body<'s>
        = Sent<'s>
    where
        Self: 's;

    const ANNOUNCES: bool = false;
    const OPENS_BY_SUCCESS: bool = true;
    const TELLS: bool = true;

    fn gone(&self) -> impl Future<Output = ()> + use<'a> {
        self.writer.gone()
    }

    async fn interim(&mut self, answer: &Answer, kept: &KeptAnswer) -> io::Result<()> {
        let mut bytes = BytesMut::with_capacity(HEAD_CAPACITY);
        let mut head = HeadWriter::answer(&mut bytes, answer.head.status());
        push_kept(&mut head, answer, kept);
        if head.finish() > self.writer.max_section() {
            // The client can do without: the final answer says all (RFC 9110 §15.2).
            return Ok(());
        }
        self.write(bytes).await
    }

    /// An upgrade is answered by 200 (RFC 9220 §3, RFC 8441 §5). `Sec-WebSocket-Accept` means nothing
    /// there, and does no harm.
    async fn upgrade(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
    ) -> io::Result<Result<(), TooLarge>> {
        let mut bytes = BytesMut::with_capacity(HEAD_CAPACITY);
        let mut head = HeadWriter::answer(&mut bytes, 200);
        push_kept(&mut head, answer, kept);
        push_own(&mut head, own);
        if head.finish() > self.writer.max_section() {
            return Ok(Err(TooLarge));
        }
        self.write(bytes).await.map(Ok)
    }

    fn begin(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
        _may_persist: bool,
    ) -> Result<(Sent<'_>, bool), TooLarge> {
        // A small body is written with its head.
        let body = match answer.body {
            AnswerBody::Length(length) if length < COPIED as u64 => length as usize,
            _ => 0,
        };
        let mut bytes = BytesMut::with_capacity(HEAD_CAPACITY + body);
        let mut head = HeadWriter::answer(&mut bytes, answer.head.status());
        push_kept(&mut head, answer, kept);
        push_own(&mut head, own);
        match answer.body {
            AnswerBody::Length(length) => {
                head.field(b"content-length", Decimal::of(length).as_bytes());
            }
            // The length that a GET would have had (RFC 9110 §8.6); 204 has none.
            AnswerBody::Empty
                if self.request.head.method() == Method::Head && answer.head.status() != 204
                    || answer.head.status() == 304 =>
            {
                if let Some(length) = answer.head.fields().only(Name::ContentLength) {
                    head.field(b"content-length", length);
                }
            }
            AnswerBody::Empty | AnswerBody::Chunked | AnswerBody::UntilClose => {}
        }
        if head.finish() > self.writer.max_section() {
            return Err(TooLarge);
        }
        let framed = match answer.body {
            AnswerBody::Length(length) => {
                if length > 0 {
                    // One frame for all: what follows is payload and nothing else.
                    push_data_header(&mut bytes, length);
                }
                false
            }
            AnswerBody::Empty | AnswerBody::Chunked | AnswerBody::UntilClose => true,
        };
        let body = Sent {
            writer: self.writer,
            queue: Queue::new(bytes),
            framed,
            ended: false,
            taken: self.taken,
        };
        // Its stream is not the connection.
        Ok((body, true))
    }
}

impl Down<'_> {
    async fn write(&mut self, bytes: BytesMut) -> io::Result<()> {
        let mut queue = Queue::new(bytes);
        while !queue.is_empty() {
            let bytes = self.writer.write_some(&mut queue).await?;
            self.taken.set(self.taken.get() + bytes as u64);
        }
        Ok(())
    }
}

fn push_kept(head: &mut HeadWriter<'_>, answer: &Answer, kept: &KeptAnswer) {
    for line in kept.fields(&answer.head) {
        head.field(line.name, line.value);
    }
}

fn push_own(head: &mut HeadWriter<'_>, own: &OwnFields<'_>) {
    for (name, value) in own.lines() {
        head.field(name.as_bytes(), value);
    }
}

/// Most heads fit, and frames' headers behind them.
const HEAD_CAPACITY: usize = 1024;
