//! QUIC, steered by the guard's service to the worker that has the connection.

mod moving;
mod site;
mod strangers;
mod tap;

use gateway_tests::harness::{poll, scale};

use self::moving::{Exchange, Moving};
use self::site::Site;
use crate::life::Life;

/// In the middle of a download and of an upload, from another address and port: over IPv4 and IPv6.
/// With the service gone it goes on, as it does with the next one, and nobody joins twice.
#[test]
fn who_moves_keeps_the_connection() {
    for workers in [2, 4] {
        let Some(life) = Life::new() else { return };
        let site = Site::new(&life, workers);
        let mut guard = life.start();
        let _gateway = site.start();
        assert!(site.is_steered());
        let expected = site.known(workers);
        for round in 0..3 {
            for number in 0..scale(4, 67) {
                keeps_its_connection(&site, number % 2);
            }
            let [home, spread] = ["home", "spread"].map(|to| site.datagrams(to));
            assert!(home > spread && spread > 0, "{home} {spread}");
            assert_eq!(site.known(workers), expected, "round {round}");
            // Nobody is there, and then another, who goes on with what is pinned.
            guard.kill();
            keeps_its_connection(&site, 1);
            guard = life.start();
            keeps_its_connection(&site, 0);
            poll::until("the gateway joins again", || {
                let (status, _) = life.status();
                (status["steering"]["program_id"] != 0).then_some(())
            });
        }
        assert_eq!(site.strays(), 0);
        guard.stop();
    }
}

/// The control of the test above: without the service, who moves is lost, and all else works. Nobody
/// ends the connection meanwhile: once there is a service, it goes on.
#[test]
fn without_the_service_who_moves_is_lost() {
    for workers in [4, 2].into_iter().take(scale(1, 2)) {
        for exchange in Exchange::ALL {
            let Some(life) = Life::new() else { return };
            let site = Site::new(&life, workers);
            let gateway = site.start();
            assert!(!site.is_steered());
            let warnings = || gateway.told().matches("QUIC is not steered").count();
            assert_eq!(warnings(), 1, "{}", gateway.told());
            // Half of all ports lead to other workers, or more: that so many lead back three times is
            // as good as impossible.
            let clients: Vec<_> = (0..24).map(|number| site.client(number % 2)).collect();
            let mut all = clients
                .iter()
                .enumerate()
                .map(|(number, client)| Moving::begin(&site, client, exchange, number % 2));
            let lost = all.find_map(|mut one| one.go().is_err().then_some(one));
            let mut lost = lost.expect("somebody is lost without the service");

            // A service that comes later is found.
            let guard = life.start();
            poll::until("QUIC is steered", || site.is_steered().then_some(()));
            site.known(workers);
            poll::until("what was lost goes on", || lost.go().ok());
            let strays = site.strays();
            keeps_its_connection(&site, 0);
            assert_eq!(site.strays(), strays);
            assert_eq!(warnings(), 1, "{}", gateway.told());
            guard.stop();
        }
    }
}

/// A client of a family moves in the middle of a download, and another in that of an upload.
#[track_caller]
fn keeps_its_connection(site: &Site<'_>, family: usize) {
    for exchange in Exchange::ALL {
        let client = site.client(family);
        let gone = Moving::begin(site, &client, exchange, family).go();
        assert!(gone.is_ok(), "{exchange:?} is lost");
    }
}
