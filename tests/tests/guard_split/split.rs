//! Two hosts and a wire between them, and the proof that an attack is refused.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::tool;
use gateway_tests::host::{End, Guard, GuardSetup, Host, Namespace, Net, Process};

use crate::attack::{Attack, FIRST_PORT, at, text};

/// See the module.
pub(crate) struct Split {
    pub(crate) service: Process,
    /// The host with the guard, and the cgroups of everybody.
    pub(crate) host: Host,
    /// The other host.
    pub(crate) far: Namespace,
    pub(crate) net: Net,
    guarded: Side,
    number: AtomicU16,
}

/// Whose host has the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Connect's: the service is there.
    Connect,
    /// The gateway's: the service is on the far host.
    Gateway,
}

/// Which of the guard's programs are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Every one.
    All,
    /// `connect4` and `connect6`.
    Connect,
    /// `egress`.
    Egress,
    /// `ingress`.
    Ingress,
}

/// An attempt that was made.
pub(crate) struct Made<'a> {
    attack: &'a Attack,
    number: u16,
    outcome: Outcome,
}

impl Split {
    /// Two hosts, with the service on the right one. None where that cannot be.
    pub(crate) fn new(guarded: Side, arguments: &[&str]) -> Option<Self> {
        let host = Host::new()?;
        let far = Namespace::new();
        far.set("ipv4/tcp_fastopen", "1543");
        let net = Net::between(&host.namespace, &far);
        let mut serve = vec!["serve", "--listen", "[::]:3939"];
        serve.extend(arguments);
        let home = match guarded {
            Side::Connect => &host.namespace,
            Side::Gateway => &far,
        };
        let service = host.spawn_in(home, &host.service(), &serve);
        service.event("listening");
        for namespace in [&host.namespace, &far] {
            // Keeps the kernels from resetting what raw sockets have begun.
            namespace.nft(&format!(
                "table inet hush {{ chain out {{ type filter hook output priority 0; \
                 tcp sport >= {FIRST_PORT} tcp sport < 20000 tcp flags & rst == rst drop; }}; }}"
            ));
        }
        let split = Self {
            service,
            host,
            far,
            net,
            guarded,
            number: AtomicU16::new(0),
        };
        split.count_arrivals();
        Some(split)
    }

    /// An address of the service's host on the wire.
    pub(crate) fn service_v4(&self) -> String {
        self.net.v4(self.service_end(), 0)
    }

    /// An address of the service's host on the wire.
    pub(crate) fn service_v6(&self) -> String {
        self.net.v6(self.service_end(), 0)
    }

    /// Starts the guard: with the endpoints elsewhere, or with one here.
    #[track_caller]
    pub(crate) fn guard(&self, layer: Layer, allow_from: &[String]) -> Guard<'_> {
        let setup = GuardSetup::new(&self.host, "enforce");
        let setup = match layer {
            Layer::All => setup,
            Layer::Connect => setup.programs("connect4,connect6"),
            Layer::Egress => setup.programs("egress"),
            Layer::Ingress => setup.programs("ingress"),
        };
        if self.guarded == Side::Connect {
            return setup
                .local("allow_from", &format!("{allow_from:?}"))
                .start();
        }
        let text = setup.text();
        let (mut text, _) = text
            .split_once("[[guard.local]]")
            .map(|(top, rest)| (top.to_owned(), rest))
            .unwrap();
        for ip in [self.service_v4(), self.service_v6()] {
            text += &format!("[[guard.remote]]\naddress = {:?}\n", at(&ip, 3939));
        }
        let config = self.host.dir.write("guard.toml", text);
        setup.start_with(&config)
    }

    /// Makes all attempts at once.
    pub(crate) fn run<'a>(&self, attacks: &[&'a Attack], from: &Namespace) -> Vec<Made<'a>> {
        let mut running = Vec::new();
        for attack in attacks {
            let who = match attack.as_root {
                true => self.host.outsider().as_root(),
                false => self.host.outsider(),
            };
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let arguments = attack.arguments(number);
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let process = self.host.spawn_in(from, &who, &arguments);
            running.push((*attack, number, process));
        }
        let made = |(attack, number, process): (_, _, Process)| Made {
            attack,
            number,
            outcome: process.outcome(),
        };
        running.into_iter().map(made).collect()
    }

    /// Each of them reached the service.
    #[track_caller]
    pub(crate) fn all_reached(&self, made: &[Made<'_>]) {
        for one in made {
            assert!(one.outcome.answered_by("service"), "{one:?}");
            assert!(self.service.received(&text(one.number)), "{one:?}");
        }
    }

    /// None did. The service reports in order, so that something that it heard later is awaited.
    #[track_caller]
    pub(crate) fn none_reached(&self, layer: Layer, made: &[Made<'_>]) {
        for one in made {
            assert!(!one.outcome.reached(), "{layer:?}: {one:?}");
            assert!(
                !self.service.received(&text(one.number)),
                "{layer:?}: {one:?}"
            );
            if one.attack.by_connect && matches!(layer, Layer::All | Layer::Connect) {
                assert!(one.outcome.is_forbidden(), "{layer:?}: {one:?}");
            }
        }
    }

    /// How many packets of strangers have come to the service's host over the wire, of whatever
    /// kind but what finds neighbours.
    pub(crate) fn arrivals(&self) -> u64 {
        self.counter("strangers")
    }

    /// What a counter of nftables has counted on the service's host.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let mut list = Command::new(tool("nft"));
        list.args(["-j", "list", "counters"]).stdin(Stdio::null());
        let output = self.service_home().run(|| list.output()).unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut counters = listed["nftables"].as_array().unwrap().iter();
        let packets = counters.find_map(|one| {
            let counter = &one["counter"];
            (counter["name"] == name).then(|| counter["packets"].as_u64().unwrap())
        });
        packets.unwrap_or_else(|| panic!("no counter {name}: {listed}"))
    }

    /// Strangers send from their end's address number 0, and only they do.
    fn count_arrivals(&self) {
        let end = self.service_end().other();
        self.service_home().nft(&format!(
            "table inet count {{ counter strangers {{ }}; \
             chain pre {{ type filter hook prerouting priority -500; \
             ip saddr {} counter name strangers; \
             ip6 saddr {} meta l4proto != ipv6-icmp counter name strangers; }}; }}",
            self.net.v4(end, 0),
            self.net.v6(end, 0),
        ));
    }

    fn service_end(&self) -> End {
        match self.guarded {
            Side::Connect => End::Near,
            Side::Gateway => End::Far,
        }
    }

    fn service_home(&self) -> &Namespace {
        match self.guarded {
            Side::Connect => &self.host.namespace,
            Side::Gateway => &self.far,
        }
    }
}

impl Layer {
    /// Whether it sees an attempt.
    pub(crate) fn sees(self, attack: &Attack) -> bool {
        self != Self::Connect || attack.by_connect
    }
}

impl std::fmt::Debug for Made<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}: {:?}", self.attack, self.outcome)
    }
}
