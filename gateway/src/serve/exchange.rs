//! One attempt to get a request answered: the body goes up while the answer comes down, both in
//! one task, each with back-pressure.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use policy::{Fault, Forward, Reason};
use tokio::time::Instant;
use wire::h1::{Body, Request};

use super::answer::{AnswerError, Answered, Answerer};
use super::body::{Flow, FlowError};
use super::h1::Sent;
use super::leg::{Abort, Download, Leg, Parts, Upload};
use super::pace::{Pace, Slow};
use super::progress::{Expired, Progress};
use super::report::Report;
use super::{After, session, tunnel};
use crate::outgoing::Outgoing;
use crate::shared::{AppShared, Front};
use crate::upstream::{Lease, Slot, UpstreamError};
use crate::worker::Worker;

/// A request, rendered for a back-end, and a connection to send it on.
pub(super) struct Attempt<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) app: &'a AppShared,
    pub(super) request: &'a Request,
    pub(super) forward: &'a Forward,
    pub(super) head: Bytes,
    pub(super) lease: Lease,
    /// When nothing stood in its way any more.
    pub(super) since: Instant,
    /// The request's slot of the pool; a tunnel gives it back.
    pub(super) slot: &'a Cell<Option<Slot>>,
}

/// How an attempt ended.
pub(super) enum End {
    /// The client is gone, or the answer broke off after it had begun.
    Aborted(Abort),
    /// The answer is complete.
    Answered {
        /// What the client's connection does now.
        after: After,
        /// The back-end's connection, if it can serve again.
        lease: Option<Lease>,
    },
    /// The back-end failed before its answer began.
    Failed {
        /// How.
        error: UpstreamError,
        /// Whether it accepted no byte of the request.
        untouched: bool,
        /// Whether no byte of an answer came.
        unanswered: bool,
    },
    /// The client's message turned out to be wrong before the answer began, or the answer to be more
    /// than it takes.
    Refused(Reason),
}

/// What ended the two directions.
enum Outcome {
    Answer(Result<Answered, AnswerError>),
    Expired(Expired),
    Upload(FlowError),
}

