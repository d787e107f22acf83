//! Cgroups that the rules name come and go.

use std::time::{Duration, Instant};

use gateway_tests::harness::poll;
use gateway_tests::host::Who;

use crate::life::{Life, Service};

/// systemd makes a unit's cgroup anew at each start; the slice stays, unless it is empty.
#[test]
fn cgroups_are_followed() {
    let Some(life) = Life::new() else { return };
    let host = &life.host;
    let mut service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    for round in 0..3 {
        // The gateway's unit: nothing to notice, since the slice is what counts.
        host.gateway().cgroup().remove();
        host.cgroups.make("gateway.slice/gateway.service");
        assert!(!life.strangers_get_in());

        // The service's.
        service.kill();
        host.service_cgroup().remove();
        notices(&guard, round, "a cgroup went", &host.service_cgroup().path);
        let (status, _) = life.status();
        assert_eq!(status["endpoints"][0]["service_present"], false);
        host.cgroups.make("connect.service");
        notices(&guard, round, "a cgroup came", &host.service_cgroup().path);
        service = life.serve();
        assert!(!life.strangers_get_in());

        // The slice itself.
        host.slice().remove();
        notices(&guard, round, "a cgroup went", &host.slice().path);
        let (status, code) = life.status();
        assert_eq!(status["state"], "degraded", "{status}");
        assert_eq!(status["slice"]["present"], false);
        assert_eq!(code, Some(3));
        let strangers = [host.outsider(), host.hosted()];
        for who in &strangers {
            assert!(!life.connect(who).reached());
        }
        host.cgroups.make("gateway.slice");
        host.cgroups.make("gateway.slice/gateway.service");
        notices(&guard, round, "a cgroup came", &host.slice().path);
        assert!(!life.strangers_get_in());
        assert_eq!(life.status().1, Some(0));
    }
    guard.stop();
}

/// Until then the gateway's requests to the restarted service are refused. By looking alone, every
/// 100 ms, it would take nearly as long here: the one before has just seen it go.
#[test]
fn the_services_new_cgroup_is_known_at_once() {
    let Some(life) = Life::new() else { return };
    let host = &life.host;
    life.configure("enforce");
    let guard = life.start();
    let mut took: Vec<_> = (0..21)
        .map(|round| {
            host.service_cgroup().remove();
            notices(&guard, round, "a cgroup went", &host.service_cgroup().path);
            host.cgroups.make("connect.service");
            let made = Instant::now();
            notices(&guard, round, "a cgroup came", &host.service_cgroup().path);
            made.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[10] < poll::stretched(AT_ONCE), "{took:?}");
    guard.stop();
}

/// Nothing of the gateway's is there yet when the guard starts.
#[test]
fn the_slice_may_come_after_the_guard() {
    let Some(life) = Life::new() else { return };
    let host = &life.host;
    life.configure("enforce");
    host.slice().remove();
    host.service_cgroup().remove();
    let guard = life.start();
    let (status, code) = life.status();
    assert_eq!(
        (status["state"].as_str(), code),
        (Some("degraded"), Some(3))
    );
    host.cgroups.make("connect.service");
    life.notices_the_service(true);
    let _service = life.serve();
    for who in [
        host.outsider(),
        host.hosted(),
        Who::root(host.guard().cgroup()),
    ] {
        assert!(!life.connect(&who).reached());
    }
    host.cgroups.make("gateway.slice");
    host.cgroups.make("gateway.slice/gateway.service");
    poll::until("the slice is noticed", || {
        (life.status().1 == Some(0)).then_some(())
    });
    assert!(!life.strangers_get_in());
    guard.stop();
}

/// For that round: each round says it once.
#[track_caller]
fn notices(guard: &Service, round: usize, what: &str, cgroup: &str) {
    poll::until(&format!("{what}: {cgroup}"), || {
        let log = guard.log();
        let lines = log
            .iter()
            .filter(|line| line["message"] == what && line["cgroup"] == cgroup);
        (lines.count() > round).then_some(())
    });
}

/// With what the test itself takes to see it.
const AT_ONCE: Duration = Duration::from_millis(50);
