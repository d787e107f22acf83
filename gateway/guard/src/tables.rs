//! What the rules mean for the maps: pure, so that it can be tested without a kernel.

use std::net::{IpAddr, SocketAddr};

use gateway_ebpf::abi::{Ancestor, Endpoint, Service, Settings, Source};
use gateway_ebpf::packet::mapped;
use gateway_ebpf::quick::{Places, Ports, place};

use crate::rules::{Exception, Local, Mode, Rules};

/// Everything that the rules name, as found on this host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The gateway's slice.
    pub(crate) slice: Option<Ancestor>,
    /// For each local endpoint.
    pub(crate) services: Vec<FoundService>,
    /// For each exception by cgroup, in their order.
    pub(crate) exceptions: Vec<Option<Ancestor>>,
}

/// What a local endpoint names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundService {
    /// The service's cgroup.
    pub(crate) cgroup: Option<Ancestor>,
    /// The cookie of its namespace: the last one known, so that a name that vanished (the processes
    /// in it may live on) opens nothing.
    pub(crate) namespace: u64,
}

/// The content of `SETTINGS`.
pub(crate) fn settings(rules: &Rules, found: &Found, mode: Mode, epoch: u32) -> Settings {
    let mut settings = Settings {
        gateway: found.slice.unwrap_or_default(),
        enforce: u32::from(mode == Mode::Enforce),
        epoch,
        layout: Settings::LAYOUT,
        ..Settings::default()
    };
    // One that does not exist at the moment leaves no hole: the programs stop at the first.
    let present = found.exceptions.iter().flatten();
    for (place, exception) in settings.exceptions.iter_mut().zip(present) {
        *place = *exception;
    }
    let uids = rules
        .exceptions
        .iter()
        .filter_map(|exception| match exception {
            Exception::Cgroup(_) => None,
            Exception::Uid(uid) => Some(*uid),
        });
    for (place, uid) in settings.exception_uids.iter_mut().zip(uids) {
        *place = uid;
        settings.exception_uid_count += 1;
    }
    settings
}

/// The entries of `SERVICES`. Endpoints that share a port are one service on several addresses.
pub(crate) fn services(rules: &Rules, found: &Found) -> Vec<Service> {
    let ports = service_ports(rules);
    let mut services = vec![Service::default(); ports.len()];
    for (local, there) in rules.locals.iter().zip(&found.services) {
        for (port, entry) in ports.iter().zip(&mut services) {
            if *port == local.port {
                let mut service = service(local, there);
                service.flags |= entry.flags;
                *entry = service;
            }
        }
    }
    services
}

/// The ports of the entries of `SERVICES`, in their order.
fn service_ports(rules: &Rules) -> Vec<u16> {
    let mut ports = Vec::new();
    for local in &rules.locals {
        if !ports.contains(&local.port) {
            ports.push(local.port);
        }
    }
    ports
}

fn service(local: &Local, found: &FoundService) -> Service {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    Service {
        namespace: found.namespace,
        cgroup: found.cgroup.unwrap_or_default(),
        uid: local.uid.unwrap_or_default(),
        flags: flag(local.address.is_none(), Service::ANY_ADDRESS)
            | flag(local.uid.is_some(), Service::CHECK_UID)
            | flag(local.reserve, Service::RESERVE),
    }
}

/// The content of `LOCAL_PORTS`.
pub(crate) fn local_ports(rules: &Rules) -> Places {
    let mut places = [0; _];
    // The configuration allows no more than fit.
    for (number, port) in (1..).zip(service_ports(rules)) {
        if let Some(place) = places.get_mut(usize::from(port)) {
            *place = number;
        }
    }
    places
}

