//! What follows from the facts.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::facts::{Facts, Namespace};
use super::pins::Pins;
use super::{Finding, Severity};

/// Everything that an operator must know.
pub(super) fn of(facts: &Facts, allow_unproven_kernel: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend((!facts.object).then(no_object));
    findings.extend(kernel(&facts.release, allow_unproven_kernel));
    findings.extend(hierarchy(&facts.hierarchy));
    let capable = capabilities(facts);
    // Without them the kernel answers no question about programs and sockets.
    if capable.is_none() {
        findings.extend(helpers(facts));
        findings.extend(sock_destroy(&facts.sock_destroy));
        findings.extend(namespace_helper(facts));
    }
    findings.extend(capable);
    if let Some(pins) = &facts.pins {
        findings.extend(bpffs(pins));
        findings.extend(pins_unsafe(pins));
    }
    findings.extend(facts.ownerless.iter().map(|endpoint| no_uid(endpoint)));
    findings.extend(forwards(&facts.forwarding));
    for (path, namespace) in &facts.namespaces {
        findings.extend(namespace_and_ports(path.as_deref(), namespace));
    }
    findings
}

fn no_object() -> Finding {
    fault(
        "no_object",
        "this build has no eBPF object and can enforce nothing; \
         run `cargo xtask build-ebpf` and build it again",
    )
}

fn kernel(release: &io::Result<String>, allow_unproven_kernel: bool) -> Option<Finding> {
    let release = match release {
        Ok(release) => release,
        Err(error) => {
            let message = format!("the kernel's release cannot be read: {error}");
            return Some(fault("old_kernel", message));
        }
    };
    let Some(version) = version(release) else {
        return Some(fault(
            "old_kernel",
            format!(
                "the kernel calls itself {release:?}, which starts with no version such as 6.1"
            ),
        ));
    };
    if version >= FLOOR {
        return None;
    }
    let what = format!(
        "the kernel is {release}; the guard is proven from {}.{} on",
        FLOOR.0, FLOOR.1
    );
    Some(if allow_unproven_kernel {
        warning(
            "old_kernel",
            format!("{what}, and `allow_unproven_kernel` lets it try"),
        )
    } else {
        fault(
            "old_kernel",
            format!("{what}; upgrade it, or set `allow_unproven_kernel = true` after a trial"),
        )
    })
}

fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

fn hierarchy(whole: &io::Result<bool>) -> Option<Finding> {
    let what = match whole {
        Ok(true) => return None,
        Ok(false) => "cgroup v2 is not mounted here, or only a part of it".to_owned(),
        Err(error) => format!("the mounts cannot be read: {error}"),
    };
    Some(fault(
        "no_cgroup2",
        format!(
            "{what}; the guard needs the whole hierarchy: boot with \
             `systemd.unified_cgroup_hierarchy=1`, or mount cgroup2, and run the guard on the \
             host, in no container"
        ),
    ))
}

fn capabilities(facts: &Facts) -> Option<Finding> {
    let held = match &facts.capabilities {
        Ok(held) => *held,
        Err(error) => {
            let message = format!("the capabilities of this process cannot be read: {error}");
            return Some(fault("no_capability", message));
        }
    };
    let mut missing = Vec::new();
    if !held.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN) {
        missing.push("CAP_BPF");
    }
    if !held.contains(CapabilitySet::NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if !held.intersects(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN) {
        missing.push("CAP_PERFMON");
    }
    let enters_namespaces = facts.namespaces.keys().any(Option::is_some);
    if enters_namespaces && !held.contains(CapabilitySet::SYS_ADMIN) {
        missing.push("CAP_SYS_ADMIN (to enter a configured namespace)");
    }
    if !missing.is_empty() {
        return Some(fault(
            "no_capability",
            format!(
                "this process lacks {}; run the guard as root, by its own unit",
                missing.join(", ")
            ),
        ));
    }
    // Held, but not in the namespace that counts, or something else is in the way.
    let refusal = facts.helpers.iter().find_map(|helper| {
        helper
            .present
            .as_ref()
            .err()
            .filter(|error| is_refusal(error))
    })?;
    Some(fault(
        "no_capability",
        format!(
            "the kernel refuses bpf(2) in spite of every capability: {refusal}; a user \
             namespace, a seccomp filter or kernel lockdown is in the way"
        ),
    ))
}

fn is_refusal(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::ACCESS | Errno::NOSYS | Errno::PERM))
}

fn helpers(facts: &Facts) -> Option<Finding> {
    let missing: Vec<_> = facts
        .helpers
        .iter()
        .filter_map(|helper| {
            let reason = match &helper.present {
                Ok(true) => return None,
                Ok(false) => String::new(),
                Err(error) => format!(" (it cannot be asked: {error})"),
            };
            Some(format!(
                "{} in {} programs{reason}",
                helper.name, helper.program
            ))
        })
        .collect();
    (!missing.is_empty()).then(|| {
        fault(
            "no_helper",
            format!(
                "this kernel lacks {}; the guard needs Linux {}.{} with CONFIG_CGROUP_BPF and \
                 CONFIG_SOCK_CGROUP_DATA",
                missing.join(", "),
                FLOOR.0,
                FLOOR.1
            ),
        )
    })
}

