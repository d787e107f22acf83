//! The end of the session with which a request came, for what lasts longer than most requests.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use policy::Forward;
use tokio::time::sleep;

use crate::worker::Worker;

/// Ends when the session ends with which a request came; never, if it came with none.
///
/// `deeds` counts what the visitor does meanwhile: each is a use of the session.
pub(super) async fn ended(worker: &Worker, forward: &Forward, deeds: &Cell<u64>) {
    let Some(token) = &forward.session else {
        return pending().await;
    };
    let app = worker.shared.policy.apps().get(forward.app);
    if let Some(hold) = app.and_then(|app| worker.auth.hold(app.realm, token)) {
        let mut known = deeds.get();
        let used = || std::mem::replace(&mut known, deeds.get()) != deeds.get();
        hold.ended(used).await;
    }
}

/// As [`ended`], for what is nearly always over before it matters: the session, which was alive
/// when the request came, is not looked for at once. What is over by then has cost no hash and no
/// lock, and what is over when this is first polled not even a timer.
pub(super) async fn ended_later(worker: &Worker, forward: &Forward, deeds: &Cell<u64>) {
    if forward.session.is_some() {
        sleep(LATER).await;
    }
    ended(worker, forward, deeds).await;
}

/// What an operator is told.
pub(super) const CAUSE: &str = "the visitor's session ended";

/// Less than an eighth of the shortest `session_idle`, in which a use must become known.
const LATER: Duration = Duration::from_millis(100);
