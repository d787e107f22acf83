//! Checks of passwords: remembered, waited for, limited, hashed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use config::{Basic, Method, Realm};
use policy::{Identity, SessionToken};
use tokio::sync::oneshot;

use super::authenticator::StartError;
use super::fingerprint::{Fingerprint, Fingerprints, Prehashed};
use super::job::Job;
use super::lock;
use super::pool::Pool;
use super::session::{Session, Sessions};
use super::verdict::{FailureCause, Verdict};
use super::verified::{Accounts, Boarding, Flight, Verified};
use super::verify::Verify;
use crate::address::AddressBlock;
use crate::clock::Moment;
use crate::limit::{Exhausted, Limiter, Quota};

/// The shared state behind every check.
pub(super) struct Checks {
    /// Makes all fingerprints.
    pub(super) fingerprints: Fingerprints,
    /// Every session.
    pub(super) sessions: Sessions,
    realms: Box<[Realm]>,
    accounts: [Mutex<Accounts>; SHARDS],
    by_account: Limiter<Fingerprint, Prehashed>,
    by_address: Limiter<Fingerprint, Prehashed>,
    verify: Box<dyn Verify>,
    hashes_run: AtomicU64,
}

/// Who somebody says they are.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    /// Index of the realm.
    pub(super) realm: usize,
    /// The user, who may not exist.
    pub(super) user: &'a str,
    /// The password.
    pub(super) password: &'a Bytes,
    /// Where it comes from.
    pub(super) block: AddressBlock,
}

/// How far a check came without waiting.
pub(super) enum Progress {
    /// Refused without a hash.
    Refused(Verdict),
    /// Right.
    Verified(Arc<Verified>),
    /// Being hashed.
    Waiting(oneshot::Receiver<Result<Arc<Verified>, FailureCause>>),
}

/// A claim's fingerprints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The account, known or not.
    pub(super) account: Fingerprint,
    /// The account as used from there.
    pub(super) account_at: Fingerprint,
    /// Where it comes from.
    pub(super) address: Fingerprint,
    /// User and password.
    pub(super) credentials: Fingerprint,
}

/// What somebody whose password is right is given.
pub(super) struct Grant {
    /// Index of the realm.
    pub(super) realm: usize,
    /// The account as used from there.
    pub(super) account_at: Fingerprint,
    /// User and password.
    pub(super) credentials: Fingerprint,
    /// Who.
    pub(super) identity: Arc<Identity>,
    /// When the password is to be hashed again.
    pub(super) expires: Moment,
}

impl Checks {
    /// Nothing is known yet.
    pub(super) fn new(realms: Vec<Realm>, verify: Box<dyn Verify>) -> Result<Self, StartError> {
        Ok(Self {
            fingerprints: Fingerprints::new().map_err(|_| StartError::Random)?,
            sessions: Sessions::new(MOST_SESSIONS),
            realms: realms.into(),
            accounts: std::array::from_fn(|_| Mutex::default()),
            by_account: Limiter::new(MOST_LIMITED),
            by_address: Limiter::new(MOST_LIMITED),
            verify,
            hashes_run: AtomicU64::new(0),
        })
    }

    /// How many hashes were run.
    pub(super) fn hashes_run(&self) -> u64 {
        self.hashes_run.load(Ordering::Relaxed)
    }

    /// Begins a check.
    ///
    /// Credentials that are remembered are not limited. Equal credentials that are being hashed
    /// share that hash. An account is charged for a failure beforehand, and refunded unless it
    /// fails: guesses at one account made together cannot exceed its limit. An address block is
    /// charged afterwards, because many people behind one address log in at the same time.
    pub(super) fn begin(
        self: &Arc<Self>,
        pool: &Pool<Job>,
        claim: Claim<'_>,
        now: Moment,
    ) -> Progress {
        let keys = Keys::new(&self.fingerprints, claim);
        let (Some(basic), Some(accounts)) = (self.basic(claim.realm), self.accounts(&keys.account))
        else {
            return Progress::Refused(Verdict::failed(FailureCause::CheckerFailed, 0));
        };
        let mut accounts = lock(accounts);
        let tolerated = basic.failures_per_account;
        let fresh = accounts.recall(&keys.account_at, &keys.credentials, tolerated, now);
        if let Some(verified) = fresh {
            return self.resume(&mut accounts, claim.realm, keys.account_at, verified, now);
        }
        let (waiter, receiver) = oneshot::channel();
        if let Some(flight) = accounts.flights.get_mut(&keys.credentials) {
            if let Some(boarding) = flight.boardings.get_mut(&keys.account_at) {
                boarding.waiters.push(waiter);
            } else if let Err(refused) = self.admit_address(&keys, basic, now) {
                return refused;
            } else {
                flight.boardings.insert(keys.account_at, keys.board(waiter));
            }
            return Progress::Waiting(receiver);
        }
        if let Err(refused) = self.admit_address(&keys, basic, now) {
            return refused;
        }
        if let Err(refused) = self.charge_account(&keys, basic, now) {
            return refused;
        }
        let boardings = HashMap::from_iter([(keys.account_at, keys.board(waiter))]);
        let flight = Flight { boardings };
        accounts.flights.insert(keys.credentials, flight);
        drop(accounts);
        if let Err(job) = pool.submit(Job::new(self, claim, keys, now)) {
            job.refuse();
        }
        Progress::Waiting(receiver)
    }

