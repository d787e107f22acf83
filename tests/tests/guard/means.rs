//! Every means by which a program can connect a socket.

use crate::attack::Attack;
use crate::site::{Layer, Site};

#[test]
fn fast_open_is_refused() {
    let Some(site) = Site::new() else { return };
    let accepted = || {
        let counter = "TCPFastOpenPassive";
        site.host.namespace.counter("TcpExt", counter)
    };
    let attacks: Vec<_> = ["127.0.0.1", "::1"]
        .into_iter()
        .flat_map(|ip| {
            ["fast-open-send", "fast-open-connect"]
                .map(|means| Attack::connect(ip).with(&["--by", means]))
        })
        .collect();
    site.all_reach(&attacks);
    // Each of them carried its line in the SYN.
    assert_eq!(accepted(), 8);
    site.prove(&attacks);
    assert_eq!(accepted(), 24, "nothing but the controls was accepted");
}

#[test]
fn multipath_tcp_is_refused() {
    if !std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
        eprintln!("skipped: this kernel has no Multipath TCP");
        return;
    }
    let Some(site) = Site::with(&["--mptcp"]) else {
        return;
    };
    let mut attacks = vec![
        Attack::connect("127.0.0.1").with(&["--mptcp"]),
        Attack::connect("::1").with(&["--mptcp"]),
        Attack::connect("::ffff:127.0.0.1").with(&["--mptcp"]),
    ];
    // Linux 6.2 brought the two together.
    let with_fast_open = attacks[0].clone().with(&["--by", "fast-open-send"]);
    if site.is_supported(&with_fast_open) {
        attacks.push(with_fast_open);
    }
    let accepted = || {
        let counter = "MPCapableSYNRX";
        site.host.namespace.counter("MPTcpExt", counter)
    };
    let before = accepted();
    let each_twice = 2 * attacks.len() as u64;
    site.all_reach(&attacks);
    assert_eq!(accepted() - before, each_twice);
    site.prove(&attacks);
    assert_eq!(
        accepted() - before,
        3 * each_twice,
        "nothing but the controls was accepted"
    );
}

#[test]
fn io_uring_is_refused() {
    let Some(site) = Site::new() else { return };
    let attacks: Vec<_> = ["127.0.0.1", "::1"]
        .into_iter()
        .flat_map(|ip| {
            ["uring", "uring-async", "uring-sqpoll"]
                .map(|means| Attack::connect(ip).with(&["--by", means]))
        })
        .collect();
    site.prove(&attacks);
}

#[test]
fn a_socket_that_was_connected_elsewhere_first_is_refused() {
    let Some(site) = Site::new() else { return };
    let allowed = ["--listen", "[::]:4000", "--name", "other"];
    let other = site.host.serve(&site.host.outsider(), &allowed);
    site.prove(&[
        Attack::connect("127.0.0.1").with(&["--first", "127.0.0.1:4000"]),
        Attack::connect("::1").with(&["--first", "[::1]:4000"]),
    ]);
    assert!(other.count("accepted") > 0);
}

/// Headers that only root can ask for, on an otherwise ordinary connection.
#[test]
fn ip_options_and_extension_headers_are_refused() {
    let Some(site) = Site::new() else { return };
    let header = |ip: &str, header| {
        let attack = Attack::connect(ip).by_root();
        attack.with(&["--header", header])
    };
    site.prove(&[
        header("127.0.0.1", "options"),
        header("::1", "destination-options"),
        header("::1", "hop-by-hop"),
    ]);
}

#[test]
fn a_socket_made_before_the_guard_came_is_refused() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let connect = ["connect", "127.0.0.1:3939", "--when-told"];
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let mut waiting = site.strangers().map(|who| host.spawn(&who, &connect));
        for process in &waiting {
            process.event("made");
        }
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        for process in &mut waiting {
            process.tell("now");
        }
        for process in waiting {
            let outcome = process.outcome();
            assert_eq!(outcome.reached(), layer.is_none(), "{layer:?}: {outcome:?}");
        }
        if let Some(guard) = guard {
            site.gateway_reaches();
            assert_eq!(site.service.count("accepted"), accepted + 2);
            guard.stop();
        }
    }
}

/// A socket belongs to the cgroup that it was made in, wherever its process goes, and also when
/// that cgroup is gone.
#[test]
fn a_socket_keeps_its_cgroup() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let connect = ["connect", "127.0.0.1:3939", "--when-told"];
    for (number, guarded) in [false, true].into_iter().enumerate() {
        for to in [host.gateway(), host.outsider()] {
            let name = format!("short-lived-{number}-{}", to.cgroup().path.len());
            let born = host.cgroups.make(&name);
            let who = host.outsider().as_root().in_cgroup(&born);
            let mut process = host.spawn(&who, &connect);
            process.event("made");
            let procs = to.cgroup().dir.join("cgroup.procs");
            std::fs::write(procs, process.pid().to_string()).unwrap();
            born.remove();
            let guard = guarded.then(|| site.guard("enforce", Layer::Ingress));
            process.tell("now");
            let outcome = process.outcome();
            assert_eq!(outcome.reached(), !guarded, "{to:?}: {outcome:?}");
            if let Some(guard) = guard {
                site.gateway_reaches();
                guard.stop();
            }
        }
    }
}
