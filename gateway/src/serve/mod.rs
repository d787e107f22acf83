//! Serving one HTTP/1.1 connection: heads in, one exchange after the other, in order.

mod answer;
mod body;
mod exchange;
mod forward;
mod pace;
mod progress;
mod reply;
mod report;
mod session;
mod tunnel;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use config::Limits;
use policy::{Decision, Form, Forward, Lane, Reason, Refusal, Step, Stripped};
use tokio::time::{Duration, Instant, sleep, timeout};
use wire::h1::{Body, HeadEnd, HeadError, Request, has_long_line, parse_request};

use self::pace::Account;
use self::report::Report;
use crate::buffers::Size;
use crate::shared::Front;
use crate::timer::IdleTimer;
use crate::tls::Transport;
use crate::worker::Worker;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    front: Arc<Front>,
    transport: Transport,
    /// What has been received and not yet used.
    buffer: BytesMut,
    timer: IdleTimer,
    account: Account,
    listener: usize,
    peer: IpAddr,
    sni: Option<Box<str>>,
    /// The memory of the current request's id.
    id: String,
}

impl Client {
    /// A connection after its handshake.
    pub(crate) fn new(
        front: Arc<Front>,
        transport: Transport,
        listener: usize,
        peer: IpAddr,
        sni: Option<Box<str>>,
    ) -> Self {
        Self {
            transport,
            buffer: BytesMut::new(),
            timer: IdleTimer::new(front.timeouts.head),
            account: Account::default(),
            front,
            listener,
            peer,
            sni,
            id: String::new(),
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(worker: &Rc<Worker>, mut client: Client) {
    loop {
        let after = match client.next_head(worker).await {
            Next::Ended => return client.close().await,
            // Boxed: an exchange is many times the size of a connection that waits for one.
            Next::Head(bytes) => Box::pin(client.handle(worker, bytes)).await,
            Next::Refused(reason) => Box::pin(client.refuse_head(worker, reason)).await,
        };
        match after {
            After::Abort => return,
            After::KeepAlive => {
                let idle = client.front.timeouts.idle;
                client.timer.restart(Instant::now(), idle);
            }
            After::Linger => return client.linger(worker).await,
        }
    }
}

/// What a connection does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Cut it: its last message is incomplete, and must be seen to be.
    Abort,
    /// Take the next request.
    KeepAlive,
    /// Close it in a way that lets the client read the answer.
    Linger,
}

/// What came instead of the next head, or it.
enum Next {
    /// The client is gone, silent, or the process drains.
    Ended,
    /// A whole head.
    Head(Bytes),
    /// Something that is no head.
    Refused(Reason),
}

impl Client {
    async fn next_head(&mut self, worker: &Worker) -> Next {
        let limit = worker.shared.max_head;
        let mut end = HeadEnd::default();
        let mut begun = false;
        let mut hurried = false;
        loop {
            if !self.buffer.is_empty() {
                match end.find(&self.buffer) {
                    Ok(Some(length)) if length <= limit => {
                        return Next::Head(self.buffer.split_to(length).freeze());
                    }
                    Ok(None) if self.buffer.len() <= limit => {}
                    Ok(_) => return Next::Refused(too_large(&self.buffer, &self.front.limits)),
                    Err(error) => return Next::Refused(Reason::BadHead(error)),
                }
                if !begun {
                    begun = true;
                    self.timer.restart(Instant::now(), self.front.timeouts.head);
                }
            } else if worker.is_draining() {
                return Next::Ended;
            }
            // Memory follows what has come, so that a slow head costs little.
            let room = if begun {
                HEAD_READ_MORE
            } else {
                Size::Small.bytes()
            };
            let buffers = &worker.buffers;
            let read = buffers.read(&self.transport, &mut self.buffer, room, Size::Small);
            tokio::select! {
                biased;
                read = read => match read {
                    Ok(0) | Err(_) => return Next::Ended,
                    Ok(_) => {}
                },
                () = self.timer.expired() => {
                    return if begun { Next::Refused(Reason::HeadTimeout) } else { Next::Ended };
                }
                () = worker.drain_begun(), if !hurried => {
                    hurried = true;
                    if begun {
                        self.timer.restart(Instant::now(), DRAIN_GRACE);
                    }
                }
            }
        }
    }

    async fn handle(&mut self, worker: &Rc<Worker>, bytes: Bytes) -> After {
        let request = match parse_request(bytes, worker.table()) {
            Ok(request) => request,
            Err(HeadError::FieldCount) => {
                return self.refuse_head(worker, Reason::HeadTooLarge).await;
            }
            Err(error) => return self.refuse_head(worker, Reason::BadHead(error)).await,
        };
        let mut fresh = std::mem::take(&mut self.id);
        worker.ids.write_next(&mut fresh);
        let after = self.handle_parsed(worker, &request, &fresh).await;
        self.id = fresh;
        worker.recycle(request.head.recycle());
        after
    }

    async fn handle_parsed(
        &mut self,
        worker: &Rc<Worker>,
        request: &Request,
        fresh: &str,
    ) -> After {
        let id = policy::RequestId::choose(&request.head, fresh);
        let mut report = Report::new(worker, self.listener, Some(&request.head), id.as_str());
        if request.websocket {
            report.websocket();
        }
        // Cloned so that policy's view of the request does not borrow the whole client.
        let sni = self.sni.clone();
        let seen = policy::Request {
            head: &request.head,
            websocket: request.websocket,
            listener: self.listener,
            peer: self.peer,
            sni: sni.as_deref(),
        };
        let decision = match oversized(&self.front.limits, request) {
            Some(reason) => Decision::Respond(Refusal {
                reason,
                app: None,
                lane: Lane::Denied,
                form: seen.form(),
                client: self.peer,
                stripped: Stripped::default(),
            }),
            None => self.decide(worker, &seen).await,
        };
        match admit(worker, request, &seen, decision) {
            Decision::Forward(forward) => {
                report.decided(
                    forward.lane,
                    Some(forward.app),
                    forward.client,
                    forward.stripped,
                );
                if let Some(identity) = &forward.identity {
                    report.user(identity);
                }
                self.forward(worker, request, &seen, forward, id, report)
                    .await
            }
            Decision::Respond(refusal) => self.refuse(worker, request, &refusal, report).await,
        }
    }

    /// Asks policy, and answers its questions.
    async fn decide(&self, worker: &Worker, seen: &policy::Request<'_>) -> Decision {
        let policy = &worker.shared.policy;
        let mut step = policy.decide(seen);
        loop {
            match step {
                Step::Ask(question, pending) => {
                    let verdict = worker.auth.answer(&question).await;
                    if let Some(cause) = verdict.cause {
                        worker.cells.auth_failure(cause.index());
                    }
                    step = pending.resume(policy, seen, verdict.outcome);
                }
                Step::Decided(decision) => return decision,
            }
        }
    }

    /// Answers what is no head. Nothing that follows on this connection has a certain meaning.
    async fn refuse_head(&mut self, worker: &Rc<Worker>, reason: Reason) -> After {
        let mut fresh = std::mem::take(&mut self.id);
        worker.ids.write_next(&mut fresh);
        let report = Report::new(worker, self.listener, None, &fresh);
        let refusal = Refusal {
            reason,
            app: None,
            lane: Lane::Denied,
            form: Form::Json,
            client: self.peer,
            stripped: Stripped::default(),
        };
        let reply = worker.shared.policy.reply(&refusal, None);
        self.write_refusal(worker, &refusal, reply, false, false, report)
            .await;
        self.id = fresh;
        After::Linger
    }

    /// Ends a connection on which nothing is owed: with close_notify, so that the client can tell
    /// this end from an attacker's.
    async fn close(self) {
        // A client that is gone cannot be told; one that takes nothing is not waited for.
        let _ = timeout(CLOSE, self.transport.shutdown()).await;
    }

    /// Ends our direction, then reads what the client still sends, for a while: closing at once
    /// would reset the connection and could destroy the answer before the client reads it.
    async fn linger(mut self, worker: &Worker) {
        let ended = async {
            self.transport.shutdown().await?;
            loop {
                self.buffer.clear();
                let (transport, buffer) = (&self.transport, &mut self.buffer);
                let room = Size::Small.bytes();
                let read = worker.buffers.read(transport, buffer, room, Size::Small);
                if read.await? == 0 {
                    return std::io::Result::Ok(());
                }
            }
        };
        let drained = async {
            worker.drain_begun().await;
            sleep(DRAIN_GRACE).await;
        };
        // Whoever ends first, the connection is over.
        tokio::select! {
            _ = ended => {}
            () = sleep(LINGER) => {}
            () = drained => {}
        }
    }
}

/// What no pure decision can know: rates; and what concerns the message instead of the request.
fn admit(
    worker: &Worker,
    request: &Request,
    seen: &policy::Request<'_>,
    decision: Decision,
) -> Decision {
    let Decision::Forward(forward) = decision else {
        return decision;
    };
    let reason = if request.expects_other {
        Some(Reason::ExpectationFailed)
    } else if exceeds(forward.body_limit, request.body) {
        Some(Reason::BodyTooLarge)
    } else {
        exhausted(worker, request, &forward)
    };
    match reason {
        Some(reason) => Decision::Respond(forward::refusal(seen, &forward, reason)),
        None => Decision::Forward(forward),
    }
}

/// Whether a rate of the app has nothing left for a request; else it is charged.
fn exhausted(worker: &Worker, request: &Request, forward: &Forward) -> Option<Reason> {
    let app = worker.shared.apps.get(forward.app)?;
    if forward.lane == Lane::Discovery
        && let Err(retry_after) = app.discovery.take(forward.client)
    {
        return Some(Reason::TooManyRequests { retry_after });
    }
    let limited = app.rates.charge(forward, &request.head).err()?;
    Some(Reason::RateLimited {
        key: limited.key,
        retry_after: limited.retry_after,
    })
}

/// Whether a head that is within its size has too long a target, or too many fields.
fn oversized(limits: &Limits, request: &Request) -> Option<Reason> {
    let head = &request.head;
    let target = head.path().len() + head.query().map_or(0, |query| query.len() + 1);
    if target > limits.target {
        Some(Reason::TargetTooLong)
    } else if head.fields().len() > limits.header_fields {
        Some(Reason::HeadTooLarge)
    } else {
        None
    }
}

/// What of a head is too large that is beyond its size.
fn too_large(buffer: &[u8], limits: &Limits) -> Reason {
    if has_long_line(buffer, limits.target) {
        Reason::TargetTooLong
    } else {
        Reason::HeadTooLarge
    }
}

/// Whether a declared body is larger than its lane lets through; a chunked one shows later.
fn exceeds(limit: Option<u64>, body: Body) -> bool {
    matches!((limit, body), (Some(limit), Body::Length(length)) if length > limit)
}

/// A read within a head is worth a system call from this much room on.
const HEAD_READ_MORE: usize = 1024;

/// How long the end of an idle connection may take to write.
const CLOSE: Duration = Duration::from_secs(1);

/// How long a drain waits for what is not an exchange: the rest of a head, the end of a
/// connection that was answered.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How long a closing connection is still read from.
const LINGER: Duration = Duration::from_secs(5);