    /// Remembers a right password, with its session: the one that it had from that address block
    /// before, if that still lives, or a new one.
    pub(super) fn admit(
        &self,
        accounts: &mut Accounts,
        grant: Grant,
        now: Moment,
    ) -> Result<Arc<Verified>, FailureCause> {
        let Grant {
            realm,
            account_at,
            credentials,
            identity,
            expires,
        } = grant;
        let session = match accounts.session(&account_at, &credentials, now) {
            Some(session) => session,
            None => self.open_session(realm, identity, now)?,
        };
        let verified = Arc::new(Verified::new(credentials, session, expires));
        let capacity = MOST_REMEMBERED / SHARDS;
        accounts.remember(account_at, Arc::clone(&verified), capacity, now);
        Ok(verified)
    }

    /// Runs one hash, whoever the user is.
    pub(super) fn hash(
        &self,
        realm: usize,
        user: &str,
        password: &[u8],
    ) -> Result<Arc<Identity>, FailureCause> {
        let basic = self.basic(realm).ok_or(FailureCause::CheckerFailed)?;
        // Looked up for known users too, because that walks through the users.
        let decoy = basic.users.decoy(self.fingerprints.decoy_seed(realm, user));
        let known = basic.users.get(user);
        let hash = known.map(|(_, hash)| hash).or(decoy);
        let hash = hash.ok_or(FailureCause::CheckerFailed)?;
        self.hashes_run.fetch_add(1, Ordering::Relaxed);
        let right = self.verify.verify(hash, password).map_err(|error| {
            tracing::error!(realm, %error, "a password could not be checked");
            FailureCause::CheckerFailed
        })?;
        match known {
            Some((username, _)) if right => Ok(Arc::new(Identity {
                username: username.clone(),
            })),
            _ => Err(FailureCause::WrongPassword),
        }
    }

    /// The settings of a realm whose visitors have passwords.
    pub(super) fn basic(&self, realm: usize) -> Option<&Basic> {
        let Method::Basic(basic) = &self.realms.get(realm)?.method;
        Some(basic)
    }

    /// The accounts beside this one, and itself.
    pub(super) fn accounts(&self, account: &Fingerprint) -> Option<&Mutex<Accounts>> {
        self.accounts.get(account.shard() % SHARDS)
    }

    /// Takes back what [`Checks::begin`] charged an account.
    pub(super) fn refund_account(&self, account: &Fingerprint, basic: &Basic, now: Moment) {
        self.by_account.refund(account, account_quota(basic), now);
    }

    /// Charges an address block for a failure.
    pub(super) fn charge_address(&self, address: &Fingerprint, basic: &Basic, now: Moment) {
        self.by_address.record(address, address_quota(basic), now);
    }

    fn charge_account(&self, keys: &Keys, basic: &Basic, now: Moment) -> Result<(), Progress> {
        self.by_account
            .charge(&keys.account, account_quota(basic), now)
            .map_err(|exhausted| refusal(FailureCause::RateLimitedAccount, exhausted))
    }

    fn admit_address(&self, keys: &Keys, basic: &Basic, now: Moment) -> Result<(), Progress> {
        self.by_address
            .admit(&keys.address, address_quota(basic), now)
            .map_err(|exhausted| refusal(FailureCause::RateLimitedAddress, exhausted))
    }

    /// The password is remembered. Its session may have ended meanwhile.
    fn resume(
        &self,
        accounts: &mut Accounts,
        realm: usize,
        account_at: Fingerprint,
        verified: Arc<Verified>,
        now: Moment,
    ) -> Progress {
        if verified.session.touch(now) {
            return Progress::Verified(verified);
        }
        let grant = Grant {
            realm,
            account_at,
            credentials: verified.credentials,
            identity: Arc::clone(verified.session.identity()),
            expires: verified.expires(),
        };
        match self.admit(accounts, grant, now) {
            Ok(verified) => Progress::Verified(verified),
            Err(cause) => Progress::Refused(Verdict::failed(cause, 0)),
        }
    }

    fn open_session(
        &self,
        index: usize,
        identity: Arc<Identity>,
        now: Moment,
    ) -> Result<(SessionToken, Arc<Session>), FailureCause> {
        let realm = self.realms.get(index).ok_or(FailureCause::CheckerFailed)?;
        let opened = self.sessions.open(index, realm, identity, now);
        opened.map_err(|error| {
            tracing::error!(%error, "no random bytes for a session");
            FailureCause::CheckerFailed
        })
    }
}

impl Keys {
    fn new(fingerprints: &Fingerprints, claim: Claim<'_>) -> Self {
        let Claim {
            realm,
            user,
            password,
            block,
        } = claim;
        Self {
            account: fingerprints.account(realm, user),
            account_at: fingerprints.account_at(realm, user, block),
            address: fingerprints.address(realm, block),
            credentials: fingerprints.credentials(realm, user, password),
        }
    }

    fn board(&self, waiter: oneshot::Sender<Result<Arc<Verified>, FailureCause>>) -> Boarding {
        Boarding {
            address: self.address,
            waiters: vec![waiter],
        }
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks")
            .field("realms", &self.realms.len())
            .field("hashes_run", &self.hashes_run)
            .finish_non_exhaustive()
    }
}

fn account_quota(basic: &Basic) -> Quota {
    Quota::per_minute(basic.failures_per_account)
}

fn address_quota(basic: &Basic) -> Quota {
    Quota::per_minute(basic.failures_per_address)
}

fn refusal(cause: FailureCause, exhausted: Exhausted) -> Progress {
    Progress::Refused(Verdict::failed(cause, exhausted.retry_after()))
}

const SHARDS: usize = 16;
pub(super) const MOST_LIMITED: usize = 65_536;
pub(super) const MOST_REMEMBERED: usize = 65_536;
pub(super) const MOST_SESSIONS: usize = 1_000_000;
