//! Each finding, on a host that nobody has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::probe::facts::Helper;
use crate::probe::pins::{DIRECTORY, Entry};
use crate::probe::ports::Ports;

fn entry(path: &str, mode: u32) -> Entry {
    Entry {
        path: path.into(),
        kind: DIRECTORY,
        uid: 0,
        mode,
    }
}

fn own_namespace() -> Namespace {
    Namespace {
        protected: vec![3939],
        entered: Ok(()),
        ports: Some(Ok(Ports::parse("32768 60999", "").unwrap())),
    }
}

/// A host on which the guard holds.
fn whole() -> Facts {
    Facts {
        object: true,
        hierarchy: Ok(true),
        release: Ok("6.1.0-28-amd64".into()),
        capabilities: Ok(CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON),
        helpers: vec![Helper {
            program: "cgroup_skb",
            name: "bpf_skc_lookup_tcp",
            present: Ok(true),
        }],
        namespace_helper: true,
        sock_destroy: Ok(()),
        pins: Some(Pins {
            path: "/sys/fs/bpf/guard".into(),
            above: vec![Ok(entry("/", 0o755)), Ok(entry("/sys/fs/bpf", 0o1777))],
            directory: Ok(Some(entry("/sys/fs/bpf/guard", 0o700))),
            bpffs: Ok(true),
        }),
        ownerless: Vec::new(),
        forwarding: Vec::new(),
        namespaces: BTreeMap::from([(None, own_namespace())]),
    }
}

fn refused() -> io::Error {
    Errno::PERM.into()
}

/// The only finding there is when something is changed on a host that is whole.
fn only(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = whole();
    change(&mut facts);
    let mut findings = of(&facts, false);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn assert_fault(finding: &Finding, name: &str, words: &[&str]) {
    assert_eq!((finding.name, finding.severity), (name, Severity::Fault));
    assert_words(finding, words);
}

fn assert_warning(finding: &Finding, name: &str, words: &[&str]) {
    assert_eq!((finding.name, finding.severity), (name, Severity::Warning));
    assert_words(finding, words);
}

fn assert_words(finding: &Finding, words: &[&str]) {
    for word in words {
        assert!(
            finding.message.contains(word),
            "{word:?}: {}",
            finding.message
        );
    }
}

#[test]
fn nothing_is_wrong_where_nothing_is_missing() {
    assert_eq!(of(&whole(), false), []);
    let mut unpinned = whole();
    unpinned.pins = None;
    assert_eq!(of(&unpinned, false), []);
}

#[test]
fn no_object_is_a_fault() {
    assert_fault(
        &only(|facts| facts.object = false),
        "no_object",
        &["build-ebpf"],
    );
}

#[test]
fn no_cgroup_v2_is_a_fault() {
    let finding = only(|facts| facts.hierarchy = Ok(false));
    assert_fault(
        &finding,
        "no_cgroup2",
        &["not mounted", "unified_cgroup_hierarchy"],
    );
    let finding = only(|facts| facts.hierarchy = Err(refused()));
    assert_fault(&finding, "no_cgroup2", &["not permitted"]);
}

#[test]
fn an_old_kernel_is_a_fault_unless_allowed() {
    for release in ["5.15.0-130-generic", "6.0.19", "4.18"] {
        let finding = only(|facts| facts.release = Ok(release.into()));
        assert_fault(
            &finding,
            "old_kernel",
            &[release, "6.1", "allow_unproven_kernel"],
        );
        let mut facts = whole();
        facts.release = Ok(release.into());
        assert_warning(&of(&facts, true)[0], "old_kernel", &[release]);
    }
    for release in ["6.1", "6.1-rc3", "6.12.0", "6.18.44-fc-v595", "10.0.1"] {
        let mut facts = whole();
        facts.release = Ok(release.into());
        assert_eq!(of(&facts, false), [], "{release}");
    }
}

#[test]
fn a_release_without_a_version_is_always_a_fault() {
    for release in ["", "6", "six.one", "6.x", ".1", "-6.1"] {
        let mut facts = whole();
        facts.release = Ok(release.into());
        for allowed in [false, true] {
            assert_fault(
                &of(&facts, allowed)[0],
                "old_kernel",
                &[&format!("{release:?}")],
            );
        }
    }
    let finding = only(|facts| facts.release = Err(refused()));
    assert_fault(&finding, "old_kernel", &["not permitted"]);
}

#[test]
fn missing_capabilities_are_named() {
    for (held, missing, others) in [
        (
            CapabilitySet::empty(),
            "lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON;",
            "",
        ),
        (CapabilitySet::SYS_ADMIN, "lacks CAP_NET_ADMIN;", "CAP_BPF"),
        (
            CapabilitySet::NET_ADMIN | CapabilitySet::BPF,
            "lacks CAP_PERFMON;",
            "CAP_BPF",
        ),
    ] {
        let finding = only(|facts| {
            facts.capabilities = Ok(held);
            // What the kernel then says of the rest is no news.
            facts.helpers[0].present = Err(refused());
            facts.sock_destroy = Err(refused());
            facts.namespace_helper = false;
        });
        assert_fault(&finding, "no_capability", &[missing]);
        assert!(others.is_empty() || !finding.message.contains(others));
    }
    let mut facts = whole();
    facts.capabilities = Ok(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN);
    assert_eq!(of(&facts, false), []);
}

#[test]
fn a_namespace_takes_a_capability() {
    let finding = only(|facts| {
        let path = PathBuf::from("/run/netns/connect");
        facts.namespaces.insert(Some(path), own_namespace());
    });
    assert_fault(&finding, "no_capability", &["lacks CAP_SYS_ADMIN"]);
}

#[test]
fn capabilities_that_do_not_count_are_a_fault() {
    for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
        let finding = only(|facts| facts.helpers[0].present = Err(errno.into()));
        assert_fault(
            &finding,
            "no_capability",
            &["in spite of", "user namespace"],
        );
    }
    let finding = only(|facts| facts.capabilities = Err(refused()));
    assert_fault(&finding, "no_capability", &["cannot be read"]);
}

