//! Authentication: the answers to policy's questions about passwords and sessions.
//!
//! [`Authenticator`] is one for the process, [`Local`] one for each worker. What was answered
//! before is answered again from the worker's own maps, without a lock. Everything else goes to
//! the shared stores behind short locks, and hashing to a small pool of threads of its own, so
//! that HTTP Basic cannot stall a worker.
//!
//! - Sessions live in memory, on the server's side; the browser holds an opaque 256-bit token and
//!   the store is searched by its hash, made for one realm.
//! - A verified password is remembered for a while by a keyed fingerprint that covers realm,
//!   user, password and the client's address block. It stands for one session, so that a script
//!   that sends its password each time does not open a session each time.
//! - Failures are as slow as successes: each costs exactly one hash, an unknown user's against
//!   another user's entry. They are limited for each address block and each account.

mod authenticator;
mod check;
mod fingerprint;
mod hold;
mod job;
mod local;
mod memory;
mod pool;
mod recent;
mod session;
#[cfg(test)]
mod tests;
mod verdict;
mod verified;
mod verify;

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use authenticator::Authenticator;
pub(crate) use local::Local;
pub(crate) use memory::{FAILURES_MEMORY, LOCAL_MEMORY, SESSIONS_MEMORY, VERIFIED_MEMORY};
pub(crate) use verdict::FailureCause;
pub(crate) use verify::hash_password;

/// How many threads hash: half as many as workers, which must not starve, and at least one.
pub(crate) fn threads(workers: usize) -> NonZeroUsize {
    NonZeroUsize::new(workers / 2).unwrap_or(NonZeroUsize::MIN)
}

/// Locks, also after a panic elsewhere: no section under these locks leaves a map half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
