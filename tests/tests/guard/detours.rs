//! Ways around the service's address: translated addresses, containers.

use gateway_tests::attacker::Outcome;
use gateway_tests::host::{GuardSetup, Host, Namespace, Who};

use crate::attack::Attack;
use crate::site::{Layer, Site};

/// Who connects elsewhere is not seen by `connect4`; the packet that arrives is, and no socket
/// of this host has sent it from that address to that one.
#[test]
fn local_dnat_is_refused() {
    let Some(site) = Site::new() else { return };
    site.host.namespace.nft(
        "table inet detour { chain out { type nat hook output priority -100; \
         ip daddr 127.0.0.1 tcp dport 8080 dnat ip to 127.0.0.1:3939; \
         ip6 daddr ::1 tcp dport 8080 dnat ip6 to [::1]:3939; }\n}",
    );
    site.prove(&[
        Attack::connect("127.0.0.1")
            .at_port("127.0.0.1", 8080)
            .hidden_from_connect(),
        Attack::connect("::1")
            .at_port("::1", 8080)
            .hidden_from_connect(),
    ]);
}

#[test]
fn snat_to_127_0_0_1_is_refused() {
    let Some(site) = Site::new() else { return };
    site.host.namespace.nft(
        "table ip detour { chain post { type nat hook postrouting priority 100; \
         ip saddr 127.0.0.9 tcp dport 3939 snat to 127.0.0.1; }\n}",
    );
    site.prove(&[Attack::connect("127.0.0.1").with(&["--source", "127.0.0.9:0"])]);
}

/// A container of the service's own: another namespace, a cgroup below the service's, and packets
/// that come in over a veth, with extension headers too, a macvlan on it, or to a published port.
#[test]
fn a_container_in_the_services_cgroup_is_refused() {
    let Some(site) = Site::new() else { return };
    let container = Container::new(&site.host);
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        for way in &WAYS {
            let outcome = container.attempt(&site.host, way);
            let told = format!("{layer:?} {way:?}: {outcome:?}");
            assert_eq!(outcome.reached(), layer.is_none(), "{told}");
        }
        if let Some(guard) = guard {
            assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
            assert!(guard.count("ingress", "not_listed", "refused") >= WAYS.len() as u64);
            site.gateway_reaches();
            guard.stop();
        }
    }
    // Who is listed gets in.
    let guard = GuardSetup::new(&site.host, "enforce")
        .local("allow_from", r#"["10.47.0.2", "fd47::/64"]"#)
        .start();
    for way in &WAYS {
        let outcome = container.attempt(&site.host, way);
        let listed = way.source != MACVLAN;
        assert_eq!(outcome.reached(), listed, "{way:?}: {outcome:?}");
    }
    guard.stop();
}

struct Container {
    namespace: Namespace,
    who: Who,
}

impl Container {
    fn new(host: &Host) -> Self {
        let namespace = Namespace::new();
        // Root there, and only there.
        let who = Who::root(&host.cgroups.make("connect.service/container"));
        // The pair is made inside and one end is moved out, to where a process holds it open.
        let mut holder = host.spawn(&host.outsider(), &["serve", "--listen", "127.0.0.1:5000"]);
        holder.event("listening");
        let pid = holder.pid().to_string();
        let pair = [
            "link", "add", "name", "in0", "type", "veth", "peer", "name", "out0",
        ];
        namespace.tool("ip", &pair);
        namespace.tool("ip", &["link", "set", "out0", "netns", &pid]);
        holder.kill();
        let add = |namespace: &Namespace, device: &str, addresses: &[&str]| {
            for address in addresses {
                // Without duplicate address detection an IPv6 address is usable at once.
                let nodad: &[&str] = if address.contains(':') {
                    &["nodad"]
                } else {
                    &[]
                };
                let add = ["address", "add", address, "dev", device];
                namespace.tool("ip", &[&add[..], nodad].concat());
            }
            namespace.tool("ip", &["link", "set", device, "up"]);
        };
        add(&host.namespace, "out0", &["10.47.0.1/24", "fd47::1/64"]);
        add(&namespace, "in0", &["10.47.0.2/24", "fd47::2/64"]);
        namespace.tool("ip", &["route", "add", "default", "via", "10.47.0.1"]);
        let macvlan = [
            "link", "add", "name", "mac0", "link", "in0", "type", "macvlan",
        ];
        namespace.tool("ip", &macvlan);
        add(
            &namespace,
            "mac0",
            &[&format!("{}/24", MACVLAN.trim_end_matches(":0"))],
        );
        // A published port that leads to the loopback address.
        host.namespace.set("ipv4/conf/out0/route_localnet", "1");
        host.namespace.nft(
            "table ip publish { chain pre { type nat hook prerouting priority -100; \
             iif out0 tcp dport 8080 dnat to 127.0.0.1:3939; }\n}",
        );
        Self { namespace, who }
    }

    fn attempt(&self, host: &Host, way: &Way) -> Outcome {
        let mut connect = vec!["connect", way.target, "--source", way.source];
        if let Some(header) = way.header {
            connect.extend(["--header", header]);
        }
        host.spawn_in(&self.namespace, &self.who, &connect)
            .outcome()
    }
}

/// From where to where, with which header in every packet.
#[derive(Debug)]
struct Way {
    target: &'static str,
    source: &'static str,
    header: Option<&'static str>,
}

impl Way {
    const fn new(target: &'static str, source: &'static str) -> Self {
        Self {
            target,
            source,
            header: None,
        }
    }

    const fn with(header: &'static str) -> Self {
        Self {
            target: "[fd47::1]:3939",
            source: "[fd47::2]:0",
            header: Some(header),
        }
    }
}

const WAYS: [Way; 7] = [
    Way::new("10.47.0.1:3939", "10.47.0.2:0"),
    Way::new("[fd47::1]:3939", "[fd47::2]:0"),
    Way::new("192.0.2.1:3939", "10.47.0.2:0"),
    Way::new("10.47.0.1:8080", "10.47.0.2:0"),
    Way::new("10.47.0.1:3939", MACVLAN),
    Way::with("destination-options"),
    Way::with("hop-by-hop"),
];
const MACVLAN: &str = "10.47.0.3:0";
