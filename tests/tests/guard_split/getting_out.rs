//! On the gateway's host: who gets out to Connect.

use gateway_tests::host::{End, Namespace, Net};

use crate::attack::{Attack, at};
use crate::split::{Layer, Side, Split};

#[test]
fn ordinary_connects_are_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let mapped = format!("::ffff:{}", site.v4);
    site.prove(&[
        Attack::connect(&site.v4),
        Attack::connect(&site.v6),
        Attack::connect(&mapped),
        Attack::connect(&site.v4).with(&["--by", "uring"]),
        Attack::connect(&site.v6).with(&["--by", "uring-async"]),
        Attack::connect(&site.v4)
            .by_root()
            .with(&["--header", "options"]),
    ]);
}

#[test]
fn fast_open_is_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let accepted = || site.split.far.counter("TcpExt", "TCPFastOpenPassive");
    let attacks = [
        Attack::connect(&site.v4).with(&["--by", "fast-open-send"]),
        Attack::connect(&site.v4).with(&["--by", "fast-open-connect"]),
        Attack::connect(&site.v6).with(&["--by", "fast-open-send"]),
        Attack::connect(&site.v6).with(&["--by", "fast-open-connect"]),
    ];
    site.prove(&attacks);
    assert_eq!(
        accepted(),
        8,
        "the controls before and after, and nothing else"
    );
}

#[test]
fn multipath_tcp_is_refused() {
    if !std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
        eprintln!("skipped: this kernel has no Multipath TCP");
        return;
    }
    let Some(site) = Site::new(&["--mptcp"]) else {
        return;
    };
    let accepted = || site.split.far.counter("MPTcpExt", "MPCapableSYNRX");
    site.prove(&[
        Attack::connect(&site.v4).with(&["--mptcp"]),
        Attack::connect(&site.v6).with(&["--mptcp"]),
        Attack::connect(&format!("::ffff:{}", site.v4)).with(&["--mptcp"]),
    ]);
    assert_eq!(
        accepted(),
        6,
        "the controls before and after, and nothing else"
    );
}

/// Headers that only root can ask for, on an otherwise ordinary connection.
#[test]
fn extension_headers_are_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let header = |header| {
        Attack::connect(&site.v6)
            .by_root()
            .with(&["--header", header])
    };
    site.prove(&[header("destination-options"), header("hop-by-hop")]);
}

/// Segments that no socket of TCP sent (IPPROTO_RAW), whole, in fragments and behind headers.
#[test]
fn raw_segments_are_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let net = &site.split.net;
    let v4 = Attack::raw(&net.v4(End::Near, 0), &site.v4);
    let v6 = Attack::raw(&net.v6(End::Near, 0), &site.v6);
    let shaped = |attack: &Attack, shape| attack.clone().with(&["--shape", shape]);
    site.prove(&[
        v4.clone(),
        v6.clone(),
        shaped(&v4, "options"),
        shaped(&v4, "fragments"),
        shaped(&v6, "fragments"),
        shaped(&v6, "atomic-fragment"),
        shaped(&v6, "destination-options"),
        shaped(&v6, "hop-by-hop"),
        shaped(&v6, "many-headers"),
    ]);
}

