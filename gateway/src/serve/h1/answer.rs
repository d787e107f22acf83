//! Answers to an HTTP/1.1 client: their heads, and how their bodies are framed.

use std::io;

use bytes::BytesMut;
use policy::{KeptAnswer, OwnFields};
use wire::h1::{Answer, AnswerBody, Request, push_field, push_status_line};
use wire::text::Decimal;
use wire::{Method, Name, Version};

use super::body::Sent;
use crate::buffers::Buffers;
use crate::outgoing::Outgoing;
use crate::serve::leg::{Download, TooLarge};
use crate::tls::Transport;

/// A client's answer.
#[derive(Debug)]
pub(in crate::serve) struct Down<'a> {
    pub(super) client: &'a Transport,
    pub(super) request: &'a Request,
    /// Where its memory comes from.
    pub(super) buffers: &'a Buffers,
    /// The memory of the final head.
    pub(super) memory: BytesMut,
}

impl<'a> Download for Down<'a> {
    type Body<'s>
        = Sent<'a>
    where
        Self: 's;

    const ANNOUNCES: bool = true;
    const OPENS_BY_SUCCESS: bool = false;
    const TELLS: bool = false;

    fn gone(&self) -> impl Future<Output = ()> + use<'a> {
        self.client.ended()
    }

    /// Not to HTTP/1.0, which knows none.
    async fn interim(&mut self, answer: &Answer, kept: &KeptAnswer) -> io::Result<()> {
        if self.request.head.version() == Version::Http10 {
            return Ok(());
        }
        let mut head = BytesMut::with_capacity(HEAD_CAPACITY);
        push_status_line(&mut head, answer.head.status(), answer.head.reason());
        kept.write_fields(&answer.head, &mut head);
        head.extend_from_slice(b"\r\n");
        self.write(head).await
    }

    async fn upgrade(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
    ) -> io::Result<Result<(), TooLarge>> {
        let mut head = BytesMut::with_capacity(HEAD_CAPACITY);
        push_status_line(&mut head, 101, b"Switching Protocols");
        kept.write_fields(&answer.head, &mut head);
        own.write(&mut head);
        push_field(&mut head, b"Connection", b"Upgrade");
        push_field(&mut head, b"Upgrade", b"websocket");
        head.extend_from_slice(b"\r\n");
        self.write(head).await.map(Ok)
    }

    fn begin(
        &mut self,
        answer: &Answer,
        kept: &KeptAnswer,
        own: &OwnFields<'_>,
        may_persist: bool,
    ) -> Result<(Sent<'a>, bool), TooLarge> {
        let http10 = self.request.head.version() == Version::Http10;
        let framing = Framing::of(answer.body, http10);
        let persists = may_persist
            && self.request.keep_alive
            && framing != Framing::Close
            // What follows a refused upgrade may be meant for the protocol that was refused
            // (Pingora's CVE-2026-2833).
            && !self.request.websocket;
        let mut memory = self.buffers.lend();
        let head = &mut memory;
        push_status_line(head, answer.head.status(), answer.head.reason());
        kept.write_fields(&answer.head, head);
        own.write(head);
        self.push_framing(answer, framing, head);
        if !persists {
            push_field(head, b"Connection", b"close");
        } else if http10 {
            push_field(head, b"Connection", b"keep-alive");
        }
        head.extend_from_slice(b"\r\n");
        let mut out = Outgoing::default();
        out.push(head.split().freeze());
        self.memory = memory;
        let body = Sent {
            out,
            to: self.client,
            chunked: framing == Framing::Chunked,
        };
        Ok((body, persists))
    }
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.buffers.give_back(&mut self.memory);
    }
}

impl Down<'_> {
    fn push_framing(&self, answer: &Answer, framing: Framing, head: &mut BytesMut) {
        match (framing, answer.body) {
            (Framing::Chunked, _) => push_field(head, b"Transfer-Encoding", b"chunked"),
            (Framing::Plain, AnswerBody::Length(length)) => {
                push_field(head, b"Content-Length", Decimal::of(length).as_bytes());
            }
            // The length that a GET would have had (RFC 9110 §8.6); 204 has none.
            (Framing::Plain, AnswerBody::Empty)
                if self.request.head.method() == Method::Head && answer.head.status() != 204
                    || answer.head.status() == 304 =>
            {
                if let Some(length) = answer.head.fields().only(Name::ContentLength) {
                    push_field(head, b"Content-Length", length);
                }
            }
            _ => {}
        }
    }

    async fn write(&self, head: BytesMut) -> io::Result<()> {
        let mut out = Outgoing::default();
        out.push(head.freeze());
        self.client.write_all(&mut out).await?;
        self.client.flush().await
    }
}

/// How an answer's body is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As chunks.
    Chunked,
    /// By the end of the connection.
    Close,
    /// By its length, or it is empty.
    Plain,
}

impl Framing {
    fn of(body: AnswerBody, http10: bool) -> Self {
        match body {
            AnswerBody::Empty | AnswerBody::Length(_) => Self::Plain,
            AnswerBody::Chunked | AnswerBody::UntilClose if http10 => Self::Close,
            AnswerBody::Chunked | AnswerBody::UntilClose => Self::Chunked,
        }
    }
}

/// Most heads fit.
const HEAD_CAPACITY: usize = 1024;
