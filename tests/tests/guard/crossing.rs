//! Sockets of the service's that do not listen: what they connect to is not the service's visitor.

use gateway_tests::harness::poll;
use gateway_tests::host::State;

use crate::site::{Layer, Site};

/// Both connect to each other at once (RFC 9293, section 3.5): neither end listens.
#[test]
fn simultaneous_open_is_refused() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    site.hush();
    let host = &site.host;
    for layer in [
        None,
        Some(Layer::All),
        Some(Layer::Connect),
        Some(Layer::Ingress),
    ] {
        for ip in LOOPBACK {
            let guard = layer.map(|layer| site.guard("enforce", layer));
            let (here, there) = (format!("{ip}:3939"), format!("{ip}:{}", site.next_port()));
            let between = |from, to, say| {
                [
                    "connect",
                    to,
                    "--source",
                    from,
                    "--say",
                    say,
                    "--patience",
                    "3000",
                ]
            };
            let service = host.spawn(&host.service(), &between(&here, &there, "the service's"));
            poll::until("the service waits for somebody to answer", || {
                let sockets = host.namespace.sockets();
                let mut sockets = sockets.iter();
                sockets
                    .any(|one| one.state == State::Opening && one.local.port() == 3939)
                    .then_some(())
            });
            let foreign = host.attempt(&host.outsider(), &between(&there, &here, "the stranger's"));
            let service = service.outcome();
            let told = format!("{layer:?} {ip}: {service:?} {foreign:?}");
            match guard {
                None => {
                    assert!(service.answered_by("the"), "{told}");
                    assert!(foreign.answered_by("the"), "{told}");
                }
                Some(guard) => {
                    assert!(!service.reached() && !foreign.reached(), "{told}");
                    assert!(guard.refused() > 0, "{told}");
                    guard.stop();
                }
            }
        }
    }
}

/// The service takes its own port for a connection to somebody: no answer gets in.
#[test]
fn an_answer_to_the_services_own_port_is_refused() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    let stranger = host.serve(
        &host.outsider(),
        &["--name", "stranger", "--listen", "[::]:4000"],
    );
    for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
        let guard = layer.map(|layer| site.guard("enforce", layer));
        let accepted = stranger.count("accepted");
        for ip in LOOPBACK {
            let (to, from) = (format!("{ip}:4000"), format!("{ip}:3939"));
            let outcome = host.attempt(&host.service(), &["connect", &to, "--source", &from]);
            let told = format!("{layer:?} {ip}: {outcome:?}");
            assert_eq!(outcome.answered_by("stranger"), layer.is_none(), "{told}");
        }
        if let Some(guard) = guard {
            assert_eq!(stranger.count("accepted"), accepted, "{layer:?}");
            // Where an answer comes from, there is no connection yet.
            assert!(guard.count("ingress", "no_sender", "refused") >= 2);
            guard.stop();
        }
    }
}

const LOOPBACK: [&str; 2] = ["127.0.0.1", "[::1]"];