/// The host itself turns what goes elsewhere into what goes to the endpoint: the hooks of connect
/// see the other address.
#[test]
fn local_dnat_is_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let net = &site.split.net;
    let (other_v4, other_v6) = (net.nobody_v4(), net.nobody_v6());
    site.split.host.namespace.nft(&format!(
        "table inet turn {{ chain out {{ type nat hook output priority -100; \
         ip daddr {other_v4} tcp dport 3939 dnat ip to {}; \
         ip6 daddr {other_v6} tcp dport 3939 dnat ip6 to {}; }}; }}",
        site.v4, site.v6
    ));
    let attacks = [
        Attack::connect(&other_v4).hidden_from_connect(),
        Attack::connect(&other_v6).hidden_from_connect(),
        Attack::connect(&other_v4)
            .hidden_from_connect()
            .with(&["--by", "fast-open-send"]),
    ];
    site.prove(&attacks);
    // The gateway may take that way, too.
    let guard = site.split.guard(Layer::All, &[]);
    for ip in [other_v4, other_v6] {
        let connect = ["connect", &at(&ip, 3939)];
        let outcome = site
            .split
            .host
            .attempt(&site.split.host.gateway(), &connect);
        assert!(outcome.answered_by("service"), "{ip}: {outcome:?}");
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// A container: another namespace, whose packets leave under the host's address.
#[test]
fn another_namespace_behind_masquerade_is_refused() {
    let Some(site) = Site::new(&[]) else { return };
    let mapped = format!("::ffff:{}", site.v4);
    let header = |header| {
        let attack = Attack::connect(&site.v6).by_root().in_container();
        attack.with(&["--header", header])
    };
    site.prove(&[
        Attack::connect(&site.v4).in_container(),
        Attack::connect(&site.v6).in_container(),
        Attack::connect(&mapped).in_container(),
        Attack::connect(&site.v4)
            .in_container()
            .with(&["--by", "fast-open-send"]),
        header("destination-options"),
        header("hop-by-hop"),
    ]);
}

/// What was open before the guard came is ended, but the gateway's goes on.
#[test]
fn connections_from_before_are_cut() {
    let Some(site) = Site::new(&[]) else { return };
    let split = &site.split;
    let host = &split.host;
    for ip in [&site.v4, &site.v6] {
        let hold = ["hold", &at(ip, 3939)];
        let mut gateway = host.spawn(&host.gateway(), &hold);
        let stranger = host.spawn(&host.outsider(), &hold);
        let mut contained = host.spawn_in(&site.container, &host.outsider(), &hold);
        for process in [&gateway, &stranger, &contained] {
            process.event("connected");
        }
        let guard = split.guard(Layer::All, &[]);
        stranger.event("ended");
        assert_eq!(gateway.ask("talk")["outcome"], "connected");
        assert_eq!(guard.status()["destroyed_sockets"], 1);
        // In other namespaces none is ended, but nothing more gets out.
        assert_eq!(contained.ask("talk")["outcome"], "silent");
        guard.stop();
    }
}

/// The gateway's host with a container on it, and Connect's host.
struct Site {
    split: Split,
    container: Namespace,
    /// Connect's address.
    v4: String,
    /// Connect's address.
    v6: String,
}

impl Site {
    fn new(arguments: &[&str]) -> Option<Self> {
        let split = Split::new(Side::Gateway, arguments)?;
        let container = contain(&split);
        Some(Self {
            v4: split.service_v4(),
            v6: split.service_v6(),
            container,
            split,
        })
    }

    /// Shows that without a guard each attempt succeeds, that with one none does and nothing of
    /// it reaches the wire's other end, that each layer alone refuses what it can see, and that
    /// the gateway gets through all the while.
    #[track_caller]
    fn prove(&self, attacks: &[Attack]) {
        let all: Vec<_> = attacks.iter().collect();
        self.control(&all);
        for layer in [Layer::All, Layer::Connect, Layer::Egress] {
            let seen: Vec<_> = all.iter().copied().filter(|one| layer.sees(one)).collect();
            if seen.is_empty() {
                continue;
            }
            let guard = self.split.guard(layer, &[]);
            self.gateway_reaches();
            let (arrivals, refused) = (self.split.arrivals(), guard.refused());
            let accepted = self.split.service.count("accepted");
            let made = self.run(&seen);
            self.gateway_reaches();
            self.split.none_reached(layer, &made);
            assert_eq!(self.split.arrivals(), arrivals, "{layer:?}: something left");
            let more = guard.refused() - refused;
            assert!(more >= made.len() as u64, "{layer:?}: {more} refusals");
            assert_eq!(self.split.service.count("accepted"), accepted + 2);
            guard.stop();
        }
        // What refused them was the guard, and it left nothing behind.
        self.control(&all);
    }

    #[track_caller]
    fn control(&self, attacks: &[&Attack]) {
        let arrivals = self.split.arrivals();
        let made = self.run(attacks);
        self.split.all_reached(&made);
        assert!(self.split.arrivals() > arrivals, "the counter counts");
    }

    fn run<'a>(&self, attacks: &[&'a Attack]) -> Vec<crate::split::Made<'a>> {
        let (contained, own): (Vec<_>, Vec<_>) = attacks.iter().partition(|one| one.in_container);
        let mut made = self.split.run(&own, &self.split.host.namespace);
        made.extend(self.split.run(&contained, &self.container));
        made
    }

    /// From an address of its own, so that the counter of strangers does not count it.
    #[track_caller]
    fn gateway_reaches(&self) {
        let (host, net) = (&self.split.host, &self.split.net);
        for (ip, source) in [
            (&self.v4, net.v4(End::Near, 1)),
            (&self.v6, net.v6(End::Near, 1)),
        ] {
            let connect = ["connect", &at(ip, 3939), "--source", &at(&source, 0)];
            let outcome = host.attempt(&host.gateway(), &connect);
            assert!(outcome.answered_by("service"), "{ip}: {outcome:?}");
        }
    }
}

/// A namespace that reaches the world through the host, under its addresses.
pub(crate) fn contain(split: &Split) -> Namespace {
    let (host, container) = (&split.host.namespace, Namespace::new());
    let net = Net::between(&container, host);
    container.set("ipv4/tcp_fastopen", "1543");
    host.set("ipv4/ip_forward", "1");
    host.set("ipv6/conf/all/forwarding", "1");
    for (family, gateway) in [("-4", net.v4(End::Far, 0)), ("-6", net.v6(End::Far, 0))] {
        let route = [family, "route", "add", "default", "via", &gateway];
        container.tool("ip", &route);
    }
    host.nft(&format!(
        "table inet hide {{ chain post {{ type nat hook postrouting priority 100; \
         ip saddr {} snat ip to {}; ip6 saddr {} snat ip6 to {}; }}; }}",
        net.v4(End::Near, 0),
        split.net.v4(End::Near, 0),
        net.v6(End::Near, 0),
        split.net.v6(End::Near, 0),
    ));
    container
}
