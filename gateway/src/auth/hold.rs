//! What lasts longer than the request that opened it, but not longer than its session.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::sleep;

use super::authenticator::Authenticator;
use super::session::Session;

/// A session on which a tunnel or a streamed answer depends.
#[derive(Debug)]
pub(crate) struct Hold {
    session: Arc<Session>,
    shared: Arc<Authenticator>,
}

impl Hold {
    pub(super) fn new(session: Arc<Session>, shared: Arc<Authenticator>) -> Self {
        Self { session, shared }
    }

    /// Ends when the session has: at once when it is revoked, else when its time is over.
    ///
    /// Several times within the session's idle time `used` says whether its visitor has done
    /// anything since it was asked last; that counts as a use of the session. So a visitor's last
    /// deed keeps a session for its idle time, and at most an eighth of it longer.
    pub(crate) async fn ended(&self, mut used: impl FnMut() -> bool) {
        loop {
            let mut revoked = pin!(self.session.revoked());
            // From here on no revocation is missed.
            revoked.as_mut().enable();
            let now = self.shared.clock.now();
            if used() {
                self.session.touch(now);
            }
            let Some(wait) = self.session.look_again(now) else {
                return;
            };
            tokio::select! {
                () = revoked => {}
                () = sleep(wait) => {}
            }
        }
    }
}
