//! Ten times as many connections as there are places for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Request, Setup, poll, scale};

use super::{admitted, connect, is_refused};

#[test]
fn a_storm_of_connections_harms_nobody_who_was_admitted() {
    let places = 20;
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .line("limits", &format!("connections = {places}"))
        .start();
    let mut clients: Vec<_> = (0..places).map(|_| admitted(&gateway)).collect();
    let before = gateway.reset_peak_memory();

    // Each of ten threads holds as many attempts open as there are places.
    let attempts = scale(300, 5000);
    let over = AtomicBool::new(false);
    let (refused, slow) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut served = 0;
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        let storm: Vec<_> = (1..=10)
            .map(|number| {
                let (gateway, refused, slow) = (&gateway, &refused, &slow);
                scope.spawn(move || {
                    for _ in 0..attempts / places {
                        let open: Vec<_> = (0..places).map(|_| connect(gateway, number)).collect();
                        for tcp in open {
                            let quick = |mut tcp| is_refused(&mut tcp, poll::stretched(QUICK));
                            let quick = tcp.map_or(true, quick);
                            let count = if quick { refused } else { slow };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let clients = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for client in &mut clients {
                    let started = Instant::now();
                    client.ask(&Request::get("/").by(&ALICE)).expect(200);
                    slowest = slowest.max(started.elapsed());
                    served += 1;
                }
            }
        });
        let ended: Vec<_> = storm.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        clients.join().unwrap();
        assert!(ended.iter().all(Result::is_ok));
    });
    assert_eq!(
        slow.load(Ordering::Relaxed),
        0,
        "not every refusal was quick"
    );
    let refused = refused.load(Ordering::Relaxed);
    assert_eq!(refused, 10 * (attempts / places) * places);
    assert!(served >= places, "{served}");
    assert!(slowest < poll::stretched(QUICK), "{slowest:?}");
    let peak = gateway.peak_memory();
    assert!(peak < before + (4 << 20), "{before} bytes, then {peak}");
    let labels = [("reason", "total")];
    let name = "connect_gateway_connections_refused_total";
    assert_eq!(
        gateway.counted(name, &labels, refused as f64),
        refused as f64
    );

    // By itself: whoever comes when there is room is served.
    drop(clients);
    let again: Vec<_> = (0..places).map(|_| admitted(&gateway)).collect();
    drop(again);
}

/// What "at once" means for a refusal, and how long a request may take meanwhile, on two CPUs that
/// the storm itself keeps busy.
const QUICK: Duration = Duration::from_secs(3);