/// The content of `REMOTE_PORTS`.
pub(crate) fn remote_ports(rules: &Rules) -> [u8; size_of::<Ports>()] {
    let mut set: Ports = [0; _];
    for remote in &rules.remotes {
        let (word, bit) = place(remote.port());
        if let Some(word) = set.get_mut(word) {
            *word |= bit;
        }
    }
    let mut bytes = [0; _];
    for (eight, word) in bytes.chunks_exact_mut(8).zip(set) {
        eight.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// The keys of `ADDRESSES`.
pub(crate) fn addresses(rules: &Rules) -> impl Iterator<Item = Endpoint> {
    rules.locals.iter().filter_map(|local| {
        local.address.map(|address| Endpoint {
            address: octets(address),
            port: local.port,
            padding: 0,
        })
    })
}

/// The keys of `REMOTES`.
pub(crate) fn remotes(rules: &Rules) -> impl Iterator<Item = Endpoint> {
    rules.remotes.iter().flat_map(|remote: &SocketAddr| {
        [remote.port(), 0].map(|port| Endpoint {
            address: octets(remote.ip()),
            port,
            padding: 0,
        })
    })
}

/// The keys of `ALLOWED`, each with its prefix length in bits.
pub(crate) fn allowed(rules: &Rules) -> impl Iterator<Item = (u32, Source)> {
    rules.locals.iter().flat_map(|local| {
        local.allow_from.iter().map(|network| {
            let bits = match network.address {
                // Behind the prefix of v4-mapped addresses.
                IpAddr::V4(_) => 96 + u32::from(network.prefix),
                IpAddr::V6(_) => u32::from(network.prefix),
            };
            let source = Source {
                port: local.port.to_be_bytes(),
                address: octets(network.address),
            };
            (Source::PORT_BITS + bits, source)
        })
    })
}

/// An address as the programs have it.
pub(crate) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Network;

    fn local(address: Option<&str>, port: u16) -> Local {
        Local {
            address: address.map(|address| address.parse().unwrap()),
            port,
            service: "/service".into(),
            uid: None,
            namespace: None,
            reserve: false,
            allow_from: Vec::new(),
        }
    }

    fn rules(locals: Vec<Local>) -> Rules {
        Rules {
            slice: "/gateway".into(),
            locals,
            remotes: vec!["192.0.2.1:8080".parse().unwrap()],
            exceptions: vec![
                Exception::Uid(7),
                Exception::Cgroup("/a".into()),
                Exception::Cgroup("/b".into()),
                Exception::Uid(9),
            ],
        }
    }

    fn cgroup(id: u64) -> Ancestor {
        Ancestor {
            id,
            level: 2,
            padding: 0,
        }
    }

    #[test]
    fn what_does_not_exist_matches_nothing_and_hides_nothing() {
        let found = Found {
            slice: None,
            services: Vec::new(),
            exceptions: vec![None, Some(cgroup(5))],
        };
        let settings = settings(&rules(Vec::new()), &found, Mode::Enforce, 3);
        assert_eq!(settings.gateway, Ancestor::default());
        assert_eq!(settings.exceptions[..2], [cgroup(5), Ancestor::default()]);
        assert_eq!(settings.exception_uid_count, 2);
        assert_eq!(settings.exception_uids[..3], [7, 9, 0]);
        assert_eq!((settings.enforce, settings.epoch), (1, 3));
        assert_eq!(settings.layout, Settings::LAYOUT);
        let audit = super::settings(&rules(Vec::new()), &found, Mode::Audit, 4);
        assert_eq!((audit.enforce, audit.epoch), (0, 4));
    }

    #[test]
    fn endpoints_of_one_port_are_one_service() {
        let rules = rules(vec![
            local(Some("10.0.0.1"), 3939),
            local(Some("2001:db8::1"), 3939),
            Local {
                uid: Some(0),
                reserve: true,
                ..local(None, 4000)
            },
        ]);
        let there = FoundService {
            cgroup: Some(cgroup(8)),
            namespace: 77,
        };
        let found = Found {
            services: vec![there, there, FoundService::default()],
            ..Found::default()
        };
        let services = services(&rules, &found);
        assert_eq!(services.len(), 2);
        let (places, first) = (local_ports(&rules), services[0]);
        assert_eq!((places[3939], first.flags), (1, 0));
        assert_eq!((first.namespace, first.cgroup), (77, cgroup(8)));
        let second = services[1];
        assert_eq!(places[4000], 2);
        assert_eq!(places.iter().filter(|place| **place != 0).count(), 2);
        let all = Service::ANY_ADDRESS | Service::CHECK_UID | Service::RESERVE;
        assert_eq!((second.flags, second.cgroup.id), (all, 0));
        let keys: Vec<_> = addresses(&rules).map(|key| key.port).collect();
        assert_eq!(keys, [3939, 3939]);
    }

    #[test]
    fn networks_count_behind_the_port() {
        let network = |address: &str, prefix| Network {
            address: address.parse().unwrap(),
            prefix,
        };
        let rules = rules(vec![Local {
            allow_from: vec![network("192.0.2.0", 24), network("2001:db8::", 32)],
            ..local(None, 3939)
        }]);
        let allowed: Vec<_> = allowed(&rules).collect();
        assert_eq!(allowed[0].0, 16 + 96 + 24);
        assert_eq!(allowed[0].1.port, 3939u16.to_be_bytes());
        assert_eq!(allowed[0].1.address, mapped([192, 0, 2, 0]));
        assert_eq!(allowed[1].0, 16 + 32);
    }

    #[test]
    fn a_remote_endpoint_is_also_an_address() {
        let keys: Vec<_> = remotes(&rules(Vec::new())).collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].port, 8080);
        assert_eq!(keys[1].port, 0);
        assert_eq!(keys[0].address, mapped([192, 0, 2, 1]));
    }

    #[test]
    fn ports_are_bits() {
        let rules = Rules {
            remotes: vec![
                "192.0.2.1:3939".parse().unwrap(),
                "[::1]:65535".parse().unwrap(),
            ],
            ..rules(Vec::new())
        };
        let bytes = remote_ports(&rules);
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones, 2);
        let word = |index: usize| {
            let bytes = &bytes[index * 8..index * 8 + 8];
            u64::from_ne_bytes(bytes.try_into().unwrap())
        };
        assert_eq!(word(3939 >> 6), 1 << (3939 & 63));
        assert_eq!(word(1023), 1 << 63);
    }
}
