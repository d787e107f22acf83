//! Who may connect beside the gateway, because the operator says so.

use gateway_tests::host::{GuardSetup, Host, Who};

use crate::site::{Layer, Site};

#[test]
fn an_excepted_cgroup_passes_with_all_below_it() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let monitoring = host.cgroups.make("monitoring");
    let below = host.cgroups.make("monitoring/probe");
    let line = format!("cgroup = {:?}", monitoring.path);
    let friends = [&monitoring, &below].map(|cgroup| Who::user(cgroup, Host::OUTSIDER));
    only_these_pass(&site, &line, &friends, &[host.outsider(), host.hosted()]);
}

#[test]
fn an_excepted_user_passes_from_everywhere() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let line = format!("uid = {MONITOR}");
    let friends = [
        host.outsider().as_user(MONITOR),
        host.hosted().as_user(MONITOR),
    ];
    only_these_pass(&site, &line, &friends, &[host.outsider(), host.hosted()]);
}

/// With every program, and with `ingress` as far as it can tell: a user is known to it only through
/// `connect4` and `connect6`.
fn only_these_pass(site: &Site, exception: &str, friends: &[Who], others: &[Who]) {
    let guard = GuardSetup::new(&site.host, "enforce")
        .exception(exception)
        .start();
    for target in ["127.0.0.1:3939", "[::1]:3939"] {
        for who in friends {
            let outcome = site.host.attempt(who, &["connect", target]);
            assert!(outcome.answered_by("service"), "{who:?}: {outcome:?}");
        }
        for who in others {
            let outcome = site.host.attempt(who, &["connect", target]);
            assert!(outcome.is_forbidden(), "{who:?}: {outcome:?}");
        }
    }
    site.gateway_reaches();
    guard.stop();
    let guard = Layer::Ingress.start(GuardSetup::new(&site.host, "enforce").exception(exception));
    for who in others {
        let outcome = site.host.attempt(who, &["connect", "127.0.0.1:3939"]);
        assert!(!outcome.reached(), "{who:?}: {outcome:?}");
    }
    site.gateway_reaches();
    guard.stop();
}

const MONITOR: u32 = 60_500;
