//! Somebody on the gateway's host who listens elsewhere and connects to the endpoint for others.

use gateway_tests::host::{End, Net, Process, Who};

use crate::attack::at;
use crate::getting_out::contain;
use crate::split::{Layer, Side, Split};

/// For a process of the same host and for a container. In the slice it would be the gateway.
#[test]
fn a_relay_outside_the_slice_is_refused() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let host = &split.host;
    let container = contain(&split);
    let near = Net::of(&container).v4(End::Far, 0);
    let relay = |who: &Who, port: u16, to: &str| -> Process {
        let relay = ["relay", &at("0.0.0.0", port), &at(to, 3939)];
        let process = host.spawn(who, &relay);
        process.event("listening");
        process
    };
    for (port, ip) in [(8080, split.service_v4()), (8081, split.service_v6())] {
        let _foreign = relay(&host.outsider(), port, &ip);
        let _gateways = relay(&host.gateway(), port + 10, &ip);
        let call = |port| {
            let call = ["connect", &at(&near, port)];
            [&host.namespace, &container]
                .map(|from| host.spawn_in(from, &host.outsider(), &call).outcome())
        };
        for layer in [
            None,
            Some(Layer::All),
            Some(Layer::Connect),
            Some(Layer::Egress),
        ] {
            let guard = layer.map(|layer| split.guard(layer, &[]));
            let accepted = split.service.count("accepted");
            for outcome in call(port + 10) {
                assert!(
                    outcome.answered_by("service"),
                    "{layer:?} {ip}: {outcome:?}"
                );
            }
            for outcome in call(port) {
                let told = format!("{layer:?} {ip}: {outcome:?}");
                assert_eq!(outcome.answered_by("service"), layer.is_none(), "{told}");
            }
            if let Some(guard) = guard {
                assert_eq!(split.service.count("accepted"), accepted + 2, "{layer:?}");
                assert!(guard.refused() > 0, "{layer:?}");
                guard.stop();
            }
        }
    }
}
