//! The maps as user space sees them.

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::loaded_programs;
use gateway_ebpf::abi::{
    Endpoint, Event, Program, RING_BYTES, Reason, Service, Settings, Source, VERDICTS, verdict,
};
use gateway_ebpf::quick::{Places, Ports};

use crate::guard::Count;
use crate::rules::Rules;
use crate::tables;

/// The maps of loaded programs.
pub(crate) struct Maps {
    settings: Array<MapData, [u8; Settings::SIZE]>,
    services: Array<MapData, [u8; Service::SIZE]>,
    verdicts: PerCpuArray<MapData, u64>,
    lost: PerCpuArray<MapData, u64>,
    events: RingBuf<MapData>,
}

impl Maps {
    /// Takes them out of what was loaded, and fills those that do not change while it lives.
    pub(crate) fn take(ebpf: &mut Ebpf, rules: &Rules) -> Result<Self, MapError> {
        let mut places: Array<_, Places> = map_mut(ebpf, "LOCAL_PORTS")?.try_into()?;
        places.set(0, tables::local_ports(rules), 0)?;
        let mut ports: Array<_, [u8; size_of::<Ports>()]> =
            map_mut(ebpf, "REMOTE_PORTS")?.try_into()?;
        ports.set(0, tables::remote_ports(rules), 0)?;
        let mut addresses: HashMap<_, [u8; Endpoint::SIZE], u8> =
            map_mut(ebpf, "ADDRESSES")?.try_into()?;
        for endpoint in tables::addresses(rules) {
            addresses.insert(endpoint.to_bytes(), 1, 0)?;
        }
        let mut remotes: HashMap<_, [u8; Endpoint::SIZE], u8> =
            map_mut(ebpf, "REMOTES")?.try_into()?;
        for endpoint in tables::remotes(rules) {
            remotes.insert(endpoint.to_bytes(), 1, 0)?;
        }
        let mut allowed: LpmTrie<_, [u8; Source::SIZE], u8> =
            map_mut(ebpf, "ALLOWED")?.try_into()?;
        for (bits, source) in tables::allowed(rules) {
            allowed.insert(&Key::new(bits, source.to_bytes()), 1, 0)?;
        }
        Ok(Self {
            settings: taken(ebpf, "SETTINGS")?.try_into()?,
            services: taken(ebpf, "SERVICES")?.try_into()?,
            verdicts: taken(ebpf, "VERDICTS")?.try_into()?,
            lost: taken(ebpf, "LOST")?.try_into()?,
            events: taken(ebpf, "EVENTS")?.try_into()?,
        })
    }

    /// Sets what concerns every endpoint.
    pub(crate) fn set_settings(&mut self, settings: &Settings) -> Result<(), MapError> {
        self.settings.set(0, settings.to_bytes(), 0)
    }

    /// Sets the protected ports, as many of them as ever.
    pub(crate) fn set_services(&mut self, services: &[Service]) -> Result<(), MapError> {
        (0..)
            .zip(services)
            .try_for_each(|(place, service)| self.services.set(place, service.to_bytes(), 0))
    }

    /// Every counter that is not 0.
    pub(crate) fn counts(&self) -> Result<Vec<Count>, MapError> {
        let mut counts = Vec::new();
        debug_assert_eq!(self.verdicts.len(), VERDICTS);
        for program in Program::ALL {
            for reason in Reason::ALL {
                for enforced in [false, true] {
                    let place = verdict(*program, *reason, enforced);
                    let count = self.verdicts.get(&place, 0)?.iter().sum();
                    if count != 0 {
                        counts.push(Count {
                            program: *program,
                            reason: *reason,
                            enforced,
                            count,
                        });
                    }
                }
            }
        }
        Ok(counts)
    }

    /// Events that found no place.
    pub(crate) fn lost(&self) -> Result<u64, MapError> {
        Ok(self.lost.get(&0, 0)?.iter().sum())
    }

    /// Takes the events out of the ring, no more than fit into it: new ones may come as fast.
    pub(crate) fn events(&mut self, mut take: impl FnMut(&Event)) {
        for _ in 0..RING_BYTES as usize / Event::SIZE {
            let Some(item) = self.events.next() else {
                return;
            };
            // The programs write nothing else.
            if let Ok(bytes) = <&[u8; Event::SIZE]>::try_from(&*item) {
                take(&Event::from_bytes(bytes));
            }
        }
    }
}

/// The settings of a program that is attached already, by its id: of another instance's, that is.
/// `None` if it is none of ours, or of a version whose settings differ.
pub(crate) struct Foreign(Array<MapData, [u8; Settings::SIZE]>);

impl Foreign {
    /// Finds them.
    pub(crate) fn find(program: u32) -> Option<Self> {
        let program = loaded_programs()
            .flatten()
            .find(|info| info.id() == program)?;
        let data = program
            .map_ids()
            .ok()??
            .into_iter()
            .filter_map(|id| MapData::from_id(id).ok())
            .find(|map| {
                map.info()
                    .is_ok_and(|info| info.name_as_str() == Some("SETTINGS"))
            })?;
        let found = Self(Array::try_from(Map::Array(data)).ok()?);
        (found.get().ok()?.layout == Settings::LAYOUT).then_some(found)
    }

    /// Reads them.
    pub(crate) fn get(&self) -> Result<Settings, MapError> {
        Ok(Settings::from_bytes(&self.0.get(&0, 0)?))
    }

    /// Changes them.
    pub(crate) fn set(&mut self, settings: &Settings) -> Result<(), MapError> {
        self.0.set(0, settings.to_bytes(), 0)
    }
}

pub(crate) fn taken(ebpf: &mut Ebpf, name: &str) -> Result<Map, MapError> {
    ebpf.take_map(name).ok_or_else(|| unknown(name))
}

/// One that stays with the programs, which need it open until they are loaded.
fn map_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map, MapError> {
    ebpf.map_mut(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> MapError {
    MapError::InvalidName {
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{self, Group};
    use crate::{Guard, Mode, Options, has_object};

    #[test]
    fn settings_of_another_layout_are_left_alone() {
        let Some(hierarchy) = sandbox::hierarchy().filter(|_| has_object()) else {
            return;
        };
        let group = Group::new(&hierarchy);
        let rules = Rules {
            slice: group.path().into(),
            locals: Vec::new(),
            remotes: vec!["192.0.2.1:9".parse().unwrap()],
            exceptions: Vec::new(),
        };
        let options = Options {
            pins: None,
            programs: Some(vec![Program::Connect4]),
            statistics: false,
        };
        let guard = Guard::start(rules, Mode::Audit, options).unwrap();
        let program = guard.links()[0].program_id;
        let mut foreign = Foreign::find(program).unwrap();
        let settings = foreign.get().unwrap();
        for layout in [0, Settings::LAYOUT - 1, Settings::LAYOUT + 1] {
            foreign.set(&Settings { layout, ..settings }).unwrap();
            assert!(Foreign::find(program).is_none(), "{layout}");
        }
        foreign.set(&settings).unwrap();
        assert!(Foreign::find(program).is_some());
    }
}
