//! How a process comes to take part.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::programs::sk_reuseport::SkReuseportError;
use aya::programs::{ProgramError, SkReuseport};
use gateway_ebpf::abi::{Generation, Group, MAX_SOCKETS};
use gateway_ebpf::steering::{generation, place_of};

use super::error::SteeringError;
use super::socket::{self, Address};
use super::{Steering, living};
use crate::control::Join;
use crate::error::GuardError;

impl Steering {
    /// Lets a process take part with these sockets, and makes it the newest if it is. Returns its
    /// generation. Who has joined already joins again without effect.
    pub(crate) fn join(
        &mut self,
        program: &SkReuseport,
        join: &Join,
        sockets: &[OwnedFd],
    ) -> Result<u16, SteeringError> {
        let joining = self.joining(join, sockets)?;
        let number = self.number(join, &joining)?;
        let mut placed = Vec::new();
        let done = joining
            .into_iter()
            .try_for_each(|one| self.place(program, join, number, one, &mut placed));
        if let Err(error) = done {
            // Those that are in groups already go out of them by the next look.
            for place in placed {
                self.sockets
                    .free(place)
                    .map_err(io("taking a socket back"))?;
            }
            return Err(error);
        }
        Ok(number)
    }

    /// Checks what came, and looks up the groups that it is for.
    fn joining<'a>(
        &self,
        join: &Join,
        sockets: &'a [OwnedFd],
    ) -> Result<Vec<Joining<'a>>, SteeringError> {
        let expected = join.sockets();
        if sockets.len() != expected || !(1..=MAX_JOINED).contains(&expected) {
            return Err(SteeringError::Count {
                expected,
                found: sockets.len(),
            });
        }
        let workers = usize::from(join.workers);
        let mut joining: Vec<Joining<'a>> = Vec::new();
        for (first, of_address) in (0..).step_by(workers).zip(sockets.chunks(workers)) {
            let mut one: Option<Joining<'a>> = None;
            for (index, socket) in (first..).zip(of_address) {
                let fault = |expected| SteeringError::Socket { index, expected };
                let facts = socket::facts(socket.as_fd()).map_err(fault)?;
                let is_new = joining.iter().all(|known| known.address != facts.address);
                let again =
                    |one: &Joining<'_>| one.sockets.iter().any(|known| known.1 == facts.cookie);
                if one.as_ref().is_some_and(again) {
                    return Err(fault("a socket of its own for each worker"));
                }
                let known = (socket.as_fd(), facts.cookie);
                match &mut one {
                    Some(one) if one.address == facts.address => one.sockets.push(known),
                    None if is_new => {
                        one = Some(Joining {
                            address: facts.address,
                            group: self.group(facts.address, facts.namespace, join)?,
                            sockets: vec![known],
                        });
                    }
                    _ => {
                        return Err(fault(
                            "the sockets of all workers of one address, then the next",
                        ));
                    }
                }
            }
            joining.extend(one);
        }
        Ok(joining)
    }

    /// A group as it is to go on, without the process that joins.
    fn group(&self, address: Address, namespace: u64, join: &Join) -> Result<Group, SteeringError> {
        let found = match self.groups.get(&address)? {
            Some(group) => self.pruned(group).map_err(io("looking up sockets"))?,
            None => None,
        };
        let group = found.unwrap_or_default();
        if found.is_some() && group.namespace != namespace {
            return Err(SteeringError::Namespace(address.to_string()));
        }
        // A successor has them from its predecessor. Of anybody else's the IDs in use would be none.
        let has_keys = (group.conceal, group.prove) == (join.keys.conceal, join.keys.prove);
        if found.is_some() && !has_keys {
            return Err(SteeringError::Keys(address.to_string()));
        }
        Ok(Group {
            conceal: join.keys.conceal,
            prove: join.keys.prove,
            namespace,
            ..group
        })
    }

    /// The generation of who joins: what it asks for, or the next if that is not free.
    fn number(&self, join: &Join, joining: &[Joining<'_>]) -> Result<u16, SteeringError> {
        let mut number = join.generation;
        let mut known = None;
        for one in joining {
            for generation in living(&one.group) {
                let cookies = self
                    .sockets
                    .of(generation)
                    .map_err(io("looking up sockets"))?;
                let there: BTreeSet<u64> = cookies.into_iter().flatten().collect();
                if one.sockets.iter().any(|(_, cookie)| there.contains(cookie)) {
                    known = Some(generation.number);
                } else if join.fixed && generation.number == number {
                    return Err(SteeringError::Taken(number));
                } else if !join.fixed && !is_after(number, generation.number) {
                    number = generation.number.wrapping_add(1);
                }
            }
        }
        match known {
            Some(known) if join.fixed && known != number => Err(SteeringError::Again(known)),
            Some(known) => Ok(known),
            None => Ok(number),
        }
    }

    /// Puts a process's sockets of one address into the array, then into their group.
    fn place(
        &mut self,
        program: &SkReuseport,
        join: &Join,
        number: u16,
        one: Joining<'_>,
        placed: &mut Vec<u32>,
    ) -> Result<(), SteeringError> {
        let Joining {
            address,
            mut group,
            sockets,
        } = one;
        let base = match generation(&group, number) {
            Some(generation) if generation.workers == join.workers => generation.base,
            Some(_) => return Err(SteeringError::Taken(number)),
            None => self.room(join.workers)?,
        };
        for (place, (socket, cookie)) in (base..).zip(&sockets) {
            match self.sockets.at(place).map_err(io("looking up a socket"))? {
                Some(there) if there == *cookie => continue,
                Some(_) => return Err(SteeringError::Taken(number)),
                None => {}
            }
            match self.sockets.put(place, *socket) {
                Ok(()) => placed.push(place),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    // The array that has it goes with the program, some time after it.
                    detach(*socket)?;
                    return Err(SteeringError::Busy);
                }
                Err(error) => return Err(io("taking a socket")(error)),
            }
        }
        if living(&group).next().is_none() || is_after(number, group.newest) {
            group.newest = number;
        }
        let Some(entry) = group.generations.get_mut(place_of(number)) else {
            return Err(SteeringError::Full("generations"));
        };
        if entry.workers > 0 && entry.number != number {
            return Err(SteeringError::Full("generations alive"));
        }
        *entry = Generation {
            base,
            number,
            workers: join.workers,
        };
        // In this order: a program that finds nothing leaves it to the kernel.
        self.groups.set(&address, &group)?;
        // Any socket stands for all of its group.
        if let Some((socket, _)) = sockets.first() {
            program.attach(socket).map_err(refused)?;
        }
        Ok(())
    }

    /// The first place of so many that are free.
    fn room(&self, workers: u16) -> Result<u32, SteeringError> {
        let mut taken: Vec<(u32, u32)> = Vec::new();
        for (_, group) in self.groups.all()? {
            taken.extend(living(&group).map(|generation| {
                let end = generation.base + u32::from(generation.workers);
                (generation.base, end)
            }));
        }
        taken.sort_unstable();
        let mut base = 0;
        for (begin, end) in taken {
            if begin >= base + u32::from(workers) {
                break;
            }
            base = base.max(end);
        }
        if base + u32::from(workers) > MAX_SOCKETS {
            return Err(SteeringError::Full("sockets"));
        }
        Ok(base)
    }
}

/// The sockets of one address that a process joins with.
struct Joining<'a> {
    address: Address,
    group: Group,
    /// Each with its cookie, by worker.
    sockets: Vec<(BorrowedFd<'a>, u64)>,
}

/// Whether a number comes after another (RFC 1982): numbers wrap, and those alive are close.
fn is_after(number: u16, other: u16) -> bool {
    (1..=i16::MAX.cast_unsigned()).contains(&number.wrapping_sub(other))
}

/// Takes the program away from the group of a socket, if it has one.
fn detach(socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
    match SkReuseport::detach(socket) {
        Err(ProgramError::SkReuseportError(SkReuseportError::SetsockoptError {
            io_error, ..
        })) if io_error.kind() == io::ErrorKind::NotFound => Ok(()),
        detached => detached.map_err(refused),
    }
}

fn io(doing: &'static str) -> impl Fn(io::Error) -> SteeringError {
    move |source| SteeringError::Io { doing, source }
}

fn refused(source: ProgramError) -> SteeringError {
    let program = "steer";
    SteeringError::Guard(GuardError::Program { program, source })
}

/// The most sockets that one process joins with: each is open for a moment.
pub(crate) const MAX_JOINED: usize = 512;
