//! Fragments that contradict each other: the guard judges what the kernel made of them.

use gateway_tests::harness::poll;
use gateway_tests::host::Namespace;

use crate::attack::Attack;
use crate::site::{Layer, Site};

/// The ports come first as the service's and once more as others. Linux keeps what came first.
#[test]
fn ports_that_come_twice_are_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    site.prove(&LOOPBACK.map(|ip| shaped(ip, "doubled-fragments")));
}

/// Linux drops the whole packet, as RFC 8200, section 4.5, says of IPv6: there is no way in even
/// without a guard. In smaller pieces that do not overlap, the same segment gets in.
#[test]
fn overlapping_fragments_reach_nobody() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let overlapping = LOOPBACK.map(|ip| shaped(ip, "overlapping-fragments"));
    site.all_reach(&LOOPBACK.map(|ip| shaped(ip, "fragments")));
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        for attack in &overlapping {
            let failures = failures(&site.host.namespace);
            for who in site.strangers() {
                let number = site.next_port() - crate::attack::FIRST_PORT;
                let arguments = attack.arguments(number);
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let outcome = site.host.attempt(&who.as_root(), &arguments);
                assert!(!outcome.reached(), "{layer:?}: {attack:?}: {outcome:?}");
            }
            poll::until("both were dropped for their overlap", || {
                let now = self::failures(&site.host.namespace);
                (now >= failures + 2).then_some(())
            });
        }
        assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
        if let Some(guard) = guard {
            site.gateway_reaches();
            guard.stop();
        }
    }
}

fn shaped(ip: &str, shape: &str) -> Attack {
    Attack::raw(ip, ip).with(&["--shape", shape])
}

/// Packets of both families that could not be put together.
fn failures(namespace: &Namespace) -> u64 {
    let v4 = namespace.counter("IpExt", "ReasmOverlaps");
    let text = namespace.read("snmp6");
    let v6 = text
        .lines()
        .find_map(|line| line.strip_prefix("Ip6ReasmFails"));
    v4 + v6.unwrap().trim().parse::<u64>().unwrap()
}

const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];
