//! `[[guard.local]]`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use policy::IpNet;

use super::{CGROUP, USER, at_most, cgroup, endpoint, user};
use crate::cgroup::CgroupPath;
use crate::context::Missing;
use crate::raw::Section;
use crate::validate::{all, everyone_is_in, networks_without};
use crate::value::Value;
use crate::{GuardLocal, Origin};

/// The tables as far as each could be read, so that they can be compared.
pub(super) struct Locals<'a>(Vec<Result<Local<'a>, Missing>>);

/// One table; its section is still open.
pub(super) struct Local<'a> {
    pub(super) section: Section<'a>,
    pub(super) service: Result<CgroupPath, Missing>,
    pub(super) uid: Result<Option<u32>, Missing>,
    pub(super) run_as: Result<Vec<u32>, Missing>,
    address: Result<(Option<IpAddr>, NonZeroU16, Origin), Missing>,
    namespace: Result<Option<PathBuf>, Missing>,
    reserve: Result<bool, Missing>,
    allow_from: Result<Vec<IpNet>, Missing>,
}

impl<'a> Locals<'a> {
    pub(super) fn read(guard: &mut Section<'a>) -> Self {
        let sections = guard.optional_sections("local");
        let locals = sections
            .into_iter()
            .map(|section| Ok(Local::read(section?)));
        Self(locals.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Local<'a>> {
        self.0.iter().flatten()
    }

    /// The gateway and a service must be told apart by their cgroups.
    pub(super) fn check_slice(&self, slice: &CgroupPath) {
        for local in self.iter() {
            let Ok(service) = &local.service else {
                continue;
            };
            let relation = match (slice.holds(service), service.holds(slice)) {
                (true, true) => "is",
                (true, false) => "lies below",
                (false, true) => "lies above",
                (false, false) => continue,
            };
            let message = format!(
                "{service} {relation} guard.slice, which is {slice}: expected a cgroup apart from \
                 it, else the service's own processes count as the gateway or the gateway as the \
                 service"
            );
            local.fault("service", message);
        }
    }

    /// Compares the tables with each other, and ends them.
    pub(super) fn finish(self, guard: &Section<'_>) -> Result<Vec<GuardLocal>, Missing> {
        at_most(guard, "local", 64, self.0.len());
        self.check_ports();
        self.check_sources();
        all(self.0.into_iter().map(|local| local?.finish()))
    }

    /// The kernel's tables have one entry for each port.
    fn check_ports(&self) {
        let mut addresses = HashMap::new();
        let mut ports = HashMap::new();
        for local in self.iter() {
            let Ok((address, port, _)) = &local.address else {
                continue;
            };
            let owner = *addresses.entry((address, port)).or_insert(local);
            if !std::ptr::eq(owner, local) {
                let message = format!("{} has this address already", owner.key("address"));
                local.fault("address", message);
            }
            local.check_agreement(ports.entry(port).or_insert(local));
        }
    }

    fn check_sources(&self) {
        let mut sources: usize = 0;
        for local in self.iter() {
            let Ok(allow_from) = &local.allow_from else {
                continue;
            };
            let before = sources;
            sources = sources.saturating_add(allow_from.len());
            if before <= MAX_SOURCES && sources > MAX_SOURCES {
                let message = format!(
                    "expected at most {MAX_SOURCES} in all [[guard.local]], found {sources} up to \
                     here"
                );
                local.fault("allow_from", message);
            }
        }
    }
}

impl<'a> Local<'a> {
    fn read(mut section: Section<'a>) -> Self {
        let address = section.mandatory("address", ADDRESS);
        let address = address.and_then(|value| address_of(&value));
        let service = section.mandatory("service", CGROUP);
        let service = service.and_then(|value| cgroup(&section, &value));
        let uid = section.key("uid").map(|value| user(&value)).transpose();
        let run_as = section
            .key("run_as")
            .map_or(Ok(Vec::new()), |value| users(&value));
        let namespace = section
            .key("namespace")
            .map(|value| section.context().path(&value.text("a path")?))
            .transpose();
        let reserve = section.switch("reserve", true);
        let allow_from = section.key("allow_from");
        let allow_from = networks_without(section.context(), allow_from, refusal);
        Self {
            section,
            service,
            uid,
            run_as,
            address,
            namespace,
            reserve,
            allow_from,
        }
    }

    /// The full path of a key.
    pub(super) fn key(&self, key: &str) -> String {
        self.section.place(key).key
    }

    fn fault(&self, key: &str, message: String) {
        self.section
            .context()
            .fault(&self.section.place(key), message);
    }

    /// What one port has only once must be the same in every table of it.
    fn check_agreement(&self, first: &Self) {
        self.check_same("service", &self.service, first, &first.service);
        self.check_same("uid", &self.uid, first, &first.uid);
        self.check_same("namespace", &self.namespace, first, &first.namespace);
        self.check_same("reserve", &self.reserve, first, &first.reserve);
        self.check_same("allow_from", &self.allow_from, first, &first.allow_from);
    }

    fn check_same<T: PartialEq>(
        &self,
        key: &str,
        own: &Result<T, Missing>,
        first: &Self,
        other: &Result<T, Missing>,
    ) {
        if let (Ok(own), Ok(other)) = (own, other)
            && own != other
        {
            let message = format!(
                "expected the same as {}: both have one port, and what holds for a port holds for \
                 all its addresses",
                first.key(key)
            );
            self.fault(key, message);
        }
    }

    fn finish(self) -> Result<GuardLocal, Missing> {
        self.section.finish();
        let (address, port, origin) = self.address?;
        Ok(GuardLocal {
            address,
            port,
            service: self.service?,
            uid: self.uid?,
            run_as: self.run_as?,
            namespace: self.namespace?,
            reserve: self.reserve?,
            allow_from: self.allow_from?,
            origin,
        })
    }
}

fn address_of(value: &Value<'_>) -> Result<(Option<IpAddr>, NonZeroU16, Origin), Missing> {
    let text = value.text(ADDRESS)?;
    let address = match text.as_str().strip_prefix("*:") {
        Some(port) => endpoint(&format!("0.0.0.0:{port}")),
        None => endpoint(text.as_str()),
    };
    address
        .and_then(|address| {
            let ip = Some(address.ip()).filter(|ip| !ip.is_unspecified());
            Some((ip, NonZeroU16::new(address.port())?, text.origin().clone()))
        })
        .ok_or_else(|| value.unexpected(ADDRESS))
}

fn users(value: &Value<'_>) -> Result<Vec<u32>, Missing> {
    let expected = format!("an array of numbers: each {USER}");
    all(value.elements(&expected)?.iter().map(user))
}

/// Why a range of sources cannot stand in `allow_from`.
fn refusal(net: &IpNet) -> Option<String> {
    let everyone = "every host that reaches the port would pass";
    everyone_is_in(net, everyone).or_else(|| {
        // In the kernel's table an IPv4 address is a v4-mapped one.
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
        let IpAddr::V6(address) = net.address() else {
            return None;
        };
        let differing = (address.to_bits() ^ mapped.to_bits()).leading_zeros();
        (differing >= u32::from(net.prefix())).then(|| {
            format!(
                "this range holds ::ffff:0:0/96, which is all of IPv4, and is refused: {everyone}"
            )
        })
    })
}

const ADDRESS: &str = r#"a port of every address, as "*:3939", or an address with its port, as "192.0.2.7:3939" or "[2001:db8::7]:3939""#;

/// The most sources of all tables.
const MAX_SOURCES: usize = 1024;
