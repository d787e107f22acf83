//! Which socket of a listening address gets a datagram: that of the worker that has its QUIC
//! connection, whatever addresses it comes from, and else one of the newest process.
//!
//! A datagram is never dropped here. Where the socket that should have it is gone another gets it,
//! which can tell its sender so.

use crate::abi::{GENERATIONS, Generation, Group, Steered};
use crate::connection_id::{Home, Keys, LEN};

/// How many bytes of a datagram's payload are read: a long header's up to the end of our IDs. A QUIC
/// packet is longer (RFC 9000 §10.3: whatever is shorter than 21 bytes is none, and one of ours has
/// an ID of 16).
pub const HEAD: usize = 6 + LEN;

/// Says where a datagram goes, and brings it there: `take` is asked for one place in `SOCKETS` after
/// the other, until it says that the socket there is alive and has the datagram. `head` is the
/// beginning of the payload, if it has one, and `hash` the kernel's, of the addresses.
#[inline(always)]
pub fn steer(
    group: &Group,
    head: Option<[u8; HEAD]>,
    hash: u32,
    mut take: impl FnMut(u32) -> bool,
) -> Steered {
    let mut otherwise = Steered::Spread;
    if let Some(id) = head.and_then(connection_id)
        && let Some(home) = Keys::new(group.conceal, group.prove).open(id)
    {
        if let Some(place) = place(group, home)
            && take(place)
        {
            return Steered::Home;
        }
        otherwise = Steered::Orphaned;
    }
    let mut number = group.newest;
    for _ in 0..GENERATIONS_TRIED {
        if let Some(generation) = generation(group, number) {
            // As the kernel scales its hash: no division.
            let scaled = (u64::from(hash) * u64::from(generation.workers)) >> 32;
            let mut worker = scaled as u32;
            for _ in 0..WORKERS_TRIED {
                if take(generation.base + worker) {
                    return otherwise;
                }
                worker += 1;
                if worker >= u32::from(generation.workers) {
                    worker = 0;
                }
            }
        }
        number = number.wrapping_sub(1);
    }
    Steered::Unsteered
}

/// A process of a group by its number; `None` if it has none of that number.
#[inline(always)]
pub fn generation(group: &Group, number: u16) -> Option<&Generation> {
    let generation = &group.generations[place_of(number)];
    (generation.number == number && generation.workers > 0).then_some(generation)
}

/// The place of a process in `Group::generations`.
#[inline(always)]
pub const fn place_of(number: u16) -> usize {
    number as usize % GENERATIONS
}

/// The destination ID of a packet, if it is as long as ours are (RFC 9000 §17.2, §17.3). That of a
/// short header has no length: it must be ours.
#[inline(always)]
fn connection_id(head: [u8; HEAD]) -> Option<[u8; LEN]> {
    let [first, _, _, _, _, length, ..] = head;
    let (short, long) = (head.first_chunk::<{ 1 + LEN }>()?, head.last_chunk()?);
    if first & LONG_HEADER == 0 {
        short.last_chunk().copied()
    } else if length as usize == LEN {
        Some(*long)
    } else {
        None
    }
}

#[inline(always)]
fn place(group: &Group, home: Home) -> Option<u32> {
    let generation = generation(group, home.generation)?;
    (home.worker < generation.workers).then(|| generation.base + u32::from(home.worker))
}

/// The bit of a packet's first byte by which its header is a long one.
const LONG_HEADER: u8 = 0x80;

/// For how many generations, back from the newest, and for how many workers of each somebody alive is
/// looked for. Who dies goes out of the map in time: this is for the moments before.
const GENERATIONS_TRIED: u32 = 4;
const WORKERS_TRIED: u32 = 4;

// Else two numbers in a row would have one place where they wrap.
const _: () = assert!(GENERATIONS.is_power_of_two());

#[cfg(test)]
mod tests;
