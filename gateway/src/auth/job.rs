//! One hash on the side pool, from the queue to whoever waits for it.

use std::sync::Arc;

use bytes::Bytes;
use policy::Identity;

use super::check::{Checks, Claim, Grant, Keys};
use super::lock;
use super::verdict::FailureCause;
use crate::clock::Moment;

/// A hash to be run. However it ends, also by a panic, its flight ends with it and whoever waits
/// is told; also if they have gone, what it found out is kept.
#[derive(Debug)]
pub(super) struct Job {
    checks: Arc<Checks>,
    realm: usize,
    user: Box<str>,
    password: Bytes,
    keys: Keys,
    now: Moment,
    landed: bool,
}

impl Job {
    /// A job for a flight that was just begun.
    pub(super) fn new(checks: &Arc<Checks>, claim: Claim<'_>, keys: Keys, now: Moment) -> Self {
        Self {
            checks: Arc::clone(checks),
            realm: claim.realm,
            user: claim.user.into(),
            password: claim.password.clone(),
            keys,
            now,
            landed: false,
        }
    }

    /// Runs the hash.
    pub(super) fn run(mut self) {
        let outcome = self.checks.hash(self.realm, &self.user, &self.password);
        self.land(&outcome);
    }

    /// There is no room for it in the queue.
    pub(super) fn refuse(mut self) {
        self.land(&Err(FailureCause::Overloaded));
    }

    /// Ends the flight: a right password is remembered before the flight disappears, so that
    /// nobody finds neither; only a wrong one stays charged.
    fn land(&mut self, outcome: &Result<Arc<Identity>, FailureCause>) {
        if std::mem::replace(&mut self.landed, true) {
            return;
        }
        let checks = &self.checks;
        let Keys {
            account,
            credentials,
            ..
        } = self.keys;
        let (Some(basic), Some(accounts)) = (checks.basic(self.realm), checks.accounts(&account))
        else {
            return;
        };
        let failed = matches!(outcome, Err(FailureCause::WrongPassword));
        if !failed {
            checks.refund_account(&account, basic, self.now);
        }
        let mut accounts = lock(accounts);
        let Some(flight) = accounts.flights.remove(&credentials) else {
            return;
        };
        for (account_at, boarding) in flight.boardings {
            if failed {
                checks.charge_address(&boarding.address, basic, self.now);
            }
            let result = outcome.clone().and_then(|identity| {
                let grant = Grant {
                    realm: self.realm,
                    account_at,
                    credentials,
                    identity,
                    expires: self.now.plus(basic.cache),
                };
                checks.admit(&mut accounts, grant, self.now)
            });
            for waiter in boarding.waiters {
                // An error means that this client has gone.
                let _gone = waiter.send(result.clone());
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.land(&Err(FailureCause::CheckerFailed));
    }
}
