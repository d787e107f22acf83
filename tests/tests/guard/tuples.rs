//! Addresses and ports that the gateway uses, or has just used.

use gateway_tests::harness::poll;
use gateway_tests::host::{Sock, State};

use crate::site::{Layer, Site};

/// A SYN on a connection of the gateway's gets nothing, and does not harm it.
#[test]
fn syn_on_a_live_4_tuple_gets_nothing() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let host = &site.host;
    for layer in GUARDED {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let mut gateway = host.spawn(&host.gateway(), &["hold", "127.0.0.1:3939"]);
        let connected = gateway.event("connected");
        let accepted = site.service.count("accepted");
        let source = connected["local"].as_str().unwrap();
        for who in site.strangers() {
            let raw = ["raw", "127.0.0.1:3939", "--source", source];
            let outcome = host.attempt(&who.as_root(), &raw);
            assert!(!outcome.reached(), "{layer:?}: {outcome:?}");
        }
        assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
        let answer = gateway.ask("talk");
        assert_eq!(answer["answer"], "service hello", "{answer}");
        if let Some(guard) = guard {
            guard.stop();
        }
    }
}

/// The service closed first: its kernel remembers the connection, and takes a new one like it.
#[test]
fn a_4_tuple_that_the_service_remembers_is_refused() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let mut ports = 20_001..;
    for layer in GUARDED {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        for who in site.strangers() {
            let port = ports.next().unwrap();
            let source = format!("127.0.0.1:{port}");
            let connect = ["connect", "127.0.0.1:3939", "--source", &source];
            let bye = [&connect[..], &["--say", "bye"]].concat();
            assert!(host.attempt(&host.gateway(), &bye).reached());
            remembered(&site, |sock| {
                sock.local.port() == 3939 && sock.remote.port() == port
            });
            let accepted = site.service.count("accepted");
            let outcome = host.attempt(&who, &connect);
            assert_eq!(outcome.reached(), layer.is_none(), "{layer:?}: {outcome:?}");
            if layer.is_some() {
                assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
            }
        }
        if let Some(guard) = guard {
            site.gateway_reaches();
            guard.stop();
        }
    }
}

/// The gateway closed first: the lookup of the sender finds what its kernel remembers of it, which
/// is nobody's any more.
#[test]
fn syn_on_a_time_wait_4_tuple_is_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let host = &site.host;
    let mut ports = 10_001..;
    for layer in GUARDED {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        for who in site.strangers() {
            let port = ports.next().unwrap();
            let source = format!("127.0.0.1:{port}");
            let connect = ["connect", "127.0.0.1:3939", "--source", &source];
            assert!(host.attempt(&host.gateway(), &connect).reached());
            remembered(&site, |sock| sock.local.port() == port);
            let raw = ["raw", "127.0.0.1:3939", "--source", &source];
            let outcome = host.attempt(&who.as_root(), &raw);
            assert_eq!(outcome.reached(), layer.is_none(), "{layer:?}: {outcome:?}");
        }
        if let Some(guard) = guard {
            assert!(guard.count("ingress", "no_sender", "refused") >= 2);
            site.gateway_reaches();
            guard.stop();
        }
    }
}

fn remembered(site: &Site, fits: impl Fn(&Sock) -> bool) {
    poll::until("a socket is in TIME_WAIT", || {
        let sockets = site.host.namespace.sockets();
        let mut sockets = sockets.iter();
        sockets
            .any(|sock| sock.state == State::TimeWait && fits(sock))
            .then_some(())
    });
}

const GUARDED: [Option<Layer>; 3] = [None, Some(Layer::All), Some(Layer::Ingress)];
