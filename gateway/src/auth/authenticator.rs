//! The one authenticator of the process.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::check::Checks;
use super::job::Job;
use super::pool::Pool;
use super::verify;
use crate::clock::Clock;

/// What the workers share: sessions, verified credentials, limits, and the pool that hashes.
///
/// Dropping the last reference ends the pool's threads and waits for the hashes that they are at.
#[derive(Debug)]
pub(crate) struct Authenticator {
    pub(super) clock: Clock,
    pub(super) checks: Arc<Checks>,
    pub(super) pool: Pool<Job>,
}

/// Why authentication could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The system gave no random bytes.
    #[error("no random bytes for the process's key")]
    Random,
    /// A thread for password hashing could not be started.
    #[error("cannot start a thread for password hashing")]
    Thread(#[source] io::Error),
}

impl Authenticator {
    /// Starts `threads` threads for hashing. The realms' indexes are those of policy's questions.
    pub(crate) fn new(
        realms: Vec<config::Realm>,
        threads: NonZeroUsize,
    ) -> Result<Arc<Self>, StartError> {
        Self::start(Checks::new(realms, Box::new(verify::verify))?, threads)
    }

    /// How many sessions there are. Some may have ended within the last minute.
    pub(crate) fn session_count(&self) -> usize {
        self.checks.sessions.count(self.clock.now())
    }

    /// How many password hashes were run since the start.
    pub(crate) fn hashes_run(&self) -> u64 {
        self.checks.hashes_run()
    }

    pub(super) fn start(checks: Checks, threads: NonZeroUsize) -> Result<Arc<Self>, StartError> {
        Ok(Arc::new(Self {
            clock: Clock::start(),
            checks: Arc::new(checks),
            pool: Pool::start(threads, Job::run).map_err(StartError::Thread)?,
        }))
    }
}
