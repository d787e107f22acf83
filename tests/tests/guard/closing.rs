//! Connections of the gateway's that end while the guard begins.

use gateway_tests::harness::poll;
use gateway_tests::host::State;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::site::{Layer, Site};

/// The gateway has ended its direction, the guard comes, the gateway is gone: the last
/// acknowledgement is sent by what its kernel remembers, to a connection that the guard has not
/// seen anything of yet.
#[test]
fn an_end_that_is_older_than_the_guard_is_acknowledged() {
    let Some(site) = Site::new() else { return };
    let host = &site.host;
    let service = Pid::from_raw(i32::try_from(site.service.pid()).unwrap()).unwrap();
    for target in ["127.0.0.1:3939", "[::1]:3939"] {
        for layer in [Layer::All, Layer::Ingress] {
            let mut gateway = host.spawn(&host.gateway(), &["hold", target]);
            gateway.event("connected");
            // It answers the end as late as this test wants.
            kill_process(service, Signal::STOP).unwrap();
            let (_, status) = waitpid(Some(service), WaitOptions::UNTRACED)
                .unwrap()
                .unwrap();
            assert!(status.stopped());
            gateway.tell("half");
            wait_for(&site, "the gateway's end has arrived", 2);
            let guard = site.guard("enforce", layer);
            gateway.tell("fin");
            assert!(gateway.wait().success());
            // Both ends are still there: the gateway's waits for the service's.
            wait_for(&site, "nothing was cut", 2);
            assert_eq!(guard.count("ingress", "closing", "passed"), 0);
            kill_process(service, Signal::CONT).unwrap();
            wait_for(&site, "the service is done", 0);
            assert!(guard.count("ingress", "closing", "passed") > 0);
            assert_eq!(guard.refused(), 0, "{layer:?}");
            guard.stop();
        }
    }
}

/// Until so many ends are half closed.
#[track_caller]
fn wait_for(site: &Site, what: &str, ends: usize) {
    poll::until(what, || {
        let sockets = site.host.namespace.sockets();
        let half_closed = sockets
            .iter()
            .filter(|sock| sock.concerns(3939) && sock.state == State::HalfClosed);
        (half_closed.count() == ends).then_some(())
    });
}
