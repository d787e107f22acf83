//! What the guard on the gateway's host does not close, since no socket that it sees sends it: the
//! service is reached over a plain hop, and by nobody without a certificate over mutual TLS.

use std::process::{Command, Stdio};

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::{Authority, Dir, tool};
use gateway_tests::host::{End, Guard, Namespace, Net};
use serde_json::Value;

use crate::attack::{FIRST_PORT, at};
use crate::getting_out::contain;
use crate::split::{Layer, Side, Split};

/// Root on the gateway's host (CAP_NET_ADMIN) turns what others send to this host into what goes
/// to the endpoint: it is forwarded, not sent.
#[test]
fn forwarded_dnat_works_on_a_plain_hop() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let host = &split.host;
    let turned = Turned::new(&split);
    let guard = split.guard(Layer::All, &[]);
    let connect = |ip: &str| {
        let connect = ["connect", &at(ip, 8080)];
        host.spawn_in(&turned.container, &host.outsider(), &connect)
            .outcome()
    };
    for ip in &turned.addresses {
        assert!(!connect(ip).reached(), "nobody listens on the host itself");
    }
    turned.turn(&split);
    for ip in &turned.addresses {
        let outcome = connect(ip);
        assert!(outcome.answered_by("service"), "{ip}: {outcome:?}");
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// The same attempt: the service's certificate keeps nobody out, the one that it asks for does.
#[test]
fn forwarded_dnat_is_stopped_by_mutual_tls() {
    let tls = Tls::new();
    for is_mutual in [false, true] {
        let Some(split) = Split::new(Side::Gateway, &texts(&tls.serve(is_mutual))) else {
            return;
        };
        let host = &split.host;
        let turned = Turned::new(&split);
        turned.turn(&split);
        let guard = split.guard(Layer::All, &[]);
        for ip in &turned.addresses {
            let get = tls.get(&at(ip, 8080));
            let outcome = host
                .spawn_in(&turned.container, &host.outsider(), &texts(&get))
                .outcome();
            match is_mutual {
                false => assert!(outcome.answered_by("200"), "{ip}: {outcome:?}"),
                true => assert_eq!(outcome, Outcome::Cut, "{ip}"),
            }
        }
        assert_eq!(guard.refused(), 0);
        if is_mutual {
            assert!(split.service.count("accepted") >= 2);
            assert_eq!(split.service.count("received"), 0);
        }
        the_gateway_gets(&split, &tls);
        guard.stop();
    }
}

/// A packet socket (CAP_NET_RAW in the host's namespace) gives its frames to the interface, past
/// `egress`. What is written by hand can be TLS as well, so that again the certificate decides.
#[test]
fn packet_sockets_reach_a_plain_hop_only() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let guard = split.guard(Layer::All, &[]);
    for outcome in send_frames(&split, &guard) {
        assert!(outcome.answered_by("service"), "{outcome:?}");
    }
    guard.stop();

    let tls = Tls::new();
    let Some(split) = Split::new(Side::Gateway, &texts(&tls.serve(true))) else {
        return;
    };
    let guard = split.guard(Layer::All, &[]);
    for outcome in send_frames(&split, &guard) {
        // The kernel there answers, and TLS's alert is no line.
        assert!(!outcome.answered_by("service"), "{outcome:?}");
    }
    assert!(split.service.count("accepted") >= 2);
    assert_eq!(split.service.count("received"), 0);
    the_gateway_gets(&split, &tls);
    guard.stop();
}

