//! How many clients are connected at once, in total and from one address, over all workers.
//!
//! Asked when a connection begins and when it ends, never by a request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::Limits;

use crate::address::AddressBlock;
use crate::memory;

/// The places for clients' connections.
///
/// Memory is bounded: an address is held only while it has a connection, so there are never more
/// addresses than places.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    taken: AtomicU32,
    /// Connections by address, spread so that workers seldom wait for each other.
    shards: [Mutex<HashMap<AddressBlock, u32>>; SHARDS],
    hasher: RandomState,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Its address has as many as it may have.
    Address,
    /// There is no descriptor left for it.
    Descriptors,
    /// All places are taken.
    Total,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: Option<AddressBlock>,
}

impl Full {
    /// Every cause, in the order of their indexes.
    pub(crate) const ALL: [Self; 3] = [Self::Address, Self::Descriptors, Self::Total];

    /// The label in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Descriptors => "descriptors",
            Self::Total => "total",
        }
    }
}

impl Admission {
    /// All places free.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            taken: AtomicU32::new(0),
            shards: Default::default(),
            hasher: RandomState::new(),
        })
    }

    /// Takes a place for a connection whose client is not known yet.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, Full> {
        // No memory is published by these counts, so no ordering is needed.
        let one_more = |taken: u32| (taken < self.limits.connections).then_some(taken + 1);
        match self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
        {
            Ok(_) => Ok(Place {
                admission: Arc::clone(self),
                address: None,
            }),
            Err(_) => Err(Full::Total),
        }
    }

    fn shard(&self, address: AddressBlock) -> MutexGuard<'_, HashMap<AddressBlock, u32>> {
        let index = self.hasher.hash_one(address) as usize % SHARDS;
        let [first, ..] = &self.shards;
        // Locks also after a panic elsewhere: no section leaves a count half-changed.
        let shard = self.shards.get(index).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts the connection as one of this client's, once.
    pub(crate) fn belongs_to(&mut self, client: IpAddr) -> Result<(), Full> {
        debug_assert!(self.address.is_none(), "a place has one client");
        let address = AddressBlock::from(client);
        let mut shard = self.admission.shard(address);
        let count = shard.entry(address).or_insert(0);
        if *count >= self.admission.limits.connections_per_address {
            return Err(Full::Address);
        }
        *count += 1;
        drop(shard);
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut shard = self.admission.shard(address);
            match shard.entry(address) {
                Entry::Occupied(mut entry) if *entry.get() > 1 => *entry.get_mut() -= 1,
                Entry::Occupied(entry) => {
                    entry.remove();
                    // What a flood took goes back. Halving keeps the cost of it away from most ends.
                    if shard.capacity() > SHARD_KEPT && shard.len() < shard.capacity() / 4 {
                        let half = shard.capacity() / 2;
                        shard.shrink_to(half);
                    }
                }
                Entry::Vacant(_) => debug_assert!(false, "an address without a count"),
            }
        }
        self.admission.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The most bytes that the table takes for each connection.
pub(crate) const OF_ADDRESS: usize = memory::table::<(AddressBlock, u32)>(1);

/// A power of two, so that the hash is spread evenly.
const SHARDS: usize = 16;

/// Entries that a shard keeps room for in any case.
const SHARD_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: u32, connections_per_address: u32) -> Arc<Admission> {
        Admission::new(Limits {
            connections,
            connections_per_address,
            header_fields: 128,
            target: 32_768,
            body_rate: None,
            http3_handshakes: 0,
            http3_streams: 1,
        })
    }

    fn taken(admission: &Admission) -> (u32, u32) {
        let shards = admission.shards.iter();
        let counts = shards.map(|shard| shard.lock().unwrap().values().sum::<u32>());
        (admission.taken.load(Ordering::Relaxed), counts.sum())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let admission = admission(2, 9);
        let mut one = admission.admit().unwrap();
        let two = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Full::Total);
        one.belongs_to(address("192.0.2.1")).unwrap();
        assert_eq!(taken(&admission), (2, 1));
        drop(one);
        assert_eq!(taken(&admission), (1, 0));
        let three = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Full::Total);
        drop((two, three));
        assert_eq!(taken(&admission), (0, 0));
    }

    #[test]
    fn an_address_has_its_share_and_no_other_suffers() {
        let admission = admission(100, 2);
        let place = |client: &str| {
            let mut place = admission.admit().unwrap();
            place.belongs_to(address(client)).map(|()| place)
        };
        let one = place("2001:db8::1").unwrap();
        let _two = place("2001:db8::ffff:2").unwrap();
        assert_eq!(place("2001:db8::3").unwrap_err(), Full::Address);
        // One that was refused counts nowhere.
        assert_eq!(taken(&admission), (2, 2));
        let _other = place("2001:db8:0:1::1").unwrap();
        let _mapped = place("::ffff:192.0.2.1").unwrap();
        let _v4 = place("192.0.2.1").unwrap();
        assert_eq!(place("192.0.2.1").unwrap_err(), Full::Address);
        drop(one);
        let _again = place("2001:db8::3").unwrap();
        assert_eq!(place("2001:db8::1").unwrap_err(), Full::Address);
    }

    #[test]
    fn counts_are_exact_between_threads() {
        let admission = admission(6, 2);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let admission = &admission;
                scope.spawn(move || {
                    for round in 0..5_000_u32 {
                        let Ok(mut place) = admission.admit() else {
                            continue;
                        };
                        let octet = thread.wrapping_add(round as u8) % 3;
                        if place.belongs_to(IpAddr::from([192, 0, 2, octet])).is_ok() {
                            let (total, _) = taken(admission);
                            assert!((1..=6).contains(&total), "{total}");
                        }
                    }
                });
            }
        });
        assert_eq!(taken(&admission), (0, 0));
        assert!(
            admission
                .shards
                .iter()
                .all(|shard| shard.lock().unwrap().is_empty())
        );
    }

    #[test]
    fn a_flood_of_addresses_leaves_no_memory_behind() {
        const MANY: u32 = 50_000;
        let admission = admission(MANY, 1);
        let places: Vec<Place> = (0..MANY)
            .map(|number| {
                let mut place = admission.admit().unwrap();
                place
                    .belongs_to(IpAddr::from(number.to_be_bytes()))
                    .unwrap();
                place
            })
            .collect();
        let room = || {
            let shards = admission.shards.iter();
            let capacity = shards.map(|shard| shard.lock().unwrap().capacity());
            capacity.sum::<usize>()
        };
        assert!(room() >= MANY as usize);
        let entry = size_of::<(AddressBlock, u32)>() + 1;
        assert!(room() * 8 / 7 * entry <= MANY as usize * OF_ADDRESS);
        drop(places);
        assert!(room() <= SHARDS * 4 * SHARD_KEPT, "{}", room());
    }
}
