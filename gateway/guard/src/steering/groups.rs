//! The map of groups.

use aya::maps::{HashMap, Map, MapData, MapError};
use gateway_ebpf::abi::{Endpoint, Group};

use super::socket::Address;
use crate::error::GuardError;

/// See the module.
pub(super) struct Groups(HashMap<MapData, [u8; Endpoint::SIZE], [u8; Group::SIZE]>);

impl Groups {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        Ok(Self(map.try_into()?))
    }

    /// All. One that comes or goes meanwhile may be among them or not.
    pub(super) fn all(&self) -> Result<Vec<(Address, Group)>, GuardError> {
        let mut all = Vec::new();
        for entry in self.0.iter() {
            let (key, value) = entry?;
            let address = Address::of(Endpoint::from_bytes(&key));
            all.push((address, Group::from_bytes(&value)));
        }
        Ok(all)
    }

    /// That of an address.
    pub(super) fn get(&self, address: &Address) -> Result<Option<Group>, GuardError> {
        match self.0.get(&address.key(), 0) {
            Ok(value) => Ok(Some(Group::from_bytes(&value))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts another in its place, at once.
    pub(super) fn set(&mut self, address: &Address, group: &Group) -> Result<(), GuardError> {
        Ok(self.0.insert(address.key(), group.to_bytes(), 0)?)
    }

    /// Forgets it.
    pub(super) fn remove(&mut self, address: &Address) -> Result<(), GuardError> {
        Ok(self.0.remove(&address.key())?)
    }
}
