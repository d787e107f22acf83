//! Programs of the network namespace that decide which socket a packet meets (`sk_lookup`). Only
//! root can attach one, with CAP_BPF and CAP_NET_ADMIN in the host's namespaces.

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::Authority;
use gateway_tests::host::{GuardSetup, Host, Process};

use crate::site::{Layer, Site};

/// What comes to the service's port is given to a thief's socket: that one is not the service.
#[test]
fn a_thief_to_whom_the_services_port_is_steered_gets_nothing() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let thief = host.serve(
        &host.outsider(),
        &["--name", "thief", "--listen", "[::]:4000"],
    );
    let _steering = steer(host, 3939, &thief, 4000);
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = thief.count("accepted");
        for target in ["127.0.0.1:3939", "[::1]:3939"] {
            let outcome = host.attempt(&host.gateway(), &["connect", target]);
            assert_eq!(
                outcome.answered_by("thief"),
                layer.is_none(),
                "{layer:?} {target}: {outcome:?}"
            );
        }
        if let Some(guard) = guard {
            assert_eq!(thief.count("accepted"), accepted, "{layer:?}");
            assert!(guard.count("ingress", "not_service", "refused") > 0);
            guard.stop();
        }
    }
}

/// What comes to a port that nobody protects is given to the service: packets do not say so, and
/// `ingress` lets them pass. The service lets nobody in without a certificate, if it asks for one.
#[test]
fn what_is_steered_to_the_service_works_on_a_plain_hop_only() {
    let Some(host) = Host::new() else { return };
    let dir = host.dir.path();
    let ca = Authority::new("the service's");
    let (chain, key) = ca.server(&["127.0.0.1"]).write(dir, "service");
    let (certificate, certificate_key) = ca.client("gateway").write(dir, "gateway");
    let ca = host.dir.write("ca.pem", ca.pem());
    let [ca, chain, key, certificate, certificate_key] =
        [&ca, &chain, &key, &certificate, &certificate_key].map(|path| path.to_str().unwrap());
    let plain = ["--listen", "[::]:3939"];
    let mutual = [
        &plain[..],
        &["--http", "--tls-chain", chain, "--tls-key", key],
        &["--client-ca", ca],
    ]
    .concat();

    let service = host.serve(&host.service(), &plain);
    let steering = steer(&host, 9999, &service, 3939);
    let guard = GuardSetup::new(&host, "enforce").start();
    for who in [host.outsider(), host.hosted()] {
        for target in ["127.0.0.1:9999", "[::1]:9999"] {
            let outcome = host.attempt(&who, &["connect", target]);
            assert!(outcome.answered_by("service"), "{target}: {outcome:?}");
        }
    }
    assert_eq!(guard.refused(), 0);
    drop((service, steering));

    let service = host.serve(&host.service(), &mutual);
    let _steering = steer(&host, 9999, &service, 3939);
    let get = |target| ["get", target, "--host", "127.0.0.1", "--ca", ca];
    for who in [host.outsider(), host.hosted()] {
        let outcome = host.attempt(&who, &get("127.0.0.1:9999"));
        assert_eq!(outcome, Outcome::Cut);
    }
    assert!(service.count("accepted") >= 2);
    assert_eq!(service.count("received"), 0);
    let own = ["--certificate", certificate, "--key", certificate_key];
    let get = [&get("127.0.0.1:3939")[..], &own].concat();
    let outcome = host.attempt(&host.gateway(), &get);
    assert!(outcome.answered_by("200"), "{outcome:?}");
    guard.stop();
}

/// Gives what comes to a port to a process's listening socket, while the result lives.
fn steer(host: &Host, port: u16, to: &Process, listener: u16) -> Process {
    let [port, listener] = [port, listener].map(|port| port.to_string());
    let pid = to.pid().to_string();
    let steer = [
        "steer",
        "--port",
        &port,
        "--pid",
        &pid,
        "--listener",
        &listener,
    ];
    let steering = host.spawn(&host.outsider().as_root(), &steer);
    steering.event("steering");
    steering
}
