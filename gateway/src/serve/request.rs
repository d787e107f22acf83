//! One request, whatever protocol it came by: policy decides, then it goes on or is refused.

use std::rc::Rc;

use config::Limits;
use policy::{Decision, Form, Lane, Reason, Refusal, Step, Stripped};
use wire::h1::{Body, Request};

use super::After;
use super::forward::{self, forward};
use super::leg::{Leg, Visitor};
use super::reply::refuse;
use super::report::Report;
use crate::worker::Worker;

/// Decides about a request and sees it through; `fresh` is its id unless it has one of its own.
pub(super) async fn handle<L: Leg>(
    leg: &mut L,
    worker: &Rc<Worker>,
    request: &Request,
    fresh: &str,
) -> After {
    // Cloned so that policy's view of the request does not borrow the whole leg.
    let visitor = Rc::clone(leg.visitor());
    let id = policy::RequestId::choose(&request.head, fresh);
    let head = Some(&request.head);
    let mut report = Report::new(worker, L::PROTOCOL, visitor.listener, head, id.as_str());
    if request.websocket {
        report.websocket();
    }
    let seen = policy::Request {
        head: &request.head,
        websocket: request.websocket,
        listener: visitor.listener,
        peer: visitor.peer,
        sni: visitor.sni.as_deref(),
    };
    let decision = match oversized(&visitor.front.limits, request) {
        Some(reason) => Decision::Respond(undecided(&visitor, reason, seen.form())),
        None => decide(worker, &seen).await,
    };
    match admit(worker, request, &seen, decision) {
        Decision::Forward(decided) => {
            report.decided(
                decided.lane,
                Some(decided.app),
                decided.client,
                decided.stripped,
            );
            if let Some(identity) = &decided.identity {
                report.user(identity);
            }
            forward(leg, worker, request, &seen, decided, id, report).await
        }
        Decision::Respond(refusal) => refuse(leg, worker, Some(request), &refusal, report).await,
    }
}

/// Answers what is no head.
pub(super) async fn refuse_head<L: Leg>(
    leg: &mut L,
    worker: &Rc<Worker>,
    reason: Reason,
    id: &str,
) -> After {
    let visitor = leg.visitor();
    let report = Report::new(worker, L::PROTOCOL, visitor.listener, None, id);
    let refusal = undecided(visitor, reason, Form::Json);
    refuse(leg, worker, None, &refusal, report).await
}

/// A refusal before there is anything to decide about.
fn undecided(visitor: &Visitor, reason: Reason, form: Form) -> Refusal {
    Refusal {
        reason,
        app: None,
        lane: Lane::Denied,
        form,
        client: visitor.peer,
        stripped: Stripped::default(),
    }
}

/// Asks policy, and answers its questions.
async fn decide(worker: &Worker, seen: &policy::Request<'_>) -> Decision {
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
fn exhausted(worker: &Worker, request: &Request, forward: &policy::Forward) -> Option<Reason> {
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

/// Whether a declared body is larger than its lane lets through; a chunked one shows later.
fn exceeds(limit: Option<u64>, body: Body) -> bool {
    matches!((limit, body), (Some(limit), Body::Length(length)) if length > limit)
}