/// A conversation over each family, by frames that are written by hand.
fn send_frames(split: &Split, guard: &Guard<'_>) -> Vec<Outcome> {
    let host = &split.host;
    let mut outcomes = Vec::new();
    for (ip, source) in [
        (split.service_v4(), split.net.v4(End::Near, 0)),
        (split.service_v6(), split.net.v6(End::Near, 0)),
    ] {
        // So that the kernel knows the neighbour's address.
        let target = at(&ip, 3939);
        let outcome = host.attempt(&host.gateway(), &["connect", &target]);
        assert_ne!(outcome, Outcome::Silent);
        let (interface, neighbour) = neighbour(&host.namespace, &ip);
        let from = |port| at(&source, FIRST_PORT + port);
        let [one, another] = [from(1), from(2)];
        // What the kernel itself is asked to send does not leave.
        let raw = ["raw", &target, "--source"];
        let straight = [&raw[..], &[&one]].concat();
        let outcome = host.attempt(&host.outsider().as_root(), &straight);
        assert!(!outcome.reached(), "{ip}: {outcome:?}");
        let refused = guard.refused();
        assert!(refused > 0);
        let link = ["--through", &interface, "--neighbour", &neighbour];
        let frames = [&raw[..], &[&another], &link].concat();
        outcomes.push(host.attempt(&host.outsider().as_root(), &frames));
        assert_eq!(guard.refused(), refused);
    }
    outcomes
}

/// With its certificate, over the same hop.
#[track_caller]
fn the_gateway_gets(split: &Split, tls: &Tls) {
    for ip in [split.service_v4(), split.service_v6()] {
        let get = tls.get_as_gateway(&at(&ip, 3939));
        let outcome = split.host.attempt(&split.host.gateway(), &texts(&get));
        assert!(outcome.answered_by("200"), "{ip}: {outcome:?}");
    }
}

/// By which interface, and at which hardware address.
fn neighbour(namespace: &Namespace, ip: &str) -> (String, String) {
    let mut list = Command::new(tool("ip"));
    list.args(["-j", "neighbor", "show", "to", ip])
        .stdin(Stdio::null());
    let output = namespace.run(|| list.output()).unwrap();
    let known: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |key: &str| known[0][key].as_str().unwrap().to_owned();
    (text("dev"), text("lladdr"))
}

/// A container on the gateway's host, and the host's addresses that it knows.
struct Turned {
    container: Namespace,
    addresses: [String; 2],
}

impl Turned {
    fn new(split: &Split) -> Self {
        let container = contain(split);
        let wire = Net::of(&container);
        Self {
            addresses: [wire.v4(End::Far, 0), wire.v6(End::Far, 0)],
            container,
        }
    }

    /// From here on port 8080 of these is the endpoint's.
    fn turn(&self, split: &Split) {
        let [v4, v6] = &self.addresses;
        split.host.namespace.nft(&format!(
            "table inet turn {{ chain pre {{ type nat hook prerouting priority -100; \
             ip daddr {v4} tcp dport 8080 dnat ip to {}:3939; \
             ip6 daddr {v6} tcp dport 8080 dnat ip6 to [{}]:3939; }}; }}",
            split.service_v4(),
            split.service_v6(),
        ));
    }
}

/// Certificates of the service and of the gateway, of one authority.
struct Tls(Dir);

impl Tls {
    fn new() -> Self {
        let dir = Dir::new();
        let ca = Authority::new("both ends'");
        dir.write("ca.pem", ca.pem());
        ca.server(&[NAME]).write(dir.path(), "service");
        ca.client("gateway").write(dir.path(), "gateway");
        Self(dir)
    }

    /// Arguments of `serve`.
    fn serve(&self, is_mutual: bool) -> Vec<String> {
        let mut serve = vec!["--http".to_owned()];
        serve.extend(["--tls-chain".to_owned(), self.file("service.pem")]);
        serve.extend(["--tls-key".to_owned(), self.file("service.key")]);
        if is_mutual {
            serve.extend(["--client-ca".to_owned(), self.file("ca.pem")]);
        }
        serve
    }

    /// A request without a certificate.
    fn get(&self, address: &str) -> Vec<String> {
        ["get", address, "--host", NAME, "--ca", &self.file("ca.pem")]
            .map(str::to_owned)
            .into()
    }

    fn get_as_gateway(&self, address: &str) -> Vec<String> {
        let mut get = self.get(address);
        get.extend(["--certificate".to_owned(), self.file("gateway.pem")]);
        get.extend(["--key".to_owned(), self.file("gateway.key")]);
        get
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

const NAME: &str = "service.test";
