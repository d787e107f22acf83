//! Whoever sits on the service's port in its place: gets nothing of the gateway's.

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::scale;
use gateway_tests::host::{GuardSetup, Host, Process, Who};

use crate::site::{Layer, Site};

/// The service is down; others take its port, on one address or on all.
#[test]
fn squat_while_the_service_is_down() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    for who in thieves(host) {
        for address in ["127.0.0.1:3939", "0.0.0.0:3939", "[::]:3939"] {
            let thief = host.serve(&who, &["--name", "thief", "--listen", address]);
            assert!(asks(&site).answered_by("thief"));
            drop(thief);
        }
    }
    // Nobody else may take it, and so the service can.
    let guard = site.guard("enforce", Layer::All);
    for who in thieves(host) {
        for address in ["127.0.0.1:3939", "0.0.0.0:3939", "[::]:3939"] {
            let serve = ["serve", "--name", "thief", "--listen", address];
            let outcome = host.attempt(&who, &serve);
            assert!(outcome.is_forbidden(), "{who:?} {address}: {outcome:?}");
        }
    }
    let service = host.serve(&host.service(), &["--listen", "[::]:3939"]);
    assert!(asks(&site).answered_by("service"));
    guard.stop();
    drop(service);
    // With nobody to look at binds, the port is taken, but in vain.
    for who in thieves(host) {
        for address in ["127.0.0.1:3939", "0.0.0.0:3939", "[::]:3939"] {
            let thief = host.serve(&who, &["--name", "thief", "--listen", address]);
            let guard = site.guard("enforce", Layer::Ingress);
            gets_nothing(&site, &thief);
            assert!(guard.count("ingress", "not_service", "refused") > 0);
            guard.stop();
        }
    }
}

/// Root can take every port, and others one that is not reserved.
#[test]
fn a_port_that_may_be_taken_is_taken_in_vain() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    let guard = GuardSetup::new(host, "enforce")
        .local("reserve", "false")
        .start();
    let [outsider, hosted] = thieves(host);
    for who in [&outsider, &hosted, &outsider.as_root(), &hosted.as_root()] {
        let thief = host.serve(who, &["--name", "thief", "--listen", "[::]:3939"]);
        gets_nothing(&site, &thief);
    }
    guard.stop();
    let guard = site.guard("enforce", Layer::All);
    for who in [outsider.as_root(), hosted.as_root()] {
        let thief = host.serve(&who, &["--name", "thief", "--listen", "[::]:3939"]);
        gets_nothing(&site, &thief);
    }
    guard.stop();
}

/// Without the service's user in the configuration, what shares its cgroup counts as the service:
/// why the user should be there.
#[test]
fn without_a_user_hosted_content_counts_as_the_service() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    let guard = GuardSetup::new(host, "enforce").without("uid").start();
    let thief = host.serve(
        &host.hosted(),
        &["--name", "thief", "--listen", "[::]:3939"],
    );
    assert!(asks(&site).answered_by("thief"));
    drop(thief);
    let thief = ["serve", "--name", "thief", "--listen", "[::]:3939"];
    let outcome = host.attempt(&host.outsider(), &thief);
    assert!(outcome.is_forbidden(), "{outcome:?}");
    guard.stop();
}

/// Sharing the port takes the same user, and both sides' consent.
#[test]
fn so_reuseport_join() {
    let Some(site) = Site::with(&["--reuse-port"]) else {
        return;
    };
    let host = &site.host;
    let who = host.outsider().as_user(Host::SERVICE);
    let serve = ["--reuse-port", "--name", "thief", "--listen", "[::]:3939"];
    let thief = host.serve(&who, &serve);
    let tries = scale(40, 400);
    let stolen = (0..tries)
        .filter(|_| asks(&site).answered_by("thief"))
        .count();
    assert!(stolen > 0, "none of {tries} connections went to the thief");

    // The service's user may bind wherever it runs, so that a restart never fails; in vain.
    for layer in [Layer::All, Layer::Ingress] {
        let guard = site.guard("enforce", layer);
        let before = thief.count("accepted");
        let mut answered = 0;
        for _ in 0..scale(10, 100) {
            let outcome = asks(&site);
            assert!(!outcome.answered_by("thief"), "{layer:?}: {outcome:?}");
            answered += usize::from(outcome.answered_by("service"));
        }
        assert_eq!(thief.count("accepted"), before, "{layer:?}");
        assert!(answered > 0, "{layer:?}: the service is not reached at all");
        guard.stop();
    }
    // Anybody else may not even bind.
    let guard = site.guard("enforce", Layer::All);
    for who in thieves(host) {
        let outcome = host.attempt(&who, &[&["serve"], &serve[..]].concat());
        assert!(outcome.is_forbidden(), "{who:?}: {outcome:?}");
    }
    guard.stop();
}

