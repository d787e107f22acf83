//! Packets that no socket of TCP sends. Only root can send them (CAP_NET_RAW), but a container may
//! have that for its own packets.

use gateway_tests::host::Host;

use crate::attack::Attack;
use crate::site::Site;

#[test]
fn forged_syn_on_a_fresh_port_is_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    site.prove(&[
        Attack::raw("127.0.0.1", "127.0.0.1"),
        Attack::raw("127.0.0.7", "127.0.0.1"),
        Attack::raw(Host::OWN_V4, Host::OWN_V4),
        Attack::raw("::1", "::1"),
        Attack::raw(Host::OWN_V6, "::1"),
    ]);
}

/// Also one that `allow_from` lists: that counts for packets from outside only.
#[test]
fn spoofed_source_on_lo_is_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    // The answers must leave, by whatever way, so that the controls see them.
    let ip = |command: &str| {
        let arguments: Vec<_> = command.split(' ').collect();
        site.host.namespace.tool("ip", &arguments);
    };
    ip("link add name out0 type veth peer name in0");
    ip("link set out0 up");
    ip("link set in0 up");
    for address in ["198.51.100.66", "2001:db8:f::66"] {
        ip(&format!("route add {address} dev out0"));
        ip(&format!(
            "neighbor add {address} lladdr 02:00:00:00:00:01 dev out0"
        ));
    }
    let attacks = [
        Attack::raw("198.51.100.66", Host::OWN_V4),
        Attack::raw("2001:db8:f::66", "::1"),
        Attack::raw("2001:db8:f::66", Host::OWN_V6),
    ];
    site.prove_with(&attacks, |setup| {
        setup.local("allow_from", r#"["198.51.100.66", "2001:db8:f::/64"]"#)
    });
}

#[test]
fn ip_options_are_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    site.prove(&[shaped("127.0.0.1", "options")]);
}

#[test]
fn tiny_fragments_are_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    site.prove(&[
        shaped("127.0.0.1", "fragments"),
        shaped("::1", "fragments"),
        shaped("::1", "atomic-fragment"),
    ]);
}

#[test]
fn extension_headers_are_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    site.prove(&[
        shaped("::1", "destination-options"),
        shaped("::1", "hop-by-hop"),
        shaped("::1", "many-headers"),
    ]);
}

/// The lookup of the sender must not find the gateway's listening socket.
#[test]
fn raw_syn_from_a_port_on_which_the_gateway_listens_is_refused() {
    let Some(site) = Site::new() else { return };
    site.hush();
    let host = &site.host;
    let ports: Vec<u16> = (0..8).map(|number| 19_000 + number).collect();
    let listening: Vec<_> = ports.iter().map(|port| format!("[::]:{port}")).collect();
    let mut arguments = vec!["--name", "gateway"];
    for address in &listening {
        arguments.extend(["--listen", address]);
    }
    let _gateway = host.serve(&host.gateway(), &arguments);
    let mut ports = ports.into_iter();
    let mut next = || {
        let source = format!("127.0.0.1:{}", ports.next().unwrap());
        host.attempt(
            &host.outsider().as_root(),
            &["raw", "127.0.0.1:3939", "--source", &source],
        )
    };
    let outcome = next();
    assert!(outcome.reached(), "{outcome:?}");
    for layer in [crate::site::Layer::All, crate::site::Layer::Ingress] {
        let guard = site.guard("enforce", layer);
        let outcome = next();
        assert!(!outcome.reached(), "{layer:?}: {outcome:?}");
        assert_eq!(guard.count("ingress", "no_sender", "refused"), 1);
        site.gateway_reaches();
        guard.stop();
    }
}

fn shaped(ip: &str, shape: &str) -> Attack {
    Attack::raw(ip, ip).with(&["--shape", shape])
}
