//! The module as a whole. Time is a value here, and the hash a function that the test gives, so
//! nothing sleeps; one test in [`passwords`] goes through the real hashes.

mod flights;
mod limits;
mod passwords;
mod sessions;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::htpasswd::{Hash, Htpasswd};
use config::{Basic, Method, Realm};
use policy::{Identity, Outcome, Question, SessionToken, Username};

use super::authenticator::Authenticator;
use super::check::Checks;
use super::local::Local;
use super::session::Sessions;
use super::verdict::{FailureCause, Verdict};
use super::verify::VerifyError;
use crate::clock::Moment;

/// A process with two realms of the same users, and two workers.
pub(super) struct World {
    pub(super) auth: Arc<Authenticator>,
    pub(super) workers: [Rc<Local>; 2],
}

impl World {
    /// Whose hash takes no time: every user's password is "right".
    pub(super) fn new() -> Self {
        Self::with(settings(), |_, password| Ok(password == RIGHT.as_bytes()))
    }

    /// With that hash.
    pub(super) fn with(
        settings: Settings,
        verify: impl Fn(&Hash, &[u8]) -> Result<bool, VerifyError> + Send + Sync + 'static,
    ) -> Self {
        let realms = vec![settings.realm(), settings.realm()];
        let mut checks = Checks::new(realms, Box::new(verify)).unwrap();
        checks.sessions = Sessions::new(settings.most_sessions);
        Self::of(Authenticator::start(checks, NonZeroUsize::MIN).unwrap())
    }

    pub(super) fn of(auth: Arc<Authenticator>) -> Self {
        let workers = [(); 2].map(|()| Rc::new(Local::new(Arc::clone(&auth))));
        Self { auth, workers }
    }

    /// Asks the first worker about a password in the first realm.
    pub(super) fn ask(&self, user: &str, password: &str, client: &str, seconds: u64) -> Verdict {
        let question = password_question(0, user, password, client);
        block_on(self.workers[0].answer_at(&question, at(seconds)))
    }

    /// Asks a worker about a session.
    pub(super) fn session(
        &self,
        worker: usize,
        realm: usize,
        token: SessionToken,
        seconds: u64,
    ) -> Verdict {
        let question = Question::Session { realm, token };
        block_on(self.workers[worker].answer_at(&question, at(seconds)))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) cache: u64,
    pub(super) per_address: u32,
    pub(super) per_account: u32,
    pub(super) most_sessions: usize,
}

impl Settings {
    fn realm(self) -> Realm {
        Realm {
            method: Method::Basic(Basic {
                users: Htpasswd::parse(USERS).unwrap(),
                cache: Duration::from_secs(self.cache),
                failures_per_address: self.per_address,
                failures_per_account: self.per_account,
            }),
            session_idle: Duration::from_secs(100),
            session_lifetime: Duration::from_secs(1_000),
        }
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        cache: 60,
        per_address: 20,
        per_account: 10,
        most_sessions: 1_000,
    }
}

pub(super) fn realm() -> Realm {
    settings().realm()
}

pub(super) fn identity(name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        username: Username::new(name).unwrap(),
    })
}

pub(super) fn password_question(
    realm: usize,
    user: &str,
    password: &str,
    client: &str,
) -> Question {
    Question::Password {
        realm,
        user: user.into(),
        password: Bytes::copy_from_slice(password.as_bytes()),
        client: client.parse::<IpAddr>().unwrap(),
    }
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(super) fn at(seconds: u64) -> Moment {
    Moment::default().plus(Duration::from_secs(seconds))
}

/// The visitor and the session of a verdict that must name one.
#[track_caller]
pub(super) fn known(verdict: &Verdict) -> (&str, SessionToken) {
    assert_eq!(verdict.cause, None, "{verdict:?}");
    match &verdict.outcome {
        Outcome::Known { identity, session } => (identity.username.as_str(), *session),
        other => panic!("{other:?}"),
    }
}

/// Asserts that there is no visitor, and why; gives the seconds to wait where that is a limit.
#[track_caller]
pub(super) fn refused(verdict: &Verdict, cause: FailureCause) -> Option<u32> {
    assert_eq!(verdict.cause, Some(cause), "{verdict:?}");
    match (&verdict.outcome, cause) {
        (
            Outcome::Limited { retry_after },
            FailureCause::RateLimitedAccount | FailureCause::RateLimitedAddress,
        ) => Some(*retry_after),
        (Outcome::Unavailable, FailureCause::CheckerFailed | FailureCause::Overloaded)
        | (Outcome::Unknown, FailureCause::UnknownSession | FailureCause::WrongPassword) => None,
        (outcome, cause) => panic!("{outcome:?} for {cause:?}"),
    }
}

pub(super) const RIGHT: &str = "right";

/// `htpasswd -nbBC 4 alice 'correct horse'` and `htpasswd -nbBC 4 bob 'battery staple'` (Apache
/// 2.4.71).
pub(super) const USERS: &str = "\
alice:$2y$04$CId8LK1NjB3rqFFERyCzHOf2dpq4oHMBFyezV8.2i4LrFQuVrBJyu
bob:$2y$04$S49yuN85akzdD4dHd9OGqug2BJVOwKF/dmsK7zlratVHL2YAGbPKm
";
