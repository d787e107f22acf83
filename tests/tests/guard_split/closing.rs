//! The gateway's connections to an endpoint elsewhere come to their ends.

use gateway_tests::harness::poll;
use gateway_tests::host::{Namespace, Sock, State};
use rustix::process::{Pid, Signal, kill_process};

use crate::attack::at;
use crate::split::{Layer, Side, Split};

/// By either side, in either way, the other side learns of it.
#[test]
fn none_is_left_half_closed() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let host = &split.host;
    let guard = split.guard(Layer::All, &[]);
    for ip in [split.service_v4(), split.service_v6()] {
        for (ending, say) in [
            ("fin", "hello"),
            ("rst", "hello"),
            ("wait", "bye"),
            ("wait", "abort"),
        ] {
            let flood = [
                "flood",
                &at(&ip, 3939),
                "--count",
                "200",
                "--patience",
                "20000",
            ];
            let how = ["--ending", ending, "--say", say];
            let mut gateway = host.spawn(&host.gateway(), &[&flood[..], &how].concat());
            assert_eq!(gateway.event("open")["count"], 200);
            gateway.tell("end");
            let closed = gateway.event("closed");
            if say == "bye" {
                assert_eq!(closed["answered"], 200);
            }
            for namespace in [&host.namespace, &split.far] {
                poll::until(&format!("none is left after {ending} {say}"), || {
                    open(namespace).is_empty().then_some(())
                });
            }
        }
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// Whoever closes first acknowledges the other's end, if that comes again, when there is no socket
/// any more: the kernel's own sockets send that.
#[test]
fn the_last_acknowledgement_gets_out() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let host = &split.host;
    let guard = split.guard(Layer::All, &[]);
    for ip in [split.service_v4(), split.service_v6()] {
        let mut gateway = host.spawn(&host.gateway(), &["hold", &at(&ip, 3939)]);
        gateway.event("connected");
        // The service never hears that its end arrived.
        split.far.nft(
            "table inet deaf { counter lost { }; chain pre { \
             type filter hook prerouting priority 0; tcp dport 3939 \
             tcp flags & (syn|fin|rst|psh|ack) == ack counter name lost drop; }; }",
        );
        gateway.tell("fin");
        poll::until("the acknowledgement is repeated without a socket", || {
            let mut here = host.namespace.sockets();
            here.retain(is_ours);
            let closed = here.iter().all(|sock| sock.state == State::TimeWait);
            (closed && split.counter("lost") >= 3).then_some(())
        });
        let there = open(&split.far);
        assert!(
            matches!(there[..], [one] if one.state == State::HalfClosed),
            "{there:?}"
        );
        split.far.tool("nft", &["delete", "table", "inet", "deaf"]);
        poll::until("the service's side is done", || {
            open(&split.far).is_empty().then_some(())
        });
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// Of what the gateway's host knows nothing any more, its kernel tells the service so.
#[test]
fn a_connection_that_is_gone_is_reset() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let held: Vec<_> = [split.service_v4(), split.service_v6()]
        .into_iter()
        .map(|ip| {
            let hold = ["hold", &at(&ip, 3939)];
            let gateway = split.host.spawn(&split.host.gateway(), &hold);
            gateway.event("connected");
            gateway
        })
        .collect();
    split.far.nft(
        "table inet deaf { chain pre { type filter hook prerouting priority 0; \
         tcp dport 3939 tcp flags & rst == rst drop; }; }",
    );
    for mut gateway in held {
        gateway.tell("rst");
        assert!(gateway.wait().success());
    }
    split.far.tool("nft", &["delete", "table", "inet", "deaf"]);
    assert_eq!(open(&split.host.namespace), []);
    let there = open(&split.far);
    assert!(
        matches!(there[..], [one, other] if [one.state, other.state] == [State::Established; 2]),
        "{there:?}"
    );
    let service = Pid::from_raw(i32::try_from(split.service.pid()).unwrap()).unwrap();
    let guard = split.guard(Layer::All, &[]);
    // Its end finds nobody but the kernel.
    kill_process(service, Signal::KILL).unwrap();
    poll::until("the service's side is done", || {
        open(&split.far).is_empty().then_some(())
    });
    // Newer kernels show `egress` only what answers over IPv4.
    assert!(guard.count("egress", "closing", "passed") > 0);
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

/// What is neither closed nor waits for strays (TIME_WAIT).
fn open(namespace: &Namespace) -> Vec<Sock> {
    let mut sockets = namespace.sockets();
    sockets.retain(|sock| is_ours(sock) && !matches!(sock.state, State::Listen | State::TimeWait));
    sockets
}

fn is_ours(sock: &Sock) -> bool {
    sock.concerns(3939)
}
