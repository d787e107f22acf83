//! The rates of an app (`[[app.rate]]`): how many requests each key may send.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use policy::{Forward, Lane, RateKey};
use wire::Head;

use crate::address::AddressBlock;
use crate::clock::{Clock, Moment};
use crate::limit::{Exhausted, Limiter, Quota};

/// All rates of one app, shared by the workers.
///
/// A key is remembered as a hash under a secret of this process: neither names nor credentials are
/// kept. Two keys that meet in one hash would share their quota; of 64 bits that nobody can
/// compute, none do.
#[derive(Debug)]
pub(crate) struct Rates {
    clock: Clock,
    secret: RandomState,
    rates: Box<[Rate]>,
}

/// One request too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    /// What the rate counts by.
    pub(crate) key: RateKey,
    /// Seconds after which there is one more; at least 1.
    pub(crate) retry_after: u32,
}

impl Rates {
    /// As configured.
    pub(crate) fn new(rates: &[config::Rate]) -> Self {
        Self {
            clock: Clock::start(),
            secret: RandomState::new(),
            rates: rates.iter().map(Rate::new).collect(),
        }
    }

    /// Charges a request to every rate that counts it, or to none if one of them is exhausted.
    pub(crate) fn charge(&self, forward: &Forward, head: &Head) -> Result<(), Limited> {
        if self.rates.is_empty() {
            return Ok(());
        }
        self.charge_at(forward, head, self.clock.now())
    }

    fn charge_at(&self, forward: &Forward, head: &Head, now: Moment) -> Result<(), Limited> {
        for (charged, (rate, key)) in self.keys(forward, head).enumerate() {
            if let Err(exhausted) = rate.charge(key, now) {
                for (rate, key) in self.keys(forward, head).take(charged) {
                    rate.refund(key, now);
                }
                return Err(Limited {
                    key: rate.key,
                    retry_after: exhausted.retry_after(),
                });
            }
        }
        Ok(())
    }

    /// The rates that count a request, each with the hash of its key there; several for a request
    /// with several credentials, so that a worthless one beside it hides none.
    fn keys<'a>(
        &'a self,
        forward: &'a Forward,
        head: &'a Head,
    ) -> impl Iterator<Item = (&'a Rate, u64)> {
        let on_lane = self.rates.iter().filter(|rate| rate.counts(forward.lane));
        on_lane.flat_map(move |rate| {
            let hash = move |key: &[u8]| (rate, self.secret.hash_one(key));
            let identity = forward.identity.as_ref();
            let one = match rate.key {
                RateKey::Address => Some(hash(AddressBlock::from(forward.client).as_bytes())),
                RateKey::Lane => Some(hash(forward.lane.as_str().as_bytes())),
                RateKey::Token => None,
                RateKey::User => identity.map(|user| hash(user.username.as_str().as_bytes())),
            };
            let tokens = (rate.key == RateKey::Token).then(|| forward.tokens(head).map(hash));
            one.into_iter().chain(tokens.into_iter().flatten())
        })
    }
}

/// One rate. Its keys are spread over several tables, so that workers seldom wait for each other.
#[derive(Debug)]
struct Rate {
    key: RateKey,
    lanes: [bool; Lane::ALL.len()],
    quota: Quota,
    shards: [Limiter<u64, RandomState>; SHARDS],
}

impl Rate {
    fn new(rate: &config::Rate) -> Self {
        Self {
            key: rate.key,
            lanes: Lane::ALL.map(|lane| rate.lanes.contains(&lane)),
            quota: Quota::with_burst(rate.per_minute, rate.burst),
            shards: std::array::from_fn(|_| Limiter::new(MOST_KEYS / SHARDS)),
        }
    }

    fn counts(&self, lane: Lane) -> bool {
        self.lanes.get(lane.index()).copied().unwrap_or_default()
    }

    fn charge(&self, key: u64, now: Moment) -> Result<(), Exhausted> {
        self.shard(key)
            .map_or(Ok(()), |shard| shard.charge(&key, self.quota, now))
    }

    fn refund(&self, key: u64, now: Moment) {
        if let Some(shard) = self.shard(key) {
            shard.refund(&key, self.quota, now);
        }
    }

    /// Always one: the number of shards is a power of two.
    fn shard(&self, key: u64) -> Option<&Limiter<u64, RandomState>> {
        self.shards.get(key as usize & (SHARDS - 1))
    }
}

/// Keys in debt at once, of each rate: about 2 MiB.
pub(crate) const MOST_KEYS: usize = 65_536;

const SHARDS: usize = 16;

#[cfg(test)]
mod tests;
