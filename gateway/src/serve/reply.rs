//! Answers that the gateway itself gives: the one way to refuse a request.

use std::rc::Rc;

use policy::Refusal;
use wire::Method;
use wire::h1::Request;

use super::After;
use super::leg::Leg;
use super::report::Report;
use crate::worker::Worker;

/// Answers, counts and reports a refusal; `request` is missing where the head was none.
pub(super) async fn refuse<L: Leg>(
    leg: &mut L,
    worker: &Rc<Worker>,
    request: Option<&Request>,
    refusal: &Refusal,
    mut report: Report<'_>,
) -> After {
    let query = request.and_then(|request| request.head.query());
    let reply = worker.shared.policy.reply(refusal, query);
    worker.cells.refusal(refusal.reason);
    report.decided(refusal.lane, refusal.app, refusal.client, refusal.stripped);
    report.refused(refusal.reason);
    report.answered(reply.status);
    if !is_head(request) {
        report.sent(reply.body.len() as u64);
    }
    let after = leg.reply(worker, request, &reply).await;
    report.finish();
    after
}

/// Whether an answer to this request has no body, whatever it says.
pub(super) fn is_head(request: Option<&Request>) -> bool {
    request.is_some_and(|request| request.head.method() == Method::Head)
}
