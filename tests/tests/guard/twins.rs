//! Whoever has the gateway's addresses and ports at the same time: the kernel gives them twice if
//! one of the sockets is bound to an interface, which takes no privilege.

use gateway_tests::harness::poll;
use gateway_tests::host::{GuardSetup, Host, Process, Who, at, text};

use crate::site::{Layer, Site};

/// A request in a SYN (Fast Open) that only looks as if the gateway sent it.
#[test]
fn a_twins_fast_open_is_refused() {
    let Some(site) = Site::new() else { return };
    refused(&site, "line");
}

/// The ordinary handshake, as the gateway's connection ends in the middle of it: the acknowledgement
/// that completes it is the twin's, too.
#[test]
fn a_twins_handshake_is_not_completed() {
    let Some(site) = Site::new() else { return };
    refused(&site, "bare");
}

/// A twin of the gateway's, and the gateway, whose SYNs get lost.
struct Pair {
    twin: Process,
    gateway: Process,
    port: u16,
    text: String,
}

fn refused(site: &Site, order: &str) {
    let host = &site.host;
    // Else the service answers the gateway; and the gateway, to whom what is meant for its twin
    // comes as long as it is there, resets it.
    host.namespace.nft(
        "table inet lossy { chain out { type filter hook output priority 0; \
         tcp dport 3939 tcp flags & rst == rst drop; \
         ip daddr 192.0.2.1 meta skuid 0 tcp dport 3939 tcp flags syn drop; \
         ip6 daddr 2001:db8::1 meta skuid 0 tcp dport 3939 tcp flags syn drop; }\n}",
    );
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        let mut pairs = Vec::new();
        for who in site.strangers() {
            for ip in [Host::OWN_V4, Host::OWN_V6] {
                pairs.push(Pair::begin(site, &who, ip));
            }
        }
        for pair in &mut pairs {
            let refused = guard.as_ref().map(|guard| guard.refused());
            pair.twin.tell(order);
            poll::until("the twin's SYN is judged", || {
                let has_come = pair.has_met_the_service(host);
                let more = guard.as_ref().map(|guard| guard.refused()) > refused;
                (has_come || more).then_some(())
            });
        }
        for pair in &mut pairs {
            pair.gateway.kill();
        }
        for Pair { twin, text, .. } in pairs {
            let outcome = twin.outcome();
            assert_eq!(
                outcome.answered_by("service"),
                layer.is_none(),
                "{layer:?}: {outcome:?}"
            );
            assert_eq!(site.service.received(&text), layer.is_none(), "{layer:?}");
        }
        if let Some(guard) = guard {
            assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
            site.gateway_reaches();
            guard.stop();
        }
    }
}

impl Pair {
    fn begin(site: &Site, who: &Who, ip: &str) -> Self {
        let host = &site.host;
        let port = site.next_port();
        let target = at(ip, GuardSetup::PORT);
        let text = text(port);
        let range = |range: &str| host.namespace.set("ipv4/ip_local_port_range", range);
        range(&format!("{port} {port}"));
        // Long enough for what the kernel sends again after 1 s and after 3 s.
        let twin = ["twin", &target, "--say", &text, "--patience", "4000"];
        let twin = host.spawn(who, &twin);
        twin.event("ready");
        // The last one is the one that the kernel finds first.
        let connect = ["connect", &target, "--patience", "60000"];
        let gateway = host.spawn(&host.gateway(), &connect);
        poll::until("both have the port", || {
            let sockets = host.namespace.sockets();
            let both = sockets.iter().filter(|sock| sock.local.port() == port);
            (both.count() == 2).then_some(())
        });
        range("32768 60999");
        Self {
            twin,
            gateway,
            port,
            text,
        }
    }

    fn has_met_the_service(&self, host: &Host) -> bool {
        let sockets = host.namespace.sockets();
        sockets
            .iter()
            .any(|sock| sock.local.port() == GuardSetup::PORT && sock.remote.port() == self.port)
    }
}
