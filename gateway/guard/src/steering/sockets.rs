//! The array of sockets. The kernel takes out what is closed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, MapError};
use gateway_ebpf::abi::Generation;

use crate::sys;

/// See the module.
pub(super) struct Sockets(MapData);

impl Sockets {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        match map {
            Map::ReusePortSockArray(sockets) => Ok(Self(sockets)),
            _ => Err(MapError::InvalidName {
                name: "SOCKETS".to_owned(),
            }),
        }
    }

    /// The cookie of the socket at a place; `None` if the place is free.
    pub(super) fn at(&self, place: u32) -> io::Result<Option<u64>> {
        sys::socket_at(self.array(), place)
    }

    /// Puts a socket there.
    pub(super) fn put(&mut self, place: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        sys::put_socket(self.array(), place, socket)
    }

    /// Frees a place.
    pub(super) fn free(&mut self, place: u32) -> io::Result<()> {
        sys::remove_socket(self.array(), place)
    }

    /// The cookies of a process's sockets, by worker.
    pub(super) fn of(&self, generation: &Generation) -> io::Result<Vec<Option<u64>>> {
        places(generation).map(|place| self.at(place)).collect()
    }

    /// Whether a process has none any more.
    pub(super) fn is_gone(&self, generation: &Generation) -> io::Result<bool> {
        for place in places(generation) {
            if self.at(place)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn array(&self) -> BorrowedFd<'_> {
        self.0.fd().as_fd()
    }
}

fn places(generation: &Generation) -> impl Iterator<Item = u32> + use<> {
    generation.base..generation.base + u32::from(generation.workers)
}
