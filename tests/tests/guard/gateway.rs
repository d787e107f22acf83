//! What must not be refused: everything of the gateway's, and the gateway to everybody.

use gateway_tests::harness::{ALICE, poll};
use gateway_tests::host::{Guard, Host, State, Who};
use serde_json::Value;

use crate::site::{Layer, Site};
use crate::whole::{Hop, Whole};

/// By every address and means, from the slice itself and from below.
#[test]
fn everything_of_the_gateways_passes() {
    let Some(site) = Site::with(&["--mptcp"]) else {
        return;
    };
    let host = &site.host;
    let guard = site.guard("enforce", Layer::All);
    let below = host.cgroups.make("gateway.slice/gateway.service/worker");
    let places = [
        Who::root(host.slice()),
        host.gateway(),
        Who::user(&below, Host::GATEWAY),
    ];
    for who in &places {
        for target in ADDRESSES {
            let outcome = host.attempt(who, &["connect", target]);
            assert!(
                outcome.answered_by("service"),
                "{who:?} {target}: {outcome:?}"
            );
        }
        for means in [
            "fast-open-send",
            "fast-open-connect",
            "uring",
            "uring-async",
        ] {
            let outcome = host.attempt(who, &["connect", "127.0.0.1:3939", "--by", means]);
            assert!(
                outcome.answered_by("service"),
                "{who:?} {means}: {outcome:?}"
            );
        }
        let outcome = host.attempt(who, &["connect", "127.0.0.1:3939", "--mptcp"]);
        assert!(outcome.answered_by("service"), "{who:?} mptcp: {outcome:?}");
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

#[test]
fn five_thousand_connections_at_once() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let guard = site.guard("enforce", Layer::All);
    let flood = [
        "flood",
        "127.0.0.1:3939",
        "--count",
        "5000",
        "--patience",
        "20000",
    ];
    let mut gateway = host.spawn(&host.gateway(), &flood);
    for count in [1000, 2000, 3000, 4000] {
        let opened = |line: &Value| line["event"] == "opening" && line["count"] == count;
        gateway.line(&format!("{count} of its connections"), opened);
    }
    assert_eq!(gateway.event("open")["count"], 5000);
    let open = host.namespace.sockets();
    let open = open.iter().filter(|sock| sock.state == State::Established);
    assert_eq!(open.filter(|sock| sock.remote.port() == 3939).count(), 5000);
    assert_eq!(guard.refused(), 0);
    gateway.tell("end");
    gateway.event("closed");
    none_is_left(&site);
    only_strays(&guard);
    guard.stop();
}

/// By either side, in either way, the other side learns of it.
#[test]
fn none_is_left_half_closed() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let guard = site.guard("enforce", Layer::All);
    for target in ["127.0.0.1:3939", "[::1]:3939"] {
        for (ending, say) in [
            ("fin", "hello"),
            ("rst", "hello"),
            ("wait", "bye"),
            ("wait", "abort"),
        ] {
            let flood = ["flood", target, "--count", "1000", "--patience", "20000"];
            let how = ["--ending", ending, "--say", say];
            let mut gateway = host.spawn(&host.gateway(), &[&flood[..], &how].concat());
            gateway.event("open");
            gateway.tell("end");
            let closed = gateway.event("closed");
            if say == "bye" {
                assert_eq!(closed["answered"], 1000);
            }
            none_is_left(&site);
        }
    }
    only_strays(&guard);
    guard.stop();
}

/// The built gateway and guard with one configuration, and everybody on the host.
#[test]
fn the_gateway_is_the_only_way_in_and_open_to_all() {
    let Some(host) = Host::new() else { return };
    let whole = Whole::start(&host, Hop::Plain);
    let strangers = [host.outsider(), host.hosted()];
    for who in &strangers {
        let outcome = host.attempt(who, &["connect", "127.0.0.1:3939"]);
        assert!(outcome.is_forbidden(), "{outcome:?}");
        assert_eq!(whole.get(who), "200 service");
    }
    let refused = whole.guard.metrics().sum(
        "connect_gateway_guard_verdicts_total",
        &[("action", "refused"), ("reason", "not_gateway")],
    );
    assert_eq!(refused, strangers.len() as f64);
    let named = format!("x-auth-username: {}", ALICE.name);
    let heads = whole.service.lines().into_iter().filter(|line| {
        let head = line["text"].as_str().unwrap_or_default();
        head.to_ascii_lowercase().contains(&named)
    });
    assert_eq!(heads.count(), strangers.len());
    let Whole {
        gateway,
        guard,
        service,
        ..
    } = whole;
    // Stopped, it leaves no hole behind.
    drop(gateway);
    let accepted = service.count("accepted");
    for who in &strangers {
        let outcome = host.attempt(who, &["connect", "127.0.0.1:3939"]);
        assert!(outcome.is_forbidden(), "{outcome:?}");
    }
    assert_eq!(service.count("accepted"), accepted);
    guard.stop();
}

/// Nothing was refused but acknowledgements for connections that the service has forgotten: where
/// a FIN is repeated, a socket in TIME_WAIT answers it twice. Without a guard they get a reset.
#[track_caller]
fn only_strays(guard: &Guard<'_>) {
    for verdict in guard.verdicts() {
        let stray = (&*verdict.program, &*verdict.reason) == ("ingress", "no_sender");
        assert!(verdict.action == "passed" || stray, "{verdict:?}");
    }
}

/// Neither end remembers any connection but those that wait for strays (TIME_WAIT).
#[track_caller]
fn none_is_left(site: &Site) {
    let mut left = Vec::new();
    let gone = poll::settled("the sockets", STILL, || {
        left = site.host.namespace.sockets();
        left.retain(|sock| {
            sock.concerns(3939) && !matches!(sock.state, State::Listen | State::TimeWait)
        });
        left.is_empty()
    });
    assert!(gone, "{} are left: {:?}", left.len(), left.first());
}

const ADDRESSES: [&str; 9] = [
    "127.0.0.1:3939",
    "127.0.0.2:3939",
    "0.0.0.0:3939",
    "192.0.2.1:3939",
    "[::1]:3939",
    "[::]:3939",
    "[2001:db8::1]:3939",
    "[::ffff:127.0.0.1]:3939",
    "[::ffff:192.0.2.1]:3939",
];

/// Longer than a retransmission takes on lo.
const STILL: std::time::Duration = std::time::Duration::from_millis(500);
