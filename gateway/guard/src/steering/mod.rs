//! QUIC steering, user space's half: which sockets a datagram can be brought to.
//!
//! Each listening address is a group, whose sockets the kernel would else choose among by a hash of
//! addresses. The processes of the gateway's hand over theirs, generation by generation. All that is
//! known of them is in the maps: it holds while no service runs, and the next one goes on with it.
//!
//! No socket stays open here: it would go on to get datagrams that nobody reads.

mod error;
mod groups;
mod joining;
mod socket;
mod sockets;

use std::io;

use aya::Ebpf;
use aya::maps::{MapData, MapError, PerCpuArray};
use gateway_ebpf::abi::{Generation, Group, Steered};

pub use self::error::SteeringError;
use self::groups::Groups;
pub(crate) use self::joining::MAX_JOINED;
use self::socket::Address;
use self::sockets::Sockets;
use crate::error::GuardError;
use crate::maps::taken;

/// The maps of the steering.
pub(crate) struct Steering {
    groups: Groups,
    sockets: Sockets,
    steered: PerCpuArray<MapData, u64>,
}

/// The sockets of a listening address, as `Steering::list` tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The address.
    pub(crate) address: Address,
    /// The generation that new connections go to.
    pub(crate) newest: u16,
    /// For each generation its number, its workers, and how many of their sockets are open.
    pub(crate) generations: Vec<(Generation, u16)>,
}

impl Steering {
    /// Takes the maps out of what was loaded.
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, MapError> {
        Ok(Self {
            groups: Groups::new(taken(ebpf, "GROUPS")?)?,
            sockets: Sockets::new(taken(ebpf, "SOCKETS")?)?,
            steered: taken(ebpf, "STEERED")?.try_into()?,
        })
    }

    /// Forgets processes that are gone: to be called often. Until then the program passes them over.
    pub(crate) fn look(&mut self) -> Result<(), GuardError> {
        for (address, group) in self.groups.all()? {
            let pruned = self
                .pruned(group)
                .map_err(|source| GuardError::Steering { source })?;
            match pruned {
                None => self.groups.remove(&address)?,
                Some(pruned) if pruned != group => self.groups.set(&address, &pruned)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Who takes part.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, GuardError> {
        let mut listed = Vec::new();
        for (address, group) in self.groups.all()? {
            let mut generations = Vec::new();
            for generation in living(&group) {
                let cookies = self
                    .sockets
                    .of(generation)
                    .map_err(|source| GuardError::Steering { source })?;
                generations.push((*generation, cookies.iter().flatten().count() as u16));
            }
            listed.push(Listed {
                address,
                newest: group.newest,
                generations,
            });
        }
        Ok(listed)
    }

    /// How many datagrams were steered where, since the maps were made.
    pub(crate) fn counts(&self) -> Result<Vec<(Steered, u64)>, MapError> {
        let count = |steered: &Steered| {
            let place = u32::from(*steered as u8);
            Ok((*steered, self.steered.get(&place, 0)?.iter().sum()))
        };
        Steered::ALL.iter().map(count).collect()
    }

    /// A group without the generations of which no socket is open; `None` if none is left.
    fn pruned(&self, mut group: Group) -> io::Result<Option<Group>> {
        for entry in &mut group.generations {
            if entry.workers > 0 && self.sockets.is_gone(entry)? {
                *entry = Generation::default();
            }
        }
        let newest = group.newest;
        let age = |generation: &&Generation| newest.wrapping_sub(generation.number);
        let Some(living) = living(&group).min_by_key(age) else {
            return Ok(None);
        };
        Ok(Some(Group {
            newest: living.number,
            ..group
        }))
    }
}

fn living(group: &Group) -> impl Iterator<Item = &Generation> {
    group.generations.iter().filter(|entry| entry.workers > 0)
}

#[cfg(test)]
mod tests;
