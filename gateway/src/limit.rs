//! Rates by key in bounded memory (GCRA, the virtual-scheduling form of ITU-T I.371).

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::address::AddressBlock;
use crate::clock::{Clock, Moment};

/// A rate for each client address.
#[derive(Debug)]
pub(crate) struct AddressLimit {
    clock: Clock,
    limiter: Limiter<AddressBlock, RandomState>,
    quota: Quota,
}

impl AddressLimit {
    /// So many a minute, all of which may come at once.
    pub(crate) fn per_minute(count: u32) -> Self {
        Self {
            clock: Clock::start(),
            limiter: Limiter::new(MOST_ADDRESSES),
            quota: Quota::per_minute(count),
        }
    }

    /// Takes one; or says after how many seconds there is one again.
    pub(crate) fn take(&self, client: IpAddr) -> Result<(), u32> {
        let block = AddressBlock::from(client);
        let taken = self.limiter.charge(&block, self.quota, self.clock.now());
        taken.map_err(Exhausted::retry_after)
    }
}

/// Counts by key. Where only failures count, a key is charged before the attempt and refunded when
/// it did not fail, so that attempts made at the same time cannot exceed the limit together.
///
/// Memory is bounded. A key takes room only while it is in debt, which is a minute at most after
/// its last failure. If so many keys are in debt at once that there is no room, further keys are
/// refused: that takes more failures a minute than there are entries, each of which was hashed.
#[derive(Debug)]
pub(crate) struct Limiter<K, S> {
    table: Mutex<Table<K, S>>,
    capacity: usize,
}

/// So many failures a minute, all of which may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    interval: Duration,
    burst: Duration,
}

/// Nothing is left; an attempt may succeed after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted(Duration);

#[derive(Debug)]
struct Table<K, S> {
    /// When each key is out of debt ("theoretical arrival time").
    clear_at: HashMap<K, Moment, S>,
    swept: Option<Moment>,
}

impl<K: Copy + Eq + Hash, S: BuildHasher + Default> Limiter<K, S> {
    /// A limiter for at most `capacity` keys in debt.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            table: Mutex::new(Table {
                clear_at: HashMap::default(),
                swept: None,
            }),
            capacity,
        }
    }

    /// Charges one failure in advance.
    pub(crate) fn charge(&self, key: &K, quota: Quota, now: Moment) -> Result<(), Exhausted> {
        let mut table = self.lock();
        if !table.make_room(key, self.capacity, now) {
            return Err(Exhausted(quota.interval));
        }
        let clear_at = table.clear_at.entry(*key).or_insert(now);
        let charged = (*clear_at).max(now).plus(quota.interval);
        quota.bears(charged.since(now))?;
        *clear_at = charged;
        Ok(())
    }

    /// Whether a charge would be borne. Nothing is charged: whoever asks may turn out to owe nothing.
    pub(crate) fn admit(&self, key: &K, quota: Quota, now: Moment) -> Result<(), Exhausted> {
        let mut table = self.lock();
        if !table.make_room(key, self.capacity, now) {
            return Err(Exhausted(quota.interval));
        }
        let clear_at = table.clear_at.get(key).copied().unwrap_or(now);
        quota.bears(clear_at.max(now).plus(quota.interval).since(now))
    }

    /// Charges what was admitted and failed, also beyond the limit: attempts that were made at the
    /// same time can exceed it together once, and are paid for by a longer wait.
    pub(crate) fn record(&self, key: &K, quota: Quota, now: Moment) {
        let mut table = self.lock();
        let clear_at = table.clear_at.entry(*key).or_insert(now);
        *clear_at = (*clear_at).max(now).plus(quota.interval);
    }

    /// Takes a charge back.
    pub(crate) fn refund(&self, key: &K, quota: Quota, now: Moment) {
        let mut table = self.lock();
        if let Entry::Occupied(mut entry) = table.clear_at.entry(*key) {
            let interval = Moment::default().plus(quota.interval).nanos();
            let clear_at = Moment::from_nanos(entry.get().nanos().saturating_sub(interval));
            if clear_at <= now {
                entry.remove();
            } else {
                entry.insert(clear_at);
            }
        }
    }
}

impl<K, S> Limiter<K, S> {
    /// Locks, also after a panic elsewhere: no section leaves the table half-changed.
    fn lock(&self) -> MutexGuard<'_, Table<K, S>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quota {
    fn bears(self, debt: Duration) -> Result<(), Exhausted> {
        match debt.checked_sub(self.burst) {
            Some(excess) if !excess.is_zero() => Err(Exhausted(excess)),
            _ => Ok(()),
        }
    }

    /// `failures` a minute; at least one, because with none nobody could try.
    pub(crate) fn per_minute(failures: u32) -> Self {
        Self::with_burst(failures, failures)
    }

    /// `count` a minute, of which `burst` may come at once; at least one each, and no more than a
    /// minute's.
    pub(crate) fn with_burst(count: u32, burst: u32) -> Self {
        let count = count.max(1);
        let interval = MINUTE / count;
        Self {
            interval,
            burst: interval * burst.clamp(1, count),
        }
    }
}

