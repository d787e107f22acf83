//! The answer on its way down: interim answers, the final head, its body.

use std::io;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use policy::{Fault, Forward, KeptAnswer};
use wire::h1::{Answer, AnswerBody, HeadEnd, Request, parse_answer};

use super::body::{Flow, FlowError, watched};
use super::h1::{Decoder, Received};
use super::leg::{Download, TooLarge};
use super::progress::Progress;
use super::report::Report;
use super::session;
use crate::buffers::Size;
use crate::tls::Transport;
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// Reads one request's answer from a back-end and writes it to the client.
pub(super) struct Answerer<'a, 'r, D> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) request: &'a Request,
    pub(super) forward: &'a Forward,
    /// How many fields a head may have.
    pub(super) header_fields: usize,
    /// Whether the client is to learn that there is HTTP/3.
    pub(super) announces_http3: bool,
    pub(super) upstream: &'a Transport,
    pub(super) buffer: &'a mut BytesMut,
    pub(super) client: D,
    pub(super) progress: &'a Progress<'a>,
    pub(super) report: &'a mut Report<'r>,
}

/// A complete answer.
#[derive(Debug)]
pub(super) enum Answered {
    /// An answer with its body.
    Final {
        /// Whether the client was told that its connection persists.
        keep_client: bool,
        /// Whether the back-end's connection persists.
        keep_upstream: bool,
    },
    /// 101: what follows is a tunnel.
    Upgraded,
}

/// What ended an answer early.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// The client takes no more.
    Client(io::Error),
    /// The session of the visitor for whom it was.
    Session,
    /// Its head is larger than the client takes, and nothing of it went on.
    TooLarge,
    /// The back-end.
    Upstream(UpstreamError),
}

impl<D: Download> Answerer<'_, '_, D> {
    pub(super) async fn run(mut self) -> Result<Answered, AnswerError> {
        for _ in 0..MAX_INTERIM {
            let bytes = self.head().await?;
            let method = self.request.head.method();
            let websocket = self.request.websocket;
            let answer = parse_answer(bytes, self.worker.table(), method, websocket)
                .map_err(|error| bad_answer(&error.to_string()))?;
            if answer.head.fields().len() > self.header_fields {
                return Err(bad_answer("its head has too many fields"));
            }
            match answer.head.status() {
                // The gateway has answered `Expect` by itself.
                100 => {}
                101 => return self.upgrade(&answer).await,
                102..=199 => self.interim(&answer).await?,
                // The back-end knows of no WebSocket here, and its page would be taken for one.
                200..=299 if websocket && D::OPENS_BY_SUCCESS => return Err(no_upgrade()),
                _ => return self.finish(answer).await,
            }
            self.worker.recycle(answer.head.recycle());
        }
        Err(bad_answer("too many interim answers"))
    }

    async fn head(&mut self) -> Result<Bytes, AnswerError> {
        let limit = self.worker.shared.max_head;
        let mut end = HeadEnd::default();
        loop {
            if !self.buffer.is_empty() {
                match end.find(self.buffer) {
                    Ok(Some(length)) if length <= limit => {
                        return Ok(self.buffer.split_to(length).freeze());
                    }
                    Ok(None) if self.buffer.len() <= limit => {}
                    Ok(_) => return Err(bad_answer("its head is too large")),
                    Err(error) => return Err(bad_answer(&error.to_string())),
                }
            }
            let read = self
                .worker
                .buffers
                .read(self.upstream, self.buffer, HEAD_ROOM, Size::Large);
            match read.await {
                Ok(0) => {
                    let detail = "the connection ended before the answer";
                    return Err(AnswerError::Upstream(UpstreamError::new(
                        Fault::Closed,
                        detail,
                    )));
                }
                Ok(_) => {
                    self.progress.answered.set(true);
                    self.progress.touch();
                }
                Err(error) => {
                    return Err(AnswerError::Upstream(UpstreamError::io(
                        "waiting for the answer",
                        &error,
                    )));
                }
            }
        }
    }