impl Attempt<'_> {
    pub(super) async fn run<L: Leg>(mut self, leg: &mut L, report: &mut Report<'_>) -> End {
        let Parts {
            front,
            timer,
            meter,
            account,
            up,
            down,
        } = leg.parts(self.worker, self.request);
        let (rate, silence) = (front.limits.body_rate, front.timeouts.body);
        let progress = Progress::new(
            timer,
            silence,
            self.app.timeouts.answer,
            has_body(self.request),
            rate.map(|rate| Pace::new(meter, account, rate, silence)),
            self.since,
        );
        let outcome = self.exchange(front, up, down, &progress, report).await;
        report.received(progress.up.moved.get());
        report.sent(progress.down.moved.get());
        match outcome {
            Outcome::Answer(Ok(Answered::Final {
                keep_client,
                keep_upstream,
            })) => {
                let whole = progress.uploaded();
                End::Answered {
                    after: if keep_client && whole {
                        After::KeepAlive
                    } else {
                        After::Linger
                    },
                    lease: (keep_upstream && whole).then_some(self.lease),
                }
            }
            Outcome::Answer(Ok(Answered::Upgraded)) => {
                // What it takes from here on is a connection, and none of the pool's slots.
                drop(self.slot.take());
                tunnel::run(self.worker, self.app, leg, self.lease, self.forward, report).await;
                End::Aborted(Abort::Tunnel)
            }
            Outcome::Answer(Err(AnswerError::Client(error))) => {
                report.broken(&format!("the answer could not be written: {error}"));
                End::Aborted(Abort::Client)
            }
            Outcome::Answer(Err(AnswerError::Session)) => {
                self.worker.cells.session_cut();
                report.broken(&format!("cut, because {}", session::CAUSE));
                End::Aborted(Abort::Gateway)
            }
            Outcome::Answer(Err(AnswerError::TooLarge)) => End::Refused(Reason::AnswerTooLarge),
            Outcome::Answer(Err(AnswerError::Upstream(error))) => {
                self.failed(error, &progress, report)
            }
            Outcome::Expired(expired) => self.expired(expired, front, &progress, report),
            Outcome::Upload(error) => upload_failed(&error, &progress, report),
        }
    }

    /// Runs both directions until the answer is complete or one of them cannot go on.
    async fn exchange<U: Upload, D: Download>(
        &mut self,
        front: &Front,
        up: U,
        down: D,
        progress: &Progress<'_>,
        report: &mut Report<'_>,
    ) -> Outcome {
        let mut out = Outgoing::default();
        out.push(self.head.clone());
        let reused = self.lease.reused;
        let gone = down.gone();
        let upload = async {
            let mut flow = Flow {
                from: up,
                to: Sent {
                    out,
                    to: &self.lease.transport,
                    chunked: self.request.body == Body::Chunked,
                },
                limit: self.forward.body_limit,
                progress,
                side: &progress.up,
            };
            if reused && has_body(self.request) {
                // If this connection turns out to be dead, the request is sent again: its body
                // must not have left the buffer before a byte is accepted.
                flow.write().await?;
            }
            flow.run().await?;
            progress.upload_ended();
            Err(flow.from.departure().await)
        };
        let mut upload = pin!(upload);
        let answer = Answerer {
            worker: self.worker,
            request: self.request,
            forward: self.forward,
            header_fields: front.limits.header_fields,
            announces_http3: D::ANNOUNCES && front.http3.is_some(),
            upstream: &self.lease.transport,
            buffer: &mut self.lease.buffer,
            client: down,
            progress,
            report,
        };
        let mut answer = pin!(answer.run());
        let mut gone = pin!(gone);
        let mut uploading = true;
        let mut broken = None;
        let outcome = poll_fn(|cx| {
            if uploading && let Poll::Ready(result) = upload.as_mut().poll(cx) {
                uploading = false;
                match result {
                    Ok::<Infallible, _>(never) => match never {},
                    // The back-end takes no more; it may have answered all the same.
                    Err(FlowError::Write(error)) => broken = Some(error),
                    Err(error) => return Poll::Ready(Outcome::Upload(error)),
                }
            }
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(Outcome::Answer(result));
            }
            // While the back-end takes nothing, nothing is read that could tell.
            if uploading
                && (D::TELLS || progress.up.blocked.get())
                && gone.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Outcome::Upload(FlowError::Ended));
            }
            progress.poll_out_of_time(cx).map(Outcome::Expired)
        })
        .await;
        match (outcome, broken) {
            // Its end of stream says less than why it took no more.
            (Outcome::Answer(Err(AnswerError::Upstream(error))), Some(cause))
                if error.fault == Fault::Closed =>
            {
                let cause = UpstreamError::io("sending the request", &cause);
                Outcome::Answer(Err(AnswerError::Upstream(cause)))
            }
            (outcome, _) => outcome,
        }
    }

    fn failed(
        &self,
        error: UpstreamError,
        progress: &Progress<'_>,
        report: &mut Report<'_>,
    ) -> End {
        if progress.down.accepted.get() {
            self.worker.cells.upstream_fault(self.app.pool, error.fault);
            tracing::warn!(
                upstream = report.upstream_url(),
                cause = error.fault.as_str(),
                error = %error,
                request_id = report.id(),
                "back-end failed in the middle of its answer"
            );
            report.failed(&error);
            return End::Aborted(Abort::BackEnd);
        }
        End::Failed {
            error,
            untouched: !progress.up.accepted.get(),
            unanswered: !progress.answered.get(),
        }
    }

    /// Time ran out: whoever was waited for is to blame.
    fn expired(
        &self,
        expired: Expired,
        front: &Front,
        progress: &Progress<'_>,
        report: &mut Report<'_>,
    ) -> End {
        if let Expired::Slow(slow) = expired {
            self.worker.cells.slow_client(slow == Slow::Sender);
        }
        if expired == Expired::Slow(Slow::Sender) {
            // Only before an answer has begun is it held to its rate.
            return End::Refused(Reason::BodyTooSlow);
        }
        if progress.down.blocked.get() {
            report.broken(match expired {
                Expired::Silent => "the client took nothing of its answer for too long",
                Expired::Slow(_) => "the client took its answer more slowly than body_rate",
            });
            return End::Aborted(Abort::Stalled);
        }
        let begun = progress.down.accepted.get();
        let uploading = !progress.uploaded();
        if uploading && !progress.up.blocked.get() {
            if !begun {
                return End::Refused(Reason::BodyTimeout);
            }
            // The back-end may be waiting for the client, which cannot be told from a failure.
            report.broken("the client stopped sending its body, and the answer stood still");
            return End::Aborted(Abort::Gateway);
        }
        let detail = match uploading && !begun {
            true => format!(
                "it took nothing of the request for {:?}",
                front.timeouts.body
            ),
            false => format!("it was silent for {:?}", self.app.timeouts.answer),
        };
        // A back-end that took the request may be at work on it: never twice.
        progress.up.accepted.set(true);
        progress.answered.set(true);
        self.failed(UpstreamError::new(Fault::Timeout, detail), progress, report)
    }
}

fn upload_failed(error: &FlowError, progress: &Progress<'_>, report: &mut Report<'_>) -> End {
    if progress.uploaded() {
        report.broken("the client went away before its answer was complete");
        return End::Aborted(Abort::Client);
    }
    let reason = match error {
        FlowError::Bad(error) => Reason::BadBody(*error),
        FlowError::TooLarge => Reason::BodyTooLarge,
        FlowError::Ended | FlowError::Malformed(_) | FlowError::Read(_) | FlowError::Write(_) => {
            report.broken(&error.to_string());
            return End::Aborted(Abort::Client);
        }
    };
    if progress.down.accepted.get() {
        report.broken(&error.to_string());
        return End::Aborted(Abort::Client);
    }
    End::Refused(reason)
}

/// Whether the client sends a body.
pub(super) fn has_body(request: &Request) -> bool {
    !matches!(request.body, Body::Empty | Body::Zero)
}