impl Exhausted {
    /// Whole seconds after which another attempt is let through, at least 1.
    pub(crate) fn retry_after(self) -> u32 {
        let seconds = self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0);
        u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
    }
}

impl<K: Copy + Eq + Hash, S: BuildHasher> Table<K, S> {
    /// Whether `key` is there or can be added. Keys out of debt are removed when the table is
    /// full, but not more than once a second, lest each attempt walk through a full table.
    fn make_room(&mut self, key: &K, capacity: usize, now: Moment) -> bool {
        if self.clear_at.len() < capacity || self.clear_at.contains_key(key) {
            return true;
        }
        let due = |swept| now.since(swept) >= SWEEP_INTERVAL;
        if self.swept.is_none_or(due) {
            self.swept = Some(now);
            self.clear_at.retain(|_, clear_at| *clear_at > now);
        }
        self.clear_at.len() < capacity
    }
}

/// Address blocks in debt at once, of each limit.
pub(crate) const MOST_ADDRESSES: usize = 65_536;

const MINUTE: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let (limiter, [key, other]) = (Limiter::<_, RandomState>::new(8), keys());
        let quota = Quota::per_minute(3);
        for _ in 0..3 {
            assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
        }
        let refused = limiter.charge(&key, quota, at(0)).unwrap_err();
        assert_eq!(refused.retry_after(), 20);
        assert_eq!(
            limiter.charge(&other, quota, at(0)),
            Ok(()),
            "keys are apart"
        );
        assert!(limiter.charge(&key, quota, at(19)).is_err());
        assert_eq!(limiter.charge(&key, quota, at(20)), Ok(()));
        assert!(limiter.charge(&key, quota, at(20)).is_err());
        for _ in 0..3 {
            assert_eq!(limiter.charge(&key, quota, at(3600)), Ok(()));
        }
        assert!(
            limiter.charge(&key, quota, at(3600)).is_err(),
            "no more than the burst is saved"
        );
    }

    #[test]
    fn a_refund_makes_undone() {
        let (limiter, [key, _]) = (Limiter::<_, RandomState>::new(8), keys());
        let quota = Quota::per_minute(2);
        for _ in 0..100 {
            assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
            limiter.refund(&key, quota, at(0));
        }
        assert!(limiter.lock().clear_at.is_empty(), "and takes no room");
        for _ in 0..2 {
            assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
        }
        limiter.refund(&key, quota, at(0));
        assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
        assert!(limiter.charge(&key, quota, at(0)).is_err());
    }

    #[test]
    fn what_was_admitted_together_is_paid_for_by_waiting() {
        let (limiter, [key, _]) = (Limiter::<_, RandomState>::new(8), keys());
        let quota = Quota::per_minute(3);
        for _ in 0..10 {
            assert_eq!(limiter.admit(&key, quota, at(0)), Ok(()));
        }
        for _ in 0..5 {
            limiter.record(&key, quota, at(0));
        }
        assert_eq!(
            limiter.admit(&key, quota, at(0)).unwrap_err().retry_after(),
            60
        );
        assert!(limiter.admit(&key, quota, at(59)).is_err());
        assert_eq!(limiter.admit(&key, quota, at(60)), Ok(()));
    }

    #[test]
    fn a_full_table_refuses_new_keys_until_others_are_out_of_debt() {
        let (limiter, [key, other]) = (Limiter::<_, RandomState>::new(1), keys());
        let quota = Quota::per_minute(60);
        assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
        let refused = limiter.charge(&other, quota, at(0)).unwrap_err();
        assert_eq!(refused.retry_after(), 1);
        assert_eq!(
            limiter.charge(&key, quota, at(0)),
            Ok(()),
            "known keys go on"
        );
        assert!(limiter.charge(&other, quota, at(1)).is_err());
        assert_eq!(limiter.charge(&other, quota, at(2)), Ok(()));
        assert_eq!(limiter.lock().clear_at.len(), 1);
    }

    #[test]
    fn a_full_table_is_walked_through_once_a_second_at_most() {
        let (limiter, [key, other]) = (Limiter::<_, RandomState>::new(1), keys());
        let quota = Quota::per_minute(600);
        let after = |millis| Moment::default().plus(Duration::from_millis(millis));
        assert_eq!(limiter.charge(&key, quota, after(0)), Ok(()));
        assert!(limiter.charge(&other, quota, after(50)).is_err());
        assert!(limiter.charge(&other, quota, after(1_049)).is_err());
        assert_eq!(limiter.charge(&other, quota, after(1_050)), Ok(()));
    }

    #[test]
    fn every_quota_waits_at_least_a_second_and_no_division_fails() {
        for failures in [0, 1, 7, 60_000, u32::MAX] {
            let (limiter, [key, _]) = (Limiter::<_, RandomState>::new(8), keys());
            let quota = Quota::per_minute(failures);
            assert!(quota.burst <= MINUTE);
            assert_eq!(limiter.charge(&key, quota, at(0)), Ok(()));
            assert!(Exhausted(quota.interval).retry_after() >= 1);
        }
        assert_eq!(Exhausted(Duration::from_millis(1_001)).retry_after(), 2);
    }

    fn at(seconds: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(seconds))
    }

    fn keys() -> [&'static str; 2] {
        ["a", "b"]
    }
}
