//! What the guard does not close, since it takes privileges in the host's own namespace or the
//! gateway's own act: it works on a plain hop, and TLS with a verified name stops it.

use std::fs::read_link;

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::Authority;
use gateway_tests::host::{Host, attacker_binary};

use crate::site::{Layer, Site};
use crate::whole::{Hop, Whole};

/// CAP_NET_ADMIN turns the gateway's connections to a port that nobody protects.
#[test]
fn nft_redirect_works_on_a_plain_hop_only() {
    for hop in [Hop::Plain, Hop::Tls] {
        let Some(host) = Host::new() else { return };
        let whole = Whole::start(&host, hop);
        let dir = host.dir.path();
        // The thief's certificate has the service's name, of an authority of its own.
        let (chain, key) = Authority::new("the thief's")
            .server(&["127.0.0.1"])
            .write(dir, "thief");
        let mut serve = vec!["--http", "--name", "thief", "--listen", "[::]:4000"];
        if hop == Hop::Tls {
            serve.extend(["--tls-chain", chain.to_str().unwrap()]);
            serve.extend(["--tls-key", key.to_str().unwrap()]);
        }
        let thief = host.serve(&host.outsider(), &serve);
        host.namespace.nft(
            "table inet steal { chain out { type nat hook output priority -100; \
             tcp dport 3939 redirect to :4000; }\n}",
        );
        let answer = whole.get(&host.outsider());
        assert!(thief.count("accepted") > 0, "{hop:?}");
        match hop {
            Hop::Plain => {
                assert_eq!(answer, "200 thief");
                assert!(thief.received("GET /content/1/"));
            }
            Hop::Tls => {
                assert!(answer.starts_with("502 "), "{answer}");
                assert_eq!(thief.count("received"), 0);
            }
        }
        host.namespace.tool("nft", &["flush", "ruleset"]);
        assert_eq!(whole.get(&host.outsider()), "200 service", "{hop:?}");
    }
}

/// CAP_NET_RAW speaks in the gateway's name, on its live connection.
#[test]
fn inject_into_a_live_gateway_connection_works_on_a_plain_hop_only() {
    for hop in [Hop::Plain, Hop::Tls] {
        let Some(host) = Host::new() else { return };
        let whole = Whole::start(&host, hop);
        let forged = "GET /forged HTTP/1.1\r\nHost: x\r\nX-Auth-Username: mallory\r\n\r\n";
        let inject = ["inject", "127.0.0.1:3939", "--say", forged];
        let mut attacker = host.spawn(&host.outsider().as_root(), &inject);
        attacker.event("listening");
        assert_eq!(whole.get(&host.outsider()), "200 service");
        attacker.tell("now");
        let outcome = attacker.outcome();
        match hop {
            Hop::Plain => {
                assert!(outcome.answered_by("HTTP/1.1"), "{outcome:?}");
                assert!(whole.service.received("GET /forged"));
            }
            Hop::Tls => assert!(!whole.service.received("GET /forged")),
        }
        // The next request gets its own answer, whatever became of that connection.
        assert_eq!(whole.get(&host.outsider()), "200 service", "{hop:?}");
    }
}

/// CAP_NET_ADMIN hands the gateway's connections to another listener, under the service's own
/// address: that one is not the service.
#[test]
fn tproxy_is_refused() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let serve = [
        "--transparent",
        "--name",
        "thief",
        "--listen",
        "127.0.0.1:4000",
    ];
    let thief = host.serve(&host.outsider().as_root(), &serve);
    host.namespace.nft(
        "table ip steal { chain pre { type filter hook prerouting priority -150; \
         tcp dport 3939 tproxy to 127.0.0.1:4000 accept; }\n}",
    );
    let connect = ["connect", "127.0.0.1:3939"];
    let outcome = host.attempt(&host.gateway(), &connect);
    assert!(outcome.answered_by("thief"), "{outcome:?}");
    let accepted = thief.count("accepted");
    let guard = site.guard("enforce", Layer::Ingress);
    let outcome = host.attempt(&host.gateway(), &connect);
    assert!(!outcome.reached(), "{outcome:?}");
    assert_eq!(thief.count("accepted"), accepted);
    assert!(guard.count("ingress", "not_service", "refused") > 0);
    guard.stop();
}

/// Delegation: what the gateway's own process hands over is the gateway's.
#[test]
fn a_socket_that_the_gateway_lends_stays_the_gateways() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let guard = site.guard("enforce", Layer::All);
    let at = host.dir.path().join("lent");
    let at = at.to_str().unwrap();
    let lender = host.spawn(&host.gateway(), &["lend", "127.0.0.1:3939", "--at", at]);
    lender.event("lending");
    let outcome = host.attempt(&host.outsider().as_root(), &["borrow", "--at", at]);
    assert!(outcome.answered_by("service"), "{outcome:?}");
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// pidfd_getfd(2) is for those who may trace a process; the gateway makes itself untraceable.
#[test]
fn pidfd_getfd_by_the_gateways_own_user() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let guard = site.guard("enforce", Layer::All);
    let victim = host.spawn_program(
        &host.gateway().as_user(Host::GATEWAY),
        attacker_binary().to_str().unwrap(),
        &["hold", "127.0.0.1:3939"],
    );
    victim.event("connected");
    let outcome = steal(host, victim.pid());
    // Both read what comes, and so the victim may get a part of it.
    assert!(!outcome.is_forbidden(), "{outcome:?}");
    assert!(site.service.received("stolen"));
    guard.stop();

    let Some(host) = Host::new() else { return };
    let whole = Whole::start(&host, Hop::Plain);
    assert_eq!(whole.get(&host.outsider()), "200 service");
    let outcome = steal(&host, whole.gateway.pid());
    assert!(outcome.is_forbidden(), "{outcome:?}");
}

/// Who may write to the slice's files decides who is the gateway: no descriptor of theirs, nor of
/// anything of the guard's, may come to the gateway.
#[test]
fn the_gateway_holds_no_descriptor_that_decides() {
    let Some(host) = Host::new() else { return };
    let whole = Whole::start(&host, Hop::Plain);
    assert_eq!(whole.get(&host.outsider()), "200 service");
    let open = |pid: u32| -> Vec<String> {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| read_link(entry.unwrap().path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect()
    };
    let decides = |target: &String| target.contains("cgroup") || target.contains("bpf");
    let gateways = open(whole.gateway.pid());
    assert!(gateways.iter().any(|target| target.starts_with("socket:")));
    assert!(!gateways.iter().any(decides), "{gateways:?}");
    // The same look finds what there is to find.
    assert!(open(whole.guard.pid()).iter().any(decides));
}

/// By a process of the gateway's user, elsewhere.
fn steal(host: &Host, pid: u32) -> Outcome {
    let thief = host.outsider().as_user(Host::GATEWAY);
    let pid = pid.to_string();
    let steal = ["steal", "--port", "3939", "--say", "stolen", "--pid", &pid];
    host.attempt(&thief, &steal)
}
