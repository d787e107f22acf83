//! What is known about credentials: verified lately, or being verified.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use policy::SessionToken;
use tokio::sync::oneshot;

use super::fingerprint::{Fingerprint, Prehashed};
use super::session::{Session, drop_oldest};
use super::verdict::FailureCause;
use crate::clock::Moment;

/// Credentials that a hash proved right, used from one address block, and their session.
#[derive(Debug)]
pub(super) struct Verified {
    /// Of user and password.
    pub(super) credentials: Fingerprint,
    /// The session's secret, because the answer to the same credentials names it again.
    pub(super) token: SessionToken,
    /// The session.
    pub(super) session: Arc<Session>,
    expires: Moment,
    spoiled: AtomicBool,
}

/// One lock's worth of accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// By account and address block.
    records: HashMap<Fingerprint, Record, Prehashed>,
    /// Hashes under way, by credentials.
    pub(super) flights: HashMap<Fingerprint, Flight, Prehashed>,
}

#[derive(Debug)]
pub(super) struct Record {
    verified: Arc<Verified>,
    /// Other passwords tried since.
    mismatches: u32,
}

/// One hash under way, and who waits for it.
#[derive(Debug)]
pub(super) struct Flight {
    /// By account and address block; each block is charged for the attempt.
    pub(super) boardings: HashMap<Fingerprint, Boarding, Prehashed>,
}

/// Everybody at one address block who waits for one hash.
#[derive(Debug)]
pub(super) struct Boarding {
    /// The address block.
    pub(super) address: Fingerprint,
    /// Who waits.
    pub(super) waiters: Vec<oneshot::Sender<Result<Arc<Verified>, FailureCause>>>,
}

impl Verified {
    /// Verified by now, to be verified again at `expires`.
    pub(super) fn new(
        credentials: Fingerprint,
        (token, session): (SessionToken, Arc<Session>),
        expires: Moment,
    ) -> Self {
        Self {
            credentials,
            token,
            session,
            expires,
            spoiled: AtomicBool::new(false),
        }
    }

    /// Whether the password need not be hashed again.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        now < self.expires && !self.spoiled.load(Ordering::Relaxed)
    }

    /// When it is to be verified again at the latest.
    pub(super) fn expires(&self) -> Moment {
        self.expires
    }

    fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }
}

impl Accounts {
    /// What is fresh for these credentials at this account and address block.
    ///
    /// Whoever is refused a hash could still guess against what is remembered, as fast as it
    /// answers, were there no end to it. So other passwords count, and at `tolerated` of them the
    /// right one must be hashed again. They come from the same address block: others have records
    /// of their own and can neither guess here nor spoil anything.
    pub(super) fn recall(
        &mut self,
        account_at: &Fingerprint,
        credentials: &Fingerprint,
        tolerated: u32,
        now: Moment,
    ) -> Option<Arc<Verified>> {
        let record = self.records.get_mut(account_at)?;
        if record.verified.credentials == *credentials {
            let fresh = record.verified.is_fresh(now);
            return fresh.then(|| Arc::clone(&record.verified));
        }
        record.mismatches = record.mismatches.saturating_add(1);
        if record.mismatches >= tolerated {
            record.verified.spoil();
        }
        None
    }

    /// The live session of these credentials, even if they must be verified again.
    pub(super) fn session(
        &self,
        account_at: &Fingerprint,
        credentials: &Fingerprint,
        now: Moment,
    ) -> Option<(SessionToken, Arc<Session>)> {
        let verified = &self.records.get(account_at)?.verified;
        let same = verified.credentials == *credentials && verified.session.touch(now);
        same.then(|| (verified.token, Arc::clone(&verified.session)))
    }

    /// Remembers. At most `capacity` are; the first to expire make room.
    pub(super) fn remember(
        &mut self,
        account_at: Fingerprint,
        verified: Arc<Verified>,
        capacity: usize,
        now: Moment,
    ) {
        if self.records.len() >= capacity && !self.records.contains_key(&account_at) {
            self.records
                .retain(|_, r| r.verified.is_fresh(now) || r.verified.session.is_alive(now));
            if self.records.len() >= capacity {
                let expires = |record: &Record| record.verified.expires;
                // Without its record nobody counts mismatches, so it must not be used either.
                drop_oldest(&mut self.records, expires, |r| r.verified.spoil());
            }
        }
        let record = Record {
            verified,
            mismatches: 0,
        };
        self.records.insert(account_at, record);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Fingerprints;
    use super::super::session::Sessions;
    use super::super::tests::{World, at, block_on, identity, known, password_question, realm};
    use super::super::{lock, tests};
    use super::*;

    #[test]
    fn a_full_table_makes_room_and_what_leaves_it_is_spoiled() {
        let fingerprints = Fingerprints::new().unwrap();
        let mut accounts = Accounts::default();
        let verified: Vec<_> = (0..100)
            .map(|n: u64| {
                let key = fingerprints.account(0, &n.to_string());
                let verified = verified(key, at(0), at(1_000 + n));
                accounts.remember(key, Arc::clone(&verified), 32, at(1));
                assert!(accounts.records.len() <= 32);
                (key, verified)
            })
            .collect();
        for (key, verified) in &verified {
            let remembered = accounts.records.contains_key(key);
            assert_eq!(remembered, verified.is_fresh(at(2)));
        }
        assert!(verified[80..].iter().all(|(_, v)| v.is_fresh(at(2))));
    }

    #[test]
    fn those_of_no_more_use_leave_first() {
        let fingerprints = Fingerprints::new().unwrap();
        let mut accounts = Accounts::default();
        let keys = ["a", "b", "c"].map(|name| fingerprints.account(0, name));
        // The first is neither fresh nor has it a session, though it expires after the second.
        for (key, opened, expires) in [
            (keys[0], at(0), at(50)),
            (keys[1], at(90), at(40)),
            (keys[2], at(90), at(150)),
        ] {
            let capacity = 2;
            accounts.remember(key, verified(key, opened, expires), capacity, at(100));
        }
        let kept = keys.map(|key| accounts.records.contains_key(&key));
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn a_worker_that_holds_credentials_takes_no_lock() {
        let world = World::new();
        let question = password_question(0, "alice", tests::RIGHT, "192.0.2.1");
        known(&world.ask("alice", tests::RIGHT, "192.0.2.1", 0));
        let account = world.auth.checks.fingerprints.account(0, "alice");
        let _accounts = lock(world.auth.checks.accounts(&account).unwrap());
        known(&block_on(world.workers[0].answer_at(&question, at(1))));
    }

    fn verified(credentials: Fingerprint, opened: Moment, expires: Moment) -> Arc<Verified> {
        let sessions = Sessions::new(16);
        let session = sessions.open(0, &realm(), identity("alice"), opened);
        Arc::new(Verified::new(credentials, session.unwrap(), expires))
    }
}
