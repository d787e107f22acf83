//! One request on its way to a back-end, retried where that is safe.

use std::cell::Cell;
use std::rc::Rc;

use policy::{Forward, Reason, Refusal, RequestId};
use tokio::time::Instant;
use wire::Method;
use wire::h1::Request;

use super::After;
use super::exchange::{Attempt, End, has_body};
use super::leg::{Abort, Leg};
use super::reply::refuse;
use super::report::Report;
use crate::upstream::{Busy, UpstreamError};
use crate::worker::Worker;

/// Forwards a request and relays its answer.
pub(super) async fn forward<'a, L: Leg>(
    leg: &mut L,
    worker: &'a Rc<Worker>,
    request: &Request,
    seen: &policy::Request<'_>,
    forward: Forward,
    id: RequestId<'_>,
    mut report: Report<'a>,
) -> After {
    let app = worker.shared.apps.get(forward.app);
    let Some((app, gate)) = app.and_then(|app| Some((app, worker.pools.gate(app.pool)?))) else {
        // Policy's apps and these are made from one list.
        debug_assert!(false, "an app without its pool");
        return After::Abort;
    };
    let entered = tokio::select! {
        biased;
        entered = gate.enter(forward.client) => entered,
        () = leg.departure() => {
            report.broken("the client went away while it waited for a slot of the pool");
            report.finish();
            leg.abort(request, Abort::Departed);
            return After::Abort;
        }
    };
    let slot = match entered {
        Ok(slot) => Cell::new(Some(slot)),
        Err(busy) => {
            let reason = match busy {
                Busy::Full => Reason::QueueFull,
                Busy::Timeout => Reason::QueueTimeout,
            };
            let refusal = refusal(seen, &forward, reason);
            return refuse(leg, worker, Some(request), &refusal, report).await;
        }
    };
    let mut memory = worker.buffers.lend();
    forward.write_head(&worker.shared.policy, seen, request.body, id, &mut memory);
    let head = memory.split().freeze();

    // Whoever has begun to send already does not wait for us (RFC 9110 §10.1.1).
    let waits = request.expects_continue && has_body(request) && !leg.sends_already();
    let mut continued = !waits;
    let mut retried = false;
    let failure = loop {
        let pool = app.pool;
        let lease = match worker.pools.lease(pool, retried).await {
            Ok(lease) => lease,
            Err(error) => break error,
        };
        if lease.reused {
            worker.cells.upstream_connection_reused(pool);
        } else {
            worker.cells.upstream_connection_opened(pool);
        }
        report.upstream(
            worker
                .pools
                .server(&lease)
                .map_or("", |server| server.url()),
            lease.since,
        );
        let mut since = lease.since;
        if !continued {
            // Only now is it certain that the body is wanted and has somewhere to go.
            continued = true;
            if !leg.write_continue().await {
                report.broken("no 100 Continue could be written");
                report.finish();
                leg.abort(request, Abort::Departed);
                return After::Abort;
            }
            since = Instant::now();
        }
        let reused = lease.reused;
        let attempt = Attempt {
            worker,
            app,
            request,
            forward: &forward,
            head: head.clone(),
            lease,
            since,
            slot: &slot,
        };
        match attempt.run(leg, &mut report).await {
            End::Aborted(abort) => {
                leg.abort(request, abort);
                report.finish();
                return After::Abort;
            }
            End::Answered { after, lease } => {
                let now = Instant::now();
                if let Some(mut lease) = lease {
                    worker.buffers.give_back(&mut lease.buffer);
                    worker.pools.give_back(lease, now);
                }
                drop(head);
                worker.buffers.give_back(&mut memory);
                report.finish_at(now);
                return after;
            }
            End::Failed {
                error,
                untouched,
                unanswered,
            } => {
                let safe = is_safe(request.head.method()) && !has_body(request) && unanswered;
                if reused && !retried && (untouched || safe) {
                    retried = true;
                    tracing::debug!(error = %error, "retrying on a new connection");
                    continue;
                }
                break error;
            }
            End::Refused(reason) => {
                drop(slot.take());
                let refusal = refusal(seen, &forward, reason);
                return refuse(leg, worker, Some(request), &refusal, report).await;
            }
        }
    };
    // The back-end is done with it; how long the client takes to read that is its own affair.
    drop(slot.take());
    worker.cells.upstream_fault(app.pool, failure.fault);
    fail(leg, worker, request, seen, &forward, &failure, report).await
}

/// Answers a request whose back-end failed, and tells the operator exactly how.
async fn fail<L: Leg>(
    leg: &mut L,
    worker: &Rc<Worker>,
    request: &Request,
    seen: &policy::Request<'_>,
    forward: &Forward,
    error: &UpstreamError,
    mut report: Report<'_>,
) -> After {
    tracing::warn!(
        app = worker.shared.policy.apps().get(forward.app).map_or("", |app| &*app.name),
        upstream = report.upstream_url(),
        cause = error.fault.as_str(),
        error = %error,
        request_id = report.id(),
        "back-end failed"
    );
    report.failed(error);
    let refusal = refusal(seen, forward, Reason::Upstream(error.fault));
    refuse(leg, worker, Some(request), &refusal, report).await
}

/// Whether a request with that method, and without a body, may be sent twice without the back-end
/// noticing (RFC 9110 §9.2.2, narrowed to what ARCHITECTURE.md, "Retry", allows).
pub(super) fn is_safe(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options)
}

/// A refusal after the decision, in the form that this client can use.
pub(super) fn refusal(seen: &policy::Request<'_>, forward: &Forward, reason: Reason) -> Refusal {
    Refusal {
        reason,
        app: Some(forward.app),
        lane: forward.lane,
        form: seen.form(),
        client: forward.client,
        stripped: forward.stripped,
    }
}