fn sock_destroy(possible: &io::Result<()>) -> Option<Finding> {
    let error = possible.as_ref().err()?;
    Some(warning(
        "no_sock_destroy",
        format!(
            "connections that are open before enforcement cannot be cut: {error}; they get no \
             packet through, but hang until both ends give up"
        ),
    ))
}

fn namespace_helper(facts: &Facts) -> Option<Finding> {
    (!facts.namespace_helper && !facts.namespaces.is_empty()).then(|| {
        warning(
            "namespace_unscoped",
            "this kernel's cgroup_skb programs cannot ask for their network namespace: sockets \
             older than the guard count as of the service's namespace, so that one in another \
             namespace, on a protected port, may be refused until its program is restarted; \
             start the guard before containers",
        )
    })
}

fn bpffs(pins: &Pins) -> Option<Finding> {
    let what = match &pins.bpffs {
        Ok(true) => return None,
        Ok(false) => "is not in a BPF file system".to_owned(),
        Err(error) => format!("is in no file system that can be asked: {error}"),
    };
    Some(fault(
        "no_bpffs",
        format!(
            "the pin directory {} {what}; mount one with `mount -t bpf bpf /sys/fs/bpf`, or point \
             `pins` at one",
            pins.path.display()
        ),
    ))
}

fn pins_unsafe(pins: &Pins) -> Option<Finding> {
    let weakness = pins.weakness()?;
    Some(fault(
        "pins_unsafe",
        format!(
            "others than root could change what is pinned in {}: {weakness}; find out who made \
             it, remove it, and let the guard make it",
            pins.path.display()
        ),
    ))
}

fn namespace_and_ports(path: Option<&Path>, namespace: &Namespace) -> Vec<Finding> {
    if let Err(error) = &namespace.entered {
        return vec![no_namespace(path, error)];
    }
    let whose = match path {
        Some(path) => format!("in the namespace {}", path.display()),
        None => "here".to_owned(),
    };
    let advice = "reserve it by net.ipv4.ip_local_reserved_ports";
    match &namespace.ports {
        None => vec![],
        Some(Err(error)) => vec![warning(
            "port_in_ephemeral_range",
            format!("which ports connections get {whose} cannot be read: {error}"),
        )],
        Some(Ok(ports)) => namespace
            .protected
            .iter()
            .filter(|port| ports.hit(**port))
            .map(|port| {
                warning(
                    "port_in_ephemeral_range",
                    format!(
                        "the protected port {port} is among those that any connection may get \
                         {whose} ({}): such a connection fails, or keeps the service from its \
                         port; {advice}",
                        ports.range()
                    ),
                )
            })
            .collect(),
    }
}

fn no_uid(endpoint: &str) -> Finding {
    warning(
        "no_uid",
        format!(
            "{endpoint} has no `uid`: whatever shares the service's cgroup, hosted content \
             included, could take the port; set `uid` to the user under which the service listens"
        ),
    )
}

fn forwards(forwarding: &[&str]) -> Option<Finding> {
    (!forwarding.is_empty()).then(|| {
        warning(
            "forwards",
            format!(
                "this host forwards {}: what it forwards to a remote endpoint (containers' \
                 traffic, packet sockets in their namespaces) has no local socket, and egress \
                 does not see it; switch forwarding off, or use mutual TLS to the back-end",
                forwarding.join(" and ")
            ),
        )
    })
}

fn no_namespace(path: Option<&Path>, error: &io::Error) -> Finding {
    let Some(path) = path else {
        let message = format!("this process's network namespace cannot be looked at: {error}");
        return fault("no_namespace", message);
    };
    let path = path.display();
    fault(
        "no_namespace",
        match error.kind() {
            io::ErrorKind::NotFound => format!(
                "the configured network namespace {path} does not exist; create it before the \
                 guard starts, or correct `namespace`"
            ),
            io::ErrorKind::InvalidInput => format!(
                "{path} is configured as a network namespace and is none; name a file such as \
                 /run/netns/NAME or /proc/PID/ns/net"
            ),
            _ => format!("the configured network namespace {path} cannot be entered: {error}"),
        },
    )
}

fn fault(name: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        name,
        severity: Severity::Fault,
        message: message.into(),
    }
}

fn warning(name: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        name,
        severity: Severity::Warning,
        message: message.into(),
    }
}

/// The oldest kernel on which the guard is tested.
const FLOOR: (u32, u32) = (6, 1);

#[cfg(test)]
mod tests;
