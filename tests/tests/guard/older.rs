//! Connections that are older than enforcement.

use std::net::SocketAddr;

use gateway_tests::harness::poll;
use gateway_tests::host::Process;
use serde_json::Value;

use crate::site::{Layer, Site};

#[test]
fn foreign_connections_are_cut_when_the_guard_comes() {
    let Some(site) = Site::new() else { return };
    let mut flows = Flows::open(&site);
    let guard = site.guard("enforce", Layer::All);
    flows.foreign_are_cut(&site);
    flows.gateways_live();
    destroyed(&guard.status(), 6);
    guard.stop();
}

#[test]
fn foreign_connections_are_cut_when_audit_ends() {
    let Some(site) = Site::new() else { return };
    let mut flows = Flows::open(&site);
    let guard = site.guard("audit", Layer::All);
    flows.all_live();
    destroyed(&guard.status(), 0);
    let finished = guard.command(&["enforce"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    flows.foreign_are_cut(&site);
    flows.gateways_live();
    guard.stop();
}

#[test]
fn without_a_guard_old_connections_live() {
    let Some(site) = Site::new() else { return };
    Flows::open(&site).all_live();
}

/// The acknowledgement that completes a handshake is judged as the SYN is, with and without a socket
/// that remembers the SYN (SYN cookies).
#[test]
fn a_handshake_that_is_older_than_the_guard_is_not_completed() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let stranger = site.host.outsider().as_root();
    for cookies in ["net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_syncookies=2"] {
        site.host.namespace.tool("sysctl", &["-q", "-w", cookies]);
        for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
            for ip in ["127.0.0.1", "[::1]"] {
                let source = format!("{ip}:{}", site.next_port());
                let target = format!("{ip}:3939");
                let raw = ["raw", &target, "--source", &source, "--halfway"];
                let mut attacker = site.host.spawn(&stranger, &raw);
                attacker.event("answered");
                let guard = layer.map(|layer| site.guard("enforce", layer));
                let accepted = site.service.count("accepted");
                let outcome = attacker.ask("on");
                let reached = outcome["answer"] == "service hello";
                assert_eq!(reached, layer.is_none(), "{cookies} {layer:?} {outcome}");
                if let Some(guard) = guard {
                    assert_eq!(site.service.count("accepted"), accepted, "{cookies}");
                    assert!(guard.count("ingress", "no_sender", "refused") > 0);
                    site.gateway_reaches();
                    guard.stop();
                }
            }
        }
    }
}

/// A connection over each family by each stranger and by the gateway.
struct Flows {
    foreign: Vec<Process>,
    gateways: Vec<Process>,
}

impl Flows {
    fn open(site: &Site) -> Self {
        let hold = |who| {
            TARGETS.map(|target| {
                let process = site.host.spawn(who, &["hold", target]);
                process.event("connected");
                process
            })
        };
        Self {
            foreign: site.strangers().iter().flat_map(hold).collect(),
            gateways: hold(&site.host.gateway()).into(),
        }
    }

    /// Both ends see it at once, although neither says a word.
    fn foreign_are_cut(&mut self, site: &Site) {
        for process in &mut self.foreign {
            assert_eq!(process.event("ended")["how"], "reset");
            let local = canonical(&process.event("connected")["local"]);
            let ended = poll::until("the service sees the end", || {
                let lines = site.service.lines();
                lines
                    .into_iter()
                    .find(|line| line["event"] == "ended" && canonical(&line["peer"]) == local)
            });
            assert_eq!(ended["how"], "reset", "{ended}");
        }
    }

    fn gateways_live(&mut self) {
        self.gateways.iter_mut().for_each(lives);
    }

    fn all_live(&mut self) {
        self.gateways_live();
        self.foreign.iter_mut().for_each(lives);
    }
}

fn lives(process: &mut Process) {
    let answer = process.ask("talk");
    assert_eq!(answer["answer"], "service hello", "{answer}");
}

fn destroyed(status: &Value, least: u64) {
    let destroyed = status["destroyed_sockets"].as_u64().unwrap();
    match least {
        0 => assert_eq!(destroyed, 0),
        _ => assert!(destroyed >= least, "{destroyed}"),
    }
}

/// The service listens on `[::]` and sees IPv4 as v4-mapped.
fn canonical(address: &Value) -> SocketAddr {
    let address: SocketAddr = address.as_str().unwrap().parse().unwrap();
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

const TARGETS: [&str; 3] = ["127.0.0.1:3939", "[::1]:3939", "[::ffff:127.0.0.1]:3939"];
