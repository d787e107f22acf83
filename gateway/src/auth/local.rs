//! Authentication as one worker sees it.

use std::cell::RefCell;
use std::sync::Arc;

use policy::{Identity, Question, SessionToken};

use super::authenticator::Authenticator;
use super::check::{Claim, Progress};
use super::fingerprint::Fingerprint;
use super::hold::Hold;
use super::recent::Recent;
use super::session::Session;
use super::verdict::{FailureCause, Verdict};
use super::verified::Verified;
use crate::address::AddressBlock;
use crate::clock::Moment;

/// A worker's own view: what it met lately is answered without a lock and without an allocation.
#[derive(Debug)]
pub(crate) struct Local {
    shared: Arc<Authenticator>,
    sessions: RefCell<Recent<Seen<Session>>>,
    passwords: RefCell<Recent<Seen<Verified>>>,
}

/// A shared entry, with a copy of the identity whose reference count no other worker touches.
#[derive(Debug)]
pub(super) struct Seen<T> {
    shared: Arc<T>,
    identity: Arc<Identity>,
}

impl Local {
    /// A worker's view of the process's authenticator.
    pub(crate) fn new(shared: Arc<Authenticator>) -> Self {
        Self {
            shared,
            sessions: RefCell::new(Recent::new(RECENT_SESSIONS)),
            passwords: RefCell::new(Recent::new(RECENT_PASSWORDS)),
        }
    }

    /// Answers a question of policy. A question about a session, and one about a password that
    /// was verified lately, is answered by the first poll; else a hash is waited for.
    pub(crate) async fn answer(&self, question: &Question) -> Verdict {
        self.answer_at(question, self.shared.clock.now()).await
    }

    /// The session of a visitor, for what lasts longer than their request; `None` if it is gone.
    /// This is no use of the session.
    pub(crate) fn hold(&self, realm: usize, token: &SessionToken) -> Option<Hold> {
        let key = Fingerprint::session(realm, token);
        let session = self.shared.checks.sessions.find(&key)?;
        Some(Hold::new(session, Arc::clone(&self.shared)))
    }

    pub(super) async fn answer_at(&self, question: &Question, now: Moment) -> Verdict {
        match question {
            Question::Password {
                realm,
                user,
                password,
                client,
            } => {
                let claim = Claim {
                    realm: *realm,
                    user,
                    password,
                    block: AddressBlock::from(*client),
                };
                self.password_at(claim, now).await
            }
            Question::Session { realm, token } => self.session_at(*realm, token, now),
        }
    }

    fn session_at(&self, realm: usize, token: &SessionToken, now: Moment) -> Verdict {
        let key = Fingerprint::session(realm, token);
        let seen = self.sessions.borrow_mut().find(&key, |seen| {
            let alive = seen.shared.touch(now);
            alive.then(|| Arc::clone(&seen.identity))
        });
        if let Some(identity) = seen {
            return Verdict::known(identity, *token);
        }
        let Some(session) = self.shared.checks.sessions.get(&key, now) else {
            return Verdict::failed(FailureCause::UnknownSession, 0);
        };
        let seen = Seen::new(&session, session.identity());
        let identity = Arc::clone(&seen.identity);
        self.sessions.borrow_mut().insert(key, seen);
        Verdict::known(identity, *token)
    }

    async fn password_at(&self, claim: Claim<'_>, now: Moment) -> Verdict {
        let checks = &self.shared.checks;
        let key = checks.fingerprints.credentials_at(
            claim.realm,
            claim.user,
            claim.password,
            claim.block,
        );
        let seen = self.passwords.borrow_mut().find(&key, |seen| {
            let verified = &seen.shared;
            let valid = verified.is_fresh(now) && verified.session.touch(now);
            valid.then(|| (Arc::clone(&seen.identity), verified.token))
        });
        if let Some((identity, token)) = seen {
            return Verdict::known(identity, token);
        }
        let verified = match checks.begin(&self.shared.pool, claim, now) {
            Progress::Refused(verdict) => return verdict,
            Progress::Verified(verified) => verified,
            // A check that ended without a word has failed.
            Progress::Waiting(result) => match result.await {
                Ok(Ok(verified)) => verified,
                Ok(Err(cause)) => return Verdict::failed(cause, 0),
                Err(_) => return Verdict::failed(FailureCause::CheckerFailed, 0),
            },
        };
        let seen = Seen::new(&verified, verified.session.identity());
        let identity = Arc::clone(&seen.identity);
        self.passwords.borrow_mut().insert(key, seen);
        Verdict::known(identity, verified.token)
    }
}

impl<T> Seen<T> {
    fn new(shared: &Arc<T>, identity: &Identity) -> Self {
        Self {
            shared: Arc::clone(shared),
            identity: Arc::new(identity.clone()),
        }
    }
}

pub(super) const RECENT_PASSWORDS: usize = 4_096;
pub(super) const RECENT_SESSIONS: usize = 16_384;
