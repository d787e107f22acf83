//! Somebody on this host who listens elsewhere and connects to the service for others.

use gateway_tests::host::{GuardSetup, Host, Process, Who};

use crate::site::{Layer, Site};

/// Whoever asks it, the gateway as well: the connection to the service is the relay's own.
#[test]
fn a_relay_outside_the_slice_is_refused() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    for who in site.strangers() {
        let relay = relay(host, &who);
        for layer in [
            None,
            Some(Layer::All),
            Some(Layer::Connect),
            Some(Layer::Ingress),
        ] {
            let guard = layer.map(|layer| site.guard("enforce", layer));
            let accepted = site.service.count("accepted");
            for caller in [host.outsider(), host.gateway()] {
                let outcome = host.attempt(&caller, &CALL);
                let told = format!("{layer:?}: {caller:?} by {who:?}: {outcome:?}");
                assert_eq!(outcome.answered_by("service"), layer.is_none(), "{told}");
            }
            if let Some(guard) = guard {
                assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
                assert!(guard.refused() > 0, "{layer:?}");
                guard.stop();
            }
        }
        drop(relay);
    }
}

/// An exception is one for everybody whom the excepted process serves.
#[test]
fn a_relay_in_an_exception_passes() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let monitoring = host.cgroups.make("monitoring");
    let guard = GuardSetup::new(host, "enforce")
        .exception(&format!("cgroup = {:?}", monitoring.path))
        .start();
    let _relay = relay(host, &Who::user(&monitoring, Host::OUTSIDER));
    for caller in site.strangers() {
        let outcome = host.attempt(&caller, &CALL);
        assert!(outcome.answered_by("service"), "{caller:?}: {outcome:?}");
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

fn relay(host: &Host, who: &Who) -> Process {
    let relay = host.spawn(who, &["relay", "127.0.0.1:8080", "127.0.0.1:3939"]);
    relay.event("listening");
    relay
}

const CALL: [&str; 2] = ["connect", "127.0.0.1:8080"];