/// The thief shares the port and chooses what he gets: not what begins a handshake, but what
/// completes it, where the kernel keeps nothing between the two (SYN cookies).
#[test]
fn so_reuseport_join_for_the_end_of_handshakes() {
    let Some(site) = Site::with(&["--reuse-port"]) else {
        return;
    };
    let host = &site.host;
    host.namespace.set("ipv4/tcp_syncookies", "2");
    let who = host.outsider().as_user(Host::SERVICE);
    let serve = ["--reuse-port", "--take-acknowledgements", "--name", "thief"];
    let thief = host.serve(&who, &[&serve[..], &["--listen", "[::]:3939"]].concat());
    site.gives_nothing_to(&thief);
    assert_eq!(site.service.count("accepted"), 0);
}

/// listen(2) without bind(2) asks no program; only the range of ports decides.
#[test]
fn autobind_listen() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    host.namespace.set("ipv4/ip_local_port_range", "3939 3939");
    let serve = ["serve", "--name", "thief", "--autobind", "127.0.0.1"];
    for who in thieves(host) {
        let thief = host.spawn(&who, &serve);
        let listening = thief.event("listening");
        assert_eq!(listening["addresses"][0], "0.0.0.0:3939");
        assert!(asks(&site).answered_by("thief"));
    }
    for who in thieves(host) {
        let thief = host.spawn(&who, &serve);
        thief.event("listening");
        let guard = site.guard("enforce", Layer::All);
        gets_nothing(&site, &thief);
        guard.stop();
    }
}

/// A listening socket that was made elsewhere and passed on belongs to where it was made: the
/// service must make its own, or else nobody reaches it.
#[test]
fn listener_created_outside_the_services_cgroup() {
    let Some(mut site) = Site::new() else { return };
    site.service.kill();
    let host = &site.host;
    let into = site.host.service_cgroup().dir.to_str().unwrap().to_owned();
    let maker = host.outsider().as_root();
    let serve = ["--listen", "[::]:3939", "--then-cgroup", &into];
    let service = host.serve(&maker, &serve);
    let connect = ["connect", "127.0.0.1:3939"];
    for who in site.strangers() {
        assert!(host.attempt(&who, &connect).answered_by("service"));
    }
    for layer in [Layer::All, Layer::Ingress] {
        let accepted = service.count("accepted");
        let guard = layer.start(GuardSetup::new(host, "enforce").without("uid"));
        for who in site.strangers() {
            let outcome = host.attempt(&who, &connect);
            assert!(!outcome.reached(), "{layer:?}: {outcome:?}");
        }
        let outcome = asks(&site);
        assert!(!outcome.reached(), "{layer:?}: {outcome:?}");
        assert!(guard.count("ingress", "not_service", "refused") > 0);
        assert_eq!(service.count("accepted"), accepted);
        guard.stop();
    }
}

/// What the gateway gets when it connects.
fn asks(site: &Site) -> Outcome {
    // From a port of its own choice: a test may leave the kernel none to choose.
    let source = format!("127.0.0.1:{}", site.next_port());
    let connect = ["connect", "127.0.0.1:3939", "--source", &source];
    site.host.attempt(&site.host.gateway(), &connect)
}

/// The gateway's connection does not reach the thief, not even its accept queue.
#[track_caller]
fn gets_nothing(site: &Site, thief: &Process) {
    let accepted = thief.count("accepted");
    let outcome = asks(site);
    assert!(!outcome.reached(), "{outcome:?}");
    assert_eq!(thief.count("accepted"), accepted);
}

/// Somebody else, and hosted content in the service's own cgroup.
fn thieves(host: &Host) -> [Who; 2] {
    [host.outsider(), host.hosted()]
}
