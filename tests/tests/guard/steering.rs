//! Programs of the network namespace that decide which socket a packet meets (`sk_lookup`). Only
//! root can attach one, with CAP_BPF and CAP_NET_ADMIN in the host's namespaces.

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
    site.gives_nothing_to(&thief);
}

/// What comes to a port that nobody protects is given to the service: the packets do not say so,
/// but they meet a listener on the service's port.
#[test]
fn what_is_steered_to_the_service_is_judged_as_if_it_came_to_its_port() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let _steering = steer(host, 9999, &site.service, 3939);
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = site.service.count("accepted");
        for who in [host.outsider(), host.hosted()] {
            for target in ["127.0.0.1:9999", "[::1]:9999"] {
                let outcome = host.attempt(&who, &["connect", target]);
                assert_eq!(
                    outcome.answered_by("service"),
                    layer.is_none(),
                    "{layer:?} {target}: {outcome:?}"
                );
            }
        }
        if let Some(guard) = guard {
            assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
            assert!(guard.count("ingress", "not_gateway", "refused") > 0);
            guard.stop();
        }
    }
}

/// The port from which it is steered may be protected itself, for another service at another address:
/// whose listener the packets meet decides, not what they say.
#[test]
fn what_is_steered_from_another_services_port_is_judged() {
    let Some(host) = Host::new() else { return };
    // Whatever is on every address is judged in any case.
    let service = host.serve(&host.service(), &["--listen", "127.0.0.1:3939"]);
    let _steering = steer(&host, 4040, &service, 3939);
    let other = host.cgroups.make("other.service");
    let other = format!(
        "address = \"127.0.0.9:4040\"\nservice = {:?}\nuid = 60500",
        other.path
    );
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard =
            layer.map(|layer| layer.start(GuardSetup::new(&host, "enforce").beside(&other)));
        let accepted = service.count("accepted");
        for who in [host.outsider(), host.hosted()] {
            let outcome = host.attempt(&who, &["connect", "127.0.0.1:4040"]);
            assert_eq!(
                outcome.answered_by("service"),
                layer.is_none(),
                "{layer:?}: {outcome:?}"
            );
        }
        if let Some(guard) = guard {
            assert_eq!(service.count("accepted"), accepted, "{layer:?}");
            assert!(guard.count("ingress", "not_gateway", "refused") >= 2);
            guard.stop();
        }
    }
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
