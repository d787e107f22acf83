//! What there is to be judged, gathered.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::programs::{ProgramError, ProgramType};
use aya::sys::{BpfHelper, is_helper_supported};
use rustix::thread::CapabilitySet;

use super::pins::Pins;
use super::ports::Ports;
use crate::cgroup::Hierarchy;
use crate::rules::{Local, Rules};
use crate::{diag, namespace, object};

/// Everything that findings follow from.
#[derive(Debug)]
pub(super) struct Facts {
    /// Whether this build has an eBPF object.
    pub(super) object: bool,
    /// Whether cgroup v2 is mounted whole.
    pub(super) hierarchy: io::Result<bool>,
    /// The kernel's release, as it calls it.
    pub(super) release: io::Result<String>,
    /// This process's effective capabilities.
    pub(super) capabilities: io::Result<CapabilitySet>,
    /// What the programs call.
    pub(super) helpers: Vec<Helper>,
    /// Whether cgroup_skb programs can ask for their namespace.
    pub(super) namespace_helper: bool,
    /// Whether sockets can be listed and destroyed.
    pub(super) sock_destroy: io::Result<()>,
    /// Where to pin, if anything is to be pinned.
    pub(super) pins: Option<Pins>,
    /// The local endpoints, as written, whose sockets may be anybody's.
    pub(super) ownerless: Vec<String>,
    /// What is forwarded here, by name; empty without remote endpoints. What cannot be read is not
    /// there: a kernel without IPv6 has no setting for it.
    pub(super) forwarding: Vec<&'static str>,
    /// The namespaces of local endpoints, each with the protected ports in it.
    pub(super) namespaces: BTreeMap<Option<PathBuf>, Namespace>,
}

/// A helper that a type of program calls.
#[derive(Debug)]
pub(super) struct Helper {
    /// The type.
    pub(super) program: &'static str,
    /// The helper.
    pub(super) name: &'static str,
    /// Whether the kernel has it for this type; an error if the kernel cannot be asked.
    pub(super) present: io::Result<bool>,
}

/// A network namespace with protected ports.
#[derive(Debug)]
pub(super) struct Namespace {
    /// The protected ports.
    pub(super) protected: Vec<u16>,
    /// Whether it is there: else why it cannot be entered.
    pub(super) entered: io::Result<()>,
    /// What the kernel gives to connections there; `None` if it cannot be entered.
    pub(super) ports: Option<io::Result<Ports>>,
}

impl Facts {
    /// Looks. Nothing is changed.
    pub(super) fn gather(rules: &Rules, pins: Option<&Path>) -> Self {
        let mut namespaces = BTreeMap::new();
        for local in &rules.locals {
            namespaces
                .entry(local.namespace.clone())
                .or_insert_with(|| Namespace::look(local.namespace.as_deref()))
                .protected
                .push(local.port);
        }
        Self {
            object: object::has_object(),
            hierarchy: Hierarchy::find().map(|hierarchy| hierarchy.is_some()),
            release: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map(|release| release.trim_end().to_owned()),
            capabilities: rustix::thread::capabilities(None)
                .map(|sets| sets.effective)
                .map_err(io::Error::from),
            helpers: CALLS.iter().flat_map(Calls::look).collect(),
            namespace_helper: super::has_namespace_helper(),
            sock_destroy: diag::check(),
            pins: pins.map(Pins::look),
            ownerless: ownerless(rules),
            forwarding: if rules.remotes.is_empty() {
                Vec::new()
            } else {
                forwarding()
            },
            namespaces,
        }
    }
}

/// What the programs of a type call.
struct Calls {
    program_type: ProgramType,
    /// The type's name, and each helper's.
    program: &'static str,
    helpers: &'static [(BpfHelper, &'static str)],
}

impl Calls {
    fn look(&self) -> impl Iterator<Item = Helper> {
        self.helpers.iter().map(|(helper, name)| Helper {
            program: self.program,
            name,
            present: has_helper(self.program_type, *helper),
        })
    }
}

impl Namespace {
    fn look(path: Option<&Path>) -> Self {
        let (entered, ports) = match namespace::inside(path, || Ok(Ports::look())) {
            Ok(ports) => (Ok(()), Some(ports)),
            Err(error) => (Err(error), None),
        };
        Self {
            protected: Vec::new(),
            entered,
            ports,
        }
    }
}

fn ownerless(rules: &Rules) -> Vec<String> {
    let locals = rules.locals.iter();
    locals
        .filter(|local| local.uid.is_none())
        .map(Local::written)
        .collect()
}

fn forwarding() -> Vec<&'static str> {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim_end() != "0");
    FORWARDING
        .into_iter()
        .filter(|(_, path)| is_on(path))
        .map(|(name, _)| name)
        .collect()
}

fn has_helper(program_type: ProgramType, helper: BpfHelper) -> io::Result<bool> {
    is_helper_supported(program_type, helper).map_err(|error| match error {
        ProgramError::SyscallError(error) => error.io_error,
        error => io::Error::other(error),
    })
}

/// Where the kernel says whether it forwards.
const FORWARDING: [(&str, &str); 2] = [
    ("IPv4", "/proc/sys/net/ipv4/ip_forward"),
    ("IPv6", "/proc/sys/net/ipv6/conf/all/forwarding"),
];

