//! Further subflows of Multipath TCP (RFC 8684, section 3.2). The kernel opens them by itself where
//! its list of endpoints says so, and no process asks for a connection: a subflow belongs to the
//! cgroup of the connection that it joins.

use std::path::Path;

use gateway_tests::harness::poll;
use gateway_tests::host::{Process, Who};
use serde_json::Value;

use crate::site::{Layer, Site};

/// From another address of the client's host.
#[test]
fn a_further_subflow_is_refused() {
    joins("subflow", |layer| match layer {
        // The kernel's own thread connects to loopback: not even the gateway may, then.
        Layer::All => (Some("connect4"), 0),
        _ => (Some("ingress"), 1),
    });
}

/// To another address of the service's host, which that one announces (ADD_ADDR). On a connection
/// that was cut nothing is announced any more.
#[test]
fn a_subflow_to_an_announced_address_is_refused() {
    joins("signal", |_| (None, 1));
}

/// The stranger's connection is older than the guard: there is no other way to one. `expected` says
/// which program refuses its subflow, if it comes to that, and how many of the gateway's are made.
#[track_caller]
fn joins(kind: &str, expected: impl Fn(Layer) -> (Option<&'static str>, u64)) {
    if !Path::new("/proc/sys/net/mptcp/enabled").exists() {
        eprintln!("skipped: this kernel has no Multipath TCP");
        return;
    }
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let Some(site) = Site::with(&["--mptcp"]) else {
            return;
        };
        let host = &site.host;
        let mptcp = |arguments: &[&str]| {
            let arguments = [&["mptcp"], arguments].concat();
            host.namespace.tool("ip", &arguments);
        };
        let joined = || host.namespace.counter("MPTcpExt", "MPJoinAckRx");
        mptcp(&["limits", "set", "subflows", "4", "add_addr_accepted", "4"]);
        let hold = |who: &Who, say| {
            let hold = ["hold", "127.0.0.1:3939", "--mptcp", "--say", say];
            let process = host.spawn(who, &hold);
            process.event("connected");
            process
        };
        let mut gateway = hold(&host.gateway(), "gateway");
        let mut stranger = hold(&host.outsider(), "stranger");
        let guard = layer.map(|layer| site.guard("enforce", layer));
        mptcp(&["endpoint", "add", "192.0.2.1", kind]);
        let Some((layer, guard)) = layer.zip(guard) else {
            poll::until("both are joined", || (joined() == 2).then_some(()));
            assert_eq!(stranger.ask("talk")["answer"], "service stranger");
            continue;
        };
        let (program, gateways) = expected(layer);
        poll::until("the gateway's is joined", || {
            (joined() == gateways).then_some(())
        });
        assert_eq!(gateway.ask("talk")["answer"], "service gateway");
        // What it says needs a subflow.
        if stranger.is_alive() {
            let answer = stranger.ask("talk");
            assert_ne!(answer["outcome"], "connected", "{layer:?} {answer}");
        }
        if let Some(program) = program {
            poll::until(&format!("{program} refuses"), || {
                (guard.count(program, "not_gateway", "refused") > 0).then_some(())
            });
        }
        assert_eq!(joined(), gateways, "{layer:?}");
        assert_eq!(heard(&site.service, "stranger"), 1, "{layer:?}");
        guard.stop();
    }
}

/// How often a server received that.
fn heard(server: &Process, text: &str) -> usize {
    let lines = server.lines();
    let fits = |line: &&Value| line["event"] == "received" && line["text"] == text;
    lines.iter().filter(fits).count()
}
