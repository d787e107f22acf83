//! Every address by which a process of this host can name the service.

use gateway_tests::host::{GuardSetup, Host};

use crate::attack::{Attack, at};
use crate::site::{Layer, Site};

#[test]
fn no_address_of_this_host_leads_to_the_service() {
    let Some(site) = Site::new() else { return };
    let mapped = format!("::ffff:{}", Host::OWN_V4);
    site.prove(&[
        Attack::connect("127.0.0.1"),
        Attack::connect("127.0.0.2"),
        Attack::connect("0.0.0.0"),
        Attack::connect("::1"),
        Attack::connect("::"),
        Attack::connect("::ffff:127.0.0.1"),
        Attack::connect("::ffff:0.0.0.0"),
        // `connect4` and `connect6` cannot know that these are this host's.
        Attack::connect(Host::OWN_V4).hidden_from_connect(),
        Attack::connect(Host::OWN_V6).hidden_from_connect(),
        Attack::connect(&mapped).hidden_from_connect(),
    ]);
}

#[test]
fn no_source_address_makes_a_difference() {
    let Some(site) = Site::new() else { return };
    let from = |ip: &str, source: &str| Attack::connect(ip).with(&["--source", &at(source, 0)]);
    site.prove(&[
        from("127.0.0.1", "127.0.0.9"),
        from("127.0.0.1", Host::OWN_V4),
        from("::1", Host::OWN_V6),
        from(Host::OWN_V4, "127.0.0.1").hidden_from_connect(),
        from(Host::OWN_V6, "::1").hidden_from_connect(),
    ]);
}

/// An endpoint on one address: whatever else leads to the service is refused all the same.
#[test]
fn an_endpoint_on_one_address_leaves_no_way_around_it() {
    let Some(site) = Site::new() else { return };
    for layer in [Layer::All, Layer::Ingress] {
        let setup = GuardSetup::new(&site.host, "enforce").local("address", "\"127.0.0.1:3939\"");
        let guard = layer.start(setup);
        let accepted = site.service.count("accepted");
        for ip in ["127.0.0.1", "127.0.0.2", "0.0.0.0", Host::OWN_V4, "::1"] {
            for who in site.strangers() {
                let outcome = site.host.attempt(&who, &["connect", &at(ip, 3939)]);
                assert!(!outcome.reached(), "{layer:?} {ip} {who:?}: {outcome:?}");
            }
        }
        assert_eq!(site.service.count("accepted"), accepted, "{layer:?}");
        site.gateway_reaches();
        guard.stop();
    }
    site.all_reach(&[Attack::connect("127.0.0.2"), Attack::connect("::1")]);
}

/// Other ports, UDP and other namespaces are none of the guard's business.
#[test]
fn what_is_not_protected_is_left_alone() {
    let Some(site) = Site::new() else { return };
    let Some(elsewhere) = Host::new() else { return };
    let other = site.host.serve(
        &site.host.service(),
        &["--listen", "[::]:4000", "--name", "other"],
    );
    let guard = site.guard("enforce", Layer::All);
    for who in site.strangers() {
        for ip in ["127.0.0.1", "::1"] {
            let outcome = site.host.attempt(&who, &["connect", &at(ip, 4000)]);
            assert!(outcome.answered_by("other"), "{outcome:?}");
        }
    }
    assert_eq!(other.count("accepted"), 4);
    // The same port, in a container's namespace; in one that the guard came before, too.
    let theirs = elsewhere.serve(&elsewhere.service(), &["--listen", "[::]:3939"]);
    for ip in ["127.0.0.1", "::1"] {
        let outcome = elsewhere.attempt(&elsewhere.outsider(), &["connect", &at(ip, 3939)]);
        assert!(outcome.answered_by("service"), "{outcome:?}");
    }
    assert_eq!(theirs.count("accepted"), 2);
    udp_passes(&site);
    assert_eq!(guard.refused(), 0);
    guard.stop();
}

fn udp_passes(site: &Site) {
    let echoed = site.host.namespace.run(|| {
        let server = std::net::UdpSocket::bind("127.0.0.1:3939").unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect("127.0.0.1:3939").unwrap();
        client.send(b"datagram").unwrap();
        let mut bytes = [0; 16];
        let patience = gateway_tests::harness::poll::patience();
        server.set_read_timeout(Some(patience)).unwrap();
        let count = server.recv(&mut bytes).unwrap();
        bytes[..count].to_vec()
    });
    assert_eq!(echoed, b"datagram");
}
