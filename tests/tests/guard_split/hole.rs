//! What the guard does not close, since no socket of the gateway's host sends it.

use crate::attack::at;
use crate::getting_out::contain;
use crate::split::{Layer, Side, Split};
use gateway_tests::host::{End, Net};

/// Root on the gateway's host (CAP_NET_ADMIN) turns what others send to this host into what goes
/// to the endpoint: it is forwarded, not sent. Over TLS the service sees that it is not the
/// gateway if it asks for a certificate.
#[test]
fn forwarded_dnat_works_on_a_plain_hop() {
    let Some(split) = Split::new(Side::Gateway, &[]) else {
        return;
    };
    let host = &split.host;
    let container = contain(&split);
    let wire = Net::of(&container);
    let (v4, v6) = (wire.v4(End::Far, 0), wire.v6(End::Far, 0));
    let guard = split.guard(Layer::All, &[]);
    let connect = |ip: &str| {
        let connect = ["connect", &at(ip, 8080)];
        host.spawn_in(&container, &host.outsider(), &connect)
            .outcome()
    };
    for ip in [&v4, &v6] {
        assert!(!connect(ip).reached(), "nobody listens on the host itself");
    }
    host.namespace.nft(&format!(
        "table inet turn {{ chain pre {{ type nat hook prerouting priority -100; \
         ip daddr {v4} tcp dport 8080 dnat ip to {}:3939; \
         ip6 daddr {v6} tcp dport 8080 dnat ip6 to [{}]:3939; }}; }}",
        split.service_v4(),
        split.service_v6(),
    ));
    for ip in [&v4, &v6] {
        let outcome = connect(ip);
        assert!(outcome.answered_by("service"), "{ip}: {outcome:?}");
    }
    assert_eq!(guard.refused(), 0);
    guard.stop();
}
