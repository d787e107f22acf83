//! Connections that nobody has opened: sockets made by TCP_REPAIR, which takes CAP_NET_ADMIN.

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::poll;
use gateway_tests::host::Host;

use crate::site::{Layer, Site};
use crate::whole::{Hop, Whole};

/// A socket that is connected without a handshake has no other end. Without a guard the service's
/// kernel resets it, so that no control can succeed; with one not even that happens.
#[test]
fn a_made_up_connection_gets_nothing() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        for ip in ["127.0.0.1", "[::1]"] {
            for who in site.strangers() {
                let source = format!("{ip}:{}", site.next_port());
                let repair = ["repair", &format!("{ip}:3939"), "--source", &source];
                let outcome = host.attempt(&who.as_root(), &repair);
                let is_expected = match layer {
                    None => outcome == Outcome::Cut,
                    Some(Layer::Ingress) => outcome == Outcome::Silent,
                    Some(_) => outcome.is_forbidden(),
                };
                assert!(is_expected, "{layer:?} {ip}: {outcome:?}");
            }
        }
        assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
        if let Some(guard) = guard {
            assert!(guard.refused() >= 4, "{layer:?}");
            site.gateway_reaches();
            guard.stop();
        }
    }
}

/// The addresses of a live connection are taken, for root as well, with a guard and without.
#[test]
fn a_live_4_tuple_of_the_gateways_cannot_be_had() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    for layer in [None, Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let mut gateway = host.spawn(&host.gateway(), &["hold", "127.0.0.1:3939"]);
        let connected = gateway.event("connected");
        let source = connected["local"].as_str().unwrap();
        let repair = ["repair", "127.0.0.1:3939", "--source", source];
        match host.attempt(&host.outsider().as_root(), &repair) {
            Outcome::Refused { errno, .. } => assert_eq!(errno, ADDRESS_NOT_AVAILABLE),
            other => panic!("{layer:?}: {other:?}"),
        }
        assert_eq!(gateway.ask("talk")["answer"], "service hello");
        if let Some(guard) = guard {
            guard.stop();
        }
    }
}

/// Root ends the gateway's socket so that its reset does not get out, and goes on in its place,
/// under another address that `connect4` does not know: the service's end was verified. That is
/// writing into the gateway's connection by other means.
#[test]
fn taking_over_a_gateway_connection_works_on_a_plain_hop_only() {
    for hop in [Hop::Plain, Hop::Tls] {
        let Some(host) = Host::new() else { return };
        let whole = Whole::start(&host, hop);
        let forged = "GET /forged HTTP/1.1\r\nHost: x\r\nX-Auth-Username: mallory\r\n\r\n";
        let straight = ["repair", "127.0.0.1:3939", "--say", forged];
        let detour = [&straight[..], &["--detour", "127.0.0.9:8080"]].concat();
        let [mut straight, mut detour] = [&straight[..], &detour].map(|repair| {
            let attacker = host.spawn(&host.outsider().as_root(), repair);
            attacker.event("listening");
            attacker
        });
        assert_eq!(whole.get(&host.outsider()), "200 service");
        host.namespace.nft(
            "table inet mute { chain out { type filter hook output priority 0; \
             tcp dport 3939 tcp flags & rst == rst drop; }; }",
        );
        let kill = ["-K", "dst", "127.0.0.1", "dport", "=", "3939"];
        host.namespace.tool("ss", &kill);
        // Only now: what is translated must not be known by its own addresses already.
        host.namespace.nft(
            "table ip detour { chain out { type nat hook output priority -100; \
             ip daddr 127.0.0.9 tcp dport 8080 dnat to 127.0.0.1:3939; }; }",
        );
        straight.tell("now");
        let outcome = straight.outcome();
        assert!(outcome.is_forbidden(), "{hop:?}: {outcome:?}");
        detour.tell("now");
        match hop {
            Hop::Plain => poll::until("the forged request arrives", || {
                whole.service.received("GET /forged").then_some(())
            }),
            Hop::Tls => {
                // What is not TLS ends the connection.
                whole.service.event("ended");
                assert!(!whole.service.received("GET /forged"));
            }
        }
        assert!(!detour.outcome().is_forbidden());
        // The next request gets its own answer, by another connection.
        host.namespace.tool("nft", &["flush", "ruleset"]);
        assert_eq!(whole.get(&host.outsider()), "200 service", "{hop:?}");
    }
}

/// EADDRNOTAVAIL (errno(3)).
const ADDRESS_NOT_AVAILABLE: i32 = 99;