    /// Passes an interim answer on (RFC 9110 §15.2).
    async fn interim(&mut self, answer: &Answer) -> Result<(), AnswerError> {
        let kept = self.kept(answer);
        let written = self.client.interim(answer, &kept);
        let written = watched(self.progress, &self.progress.down, written).await;
        written.map_err(AnswerError::Client)?;
        self.progress.touch();
        Ok(())
    }

    async fn upgrade(&mut self, answer: &Answer) -> Result<Answered, AnswerError> {
        let kept = self.kept(answer);
        self.report.begun(101);
        self.progress.down.accepted.set(true);
        let own = self.forward.own_fields(&self.worker.shared.policy, false);
        let written = self.client.upgrade(answer, &kept, &own);
        let written = watched(self.progress, &self.progress.down, written).await;
        if let Err(TooLarge) = written.map_err(AnswerError::Client)? {
            self.progress.down.accepted.set(false);
            return Err(AnswerError::TooLarge);
        }
        self.progress.touch();
        Ok(Answered::Upgraded)
    }

    async fn finish(mut self, answer: Answer) -> Result<Answered, AnswerError> {
        let kept = self.kept(&answer);
        let policy = &self.worker.shared.policy;
        let own = self.forward.own_fields(policy, self.announces_http3);
        let may_persist = self.progress.uploaded() && !self.worker.is_draining();
        let begun = self.client.begin(&answer, &kept, &own, may_persist);
        let (to, keep_client) = begun.map_err(|TooLarge| AnswerError::TooLarge)?;
        self.report.begun(answer.head.status());
        let mut flow = Flow {
            from: Received {
                from: self.upstream,
                buffer: self.buffer,
                buffers: &self.worker.buffers,
                decoder: Decoder::from(answer.body),
            },
            to,
            limit: None,
            progress: self.progress,
            side: &self.progress.down,
        };
        let keep_upstream = answer.keep_alive;
        // What has a length has an end of its own, and is of use as a whole only.
        let endless = !matches!(answer.body, AnswerBody::Empty | AnswerBody::Length(_));
        // Before the body, which may take days: the head's memory is the receive buffer's.
        self.worker.recycle(answer.head.recycle());
        let deeds = &self.progress.up.moved;
        let over = session::ended_later(self.worker, self.forward, deeds);
        let relayed = tokio::select! {
            biased;
            relayed = flow.run() => relayed,
            () = over, if endless => return Err(AnswerError::Session),
        };
        match relayed {
            Ok(()) => Ok(Answered::Final {
                keep_client,
                keep_upstream,
            }),
            Err(FlowError::Write(error)) => Err(AnswerError::Client(error)),
            Err(FlowError::Read(error)) => Err(AnswerError::Upstream(UpstreamError::io(
                "reading the answer",
                &error,
            ))),
            Err(FlowError::Ended) => {
                let detail = "the connection ended in the middle of the answer";
                Err(AnswerError::Upstream(UpstreamError::new(
                    Fault::Closed,
                    detail,
                )))
            }
            Err(error @ (FlowError::Bad(_) | FlowError::Malformed(_) | FlowError::TooLarge)) => {
                Err(bad_answer(&error.to_string()))
            }
        }
    }

    fn kept(&mut self, answer: &Answer) -> KeptAnswer {
        let kept = KeptAnswer::of(&answer.head);
        self.report.answer_stripped(kept.stripped);
        kept
    }
}

fn bad_answer(why: &str) -> AnswerError {
    let detail = format!("the back-end's answer is not strict HTTP: {why}");
    AnswerError::Upstream(UpstreamError::new(Fault::BadAnswer, detail))
}

fn no_upgrade() -> AnswerError {
    let detail = "it answers a WebSocket's handshake by a success, and does not upgrade";
    AnswerError::Upstream(UpstreamError::new(Fault::BadAnswer, detail))
}

/// More interim answers than this are a flood.
const MAX_INTERIM: usize = 16;

/// An answer's head, and usually the whole of a small answer.
const HEAD_ROOM: usize = 16 * 1024;