#[test]
fn a_missing_helper_is_named() {
    let words = [
        "bpf_skc_lookup_tcp in cgroup_skb programs",
        "CONFIG_CGROUP_BPF",
    ];
    let finding = only(|facts| facts.helpers[0].present = Ok(false));
    assert_fault(&finding, "no_helper", &words);
    let finding = only(|facts| facts.helpers[0].present = Err(Errno::NOMEM.into()));
    assert_fault(
        &finding,
        "no_helper",
        &["bpf_skc_lookup_tcp", "cannot be asked"],
    );
}

#[test]
fn connections_that_cannot_be_cut_are_a_warning() {
    let finding = only(|facts| facts.sock_destroy = Err(io::Error::other("no such thing")));
    assert_warning(&finding, "no_sock_destroy", &["no such thing", "hang"]);
}

#[test]
fn a_kernel_that_knows_no_namespaces_is_a_warning_where_it_matters() {
    let finding = only(|facts| facts.namespace_helper = false);
    let words = ["sockets older than the guard count as of the service's namespace"];
    assert_warning(&finding, "namespace_unscoped", &words);
    let mut only_remotes = whole();
    only_remotes.namespace_helper = false;
    only_remotes.namespaces.clear();
    assert_eq!(of(&only_remotes, false), []);
}

fn pins(facts: &mut Facts) -> &mut Pins {
    facts.pins.as_mut().unwrap()
}

#[test]
fn no_bpffs_is_a_fault() {
    let finding = only(|facts| pins(facts).bpffs = Ok(false));
    assert_fault(&finding, "no_bpffs", &["/sys/fs/bpf/guard", "mount -t bpf"]);
    let finding = only(|facts| {
        pins(facts).bpffs = Err(Errno::NOENT.into());
        pins(facts).above[1] = Err(Errno::NOENT.into());
        pins(facts).directory = Ok(None);
    });
    assert_fault(&finding, "no_bpffs", &["No such file"]);
}

#[test]
fn pins_that_others_can_change_are_a_fault() {
    let finding = only(|facts| {
        pins(facts).directory = Ok(Some(Entry {
            uid: 65534,
            ..entry("/sys/fs/bpf/guard", 0o700)
        }));
    });
    assert_fault(&finding, "pins_unsafe", &["user 65534", "remove it"]);
    let finding = only(|facts| pins(facts).above[1] = Ok(entry("/sys/fs/bpf", 0o777)));
    assert_fault(&finding, "pins_unsafe", &["not sticky"]);
    let finding = only(|facts| pins(facts).above[1] = Err(refused()));
    assert_fault(&finding, "pins_unsafe", &["not permitted"]);
    let finding = only(|facts| pins(facts).directory = Err(refused()));
    assert_fault(&finding, "pins_unsafe", &["not permitted"]);
}

#[test]
fn a_missing_namespace_is_a_fault() {
    for (errno, words) in [
        (Errno::NOENT, "does not exist"),
        (Errno::INVAL, "is none"),
        (Errno::PERM, "cannot be entered"),
    ] {
        let finding = only(|facts| {
            facts.capabilities = Ok(CapabilitySet::all());
            let namespace = Namespace {
                protected: vec![3939],
                entered: Err(errno.into()),
                ports: None,
            };
            let path = PathBuf::from("/run/netns/connect");
            facts.namespaces.insert(Some(path), namespace);
        });
        assert_fault(&finding, "no_namespace", &["/run/netns/connect", words]);
    }
}

#[test]
fn a_port_without_an_owner_is_a_warning() {
    let finding = only(|facts| facts.ownerless = vec!["*:3939".into()]);
    assert_warning(&finding, "no_uid", &["*:3939", "hosted content"]);
}

#[test]
fn forwarding_is_a_warning() {
    let finding = only(|facts| facts.forwarding = vec!["IPv4"]);
    assert_warning(&finding, "forwards", &["IPv4", "egress"]);
    let finding = only(|facts| facts.forwarding = vec!["IPv4", "IPv6"]);
    assert_warning(&finding, "forwards", &["IPv4 and IPv6"]);
}

#[test]
fn a_protected_port_that_anybody_may_get_is_a_warning() {
    let own = |facts: &mut Facts, protected: &[u16]| {
        let namespace = facts.namespaces.get_mut(&None).unwrap();
        namespace.protected = protected.to_vec();
    };
    let finding = only(|facts| own(facts, &[3939, 40000]));
    let words = ["40000", "32768-60999", "ip_local_reserved_ports"];
    assert_warning(&finding, "port_in_ephemeral_range", &words);
    let mut two = whole();
    own(&mut two, &[40000, 40001]);
    assert_eq!(of(&two, false).len(), 2);
    let finding = only(|facts| {
        facts.namespaces.get_mut(&None).unwrap().ports = Some(Err(refused()));
    });
    assert_warning(&finding, "port_in_ephemeral_range", &["not permitted"]);
}