/// What the programs call and not every kernel has, by type of program.
const CALLS: [Calls; 3] = [
    Calls {
        program_type: ProgramType::CgroupSkb,
        program: "cgroup_skb",
        helpers: &[
            (BpfHelper::BPF_FUNC_ringbuf_reserve, "bpf_ringbuf_reserve"),
            (
                BpfHelper::BPF_FUNC_sk_ancestor_cgroup_id,
                "bpf_sk_ancestor_cgroup_id",
            ),
            (BpfHelper::BPF_FUNC_sk_storage_get, "bpf_sk_storage_get"),
            (BpfHelper::BPF_FUNC_skc_lookup_tcp, "bpf_skc_lookup_tcp"),
        ],
    },
    Calls {
        program_type: ProgramType::CgroupSock,
        program: "cgroup_sock",
        helpers: &[
            (BpfHelper::BPF_FUNC_get_netns_cookie, "bpf_get_netns_cookie"),
            (BpfHelper::BPF_FUNC_sk_storage_get, "bpf_sk_storage_get"),
        ],
    },
    Calls {
        program_type: ProgramType::CgroupSockAddr,
        program: "cgroup_sock_addr",
        helpers: &[
            (
                BpfHelper::BPF_FUNC_get_current_ancestor_cgroup_id,
                "bpf_get_current_ancestor_cgroup_id",
            ),
            (BpfHelper::BPF_FUNC_get_netns_cookie, "bpf_get_netns_cookie"),
            (BpfHelper::BPF_FUNC_sk_storage_get, "bpf_sk_storage_get"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox;

    fn rules(locals: Vec<Local>) -> Rules {
        Rules {
            slice: "/gateway.slice".into(),
            locals,
            remotes: vec![],
            exceptions: vec![],
        }
    }

    fn local(port: u16, namespace: Option<&str>) -> Local {
        Local {
            address: None,
            port,
            service: "/service.slice".into(),
            uid: None,
            namespace: namespace.map(PathBuf::from),
            reserve: true,
            allow_from: vec![],
        }
    }

    #[test]
    fn this_kernel_has_every_helper_and_no_nonsense() {
        if !sandbox::is_root() {
            return;
        }
        let facts = Facts::gather(&rules(vec![]), None);
        assert_eq!(facts.helpers.len(), 9);
        for helper in &facts.helpers {
            assert!(helper.present.as_ref().unwrap(), "{helper:?}");
        }
        // Exists for other types, for none at all, and in no kernel.
        for (program, helper) in [
            (ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_redirect),
            (
                ProgramType::CgroupSockAddr,
                BpfHelper::BPF_FUNC_skb_load_bytes,
            ),
            (ProgramType::CgroupSock, BpfHelper::BPF_FUNC_skc_lookup_tcp),
            (ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_unspec),
            (ProgramType::CgroupSkb, BpfHelper::__BPF_FUNC_MAX_ID),
        ] {
            let present = has_helper(program, helper);
            assert!(!present.unwrap(), "{program:?}");
        }
    }

    #[test]
    fn the_host_is_looked_at() {
        let facts = Facts::gather(&rules(vec![local(3939, None), local(3940, None)]), None);
        assert!(
            facts
                .release
                .unwrap()
                .starts_with(|first: char| first.is_ascii_digit())
        );
        let sets = rustix::thread::capabilities(None).unwrap();
        assert_eq!(facts.capabilities.unwrap(), sets.effective);
        assert!(facts.pins.is_none());
        let own = &facts.namespaces[&None];
        assert_eq!(own.protected, [3939, 3940]);
        assert!(own.entered.is_ok());
        assert!(own.ports.as_ref().unwrap().is_ok());
    }

    #[test]
    fn endpoints_without_an_owner_are_found() {
        let mut owned = local(3940, None);
        owned.uid = Some(0);
        let facts = Facts::gather(&rules(vec![local(3939, None), owned]), None);
        assert_eq!(facts.ownerless, ["*:3939"]);
    }

    #[test]
    fn forwarding_matters_to_remote_endpoints() {
        if !sandbox::is_root() {
            return;
        }
        let namespace = sandbox::Namespace::new();
        namespace.inside(|| {
            let mut rules = rules(vec![]);
            let mut seen = |remote: bool| {
                rules.remotes = remote
                    .then(|| "192.0.2.10:3939".parse().unwrap())
                    .into_iter()
                    .collect();
                Facts::gather(&rules, None).forwarding
            };
            let set = |value: &str| {
                for (_, path) in FORWARDING {
                    fs::write(path, value).unwrap();
                }
            };
            set("0");
            assert!(seen(true).is_empty());
            set("1");
            assert_eq!(seen(true), ["IPv4", "IPv6"]);
            assert!(seen(false).is_empty());
        });
    }

    #[test]
    fn namespaces_are_entered() {
        if !sandbox::is_root() {
            return;
        }
        let namespace = sandbox::Namespace::new();
        namespace.inside(|| {
            fs::write("/proc/sys/net/ipv4/ip_local_port_range", "2000 2009").unwrap();
        });
        let path = namespace.path();
        let file = path.to_str().unwrap();
        let rules = rules(vec![
            local(2005, Some(file)),
            local(2005, None),
            local(1, Some("/nowhere")),
        ]);
        let facts = Facts::gather(&rules, None);
        let can_hit = |namespace: Option<&str>| {
            let ports = facts.namespaces[&namespace.map(PathBuf::from)]
                .ports
                .as_ref();
            ports.unwrap().as_ref().unwrap().hit(2005)
        };
        assert!(can_hit(Some(file)));
        assert!(!can_hit(None));
        let missing = &facts.namespaces[&Some(PathBuf::from("/nowhere"))];
        assert!(missing.entered.is_err() && missing.ports.is_none());
    }
}
