//! Others meddle with what is attached: the service notices, says so, and puts it right.

use gateway_tests::harness::poll;
use gateway_tests::host::bpf::{self, Hook};

use crate::life::{Life, Service};

#[test]
fn a_detached_program_is_attached_again() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    guard.pause();
    for program in ["connect4", "connect6", "ingress"] {
        bpf::detach(&life.pins().join(program)).unwrap();
    }
    assert!(life.strangers_get_in(), "it was this that kept them out");
    guard.resume();
    for program in ["connect4", "connect6", "ingress"] {
        repaired(&guard, program, "it was detached");
    }
    whole(&life, 3);
    guard.stop();
}

#[test]
fn a_replaced_program_is_put_back() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    guard.pause();
    let hooks = [("connect4", Hook::Connect4), ("ingress", Hook::Ingress)];
    for (program, hook) in hooks {
        bpf::replace(&life.pins().join(program), hook).unwrap();
    }
    assert!(life.strangers_get_in(), "it was this that kept them out");
    guard.resume();
    for (program, _) in hooks {
        repaired(&guard, program, "was in its place");
    }
    whole(&life, 2);
    guard.stop();
}

/// Without its pin a program would end with the service.
#[test]
fn a_removed_pin_is_made_again() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    let pinned = life.pinned();
    assert_eq!(pinned, Life::programs());
    for program in &pinned {
        std::fs::remove_file(life.pins().join(program)).unwrap();
    }
    assert!(!life.strangers_get_in(), "the service holds them, too");
    for program in &pinned {
        repaired(&guard, program, "its pin was removed");
    }
    whole(&life, pinned.len() as u64);
    assert_eq!(life.pinned(), pinned);
    guard.kill();
    assert!(!life.strangers_get_in());
}

/// The next service goes on with what these maps hold about sockets.
#[test]
fn a_removed_pin_of_a_map_is_made_again() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    let guard = life.start();
    let maps = ["EXCEPTED", "ORIGIN", "VERIFIED"];
    let is_pinned = |map: &&str| life.pins().join(map).exists();
    assert!(maps.iter().all(is_pinned));
    for map in maps {
        std::fs::remove_file(life.pins().join(map)).unwrap();
    }
    for map in maps {
        guard.said(&format!("{map} was not pinned"), |line| {
            line["level"] == "ERROR" && line["map"] == map
        });
    }
    assert!(maps.iter().all(is_pinned));
    // Programs were never missing.
    whole(&life, 0);
    guard.stop();
}

/// What happened while there was no service is put right by the next one.
#[test]
fn a_start_repairs_what_happened_before() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    life.start().stop();
    bpf::detach(&life.pins().join("connect4")).unwrap();
    bpf::replace(&life.pins().join("ingress"), Hook::Ingress).unwrap();
    std::fs::remove_file(life.pins().join("connect6")).unwrap();
    assert!(life.strangers_get_in());
    let guard = life.start();
    whole(&life, 0);
    guard.stop();
}

#[track_caller]
fn repaired(guard: &Service, program: &str, found: &str) {
    guard.said(&format!("{program}: {found}"), |line| {
        line["level"] == "ERROR"
            && line["program"] == program
            && line["found"]
                .as_str()
                .is_some_and(|text| text.contains(found))
    });
}

/// Everything is attached, and so often something was not.
#[track_caller]
fn whole(life: &Life, times: u64) {
    poll::until("the status says so", || {
        let (status, code) = life.status();
        let links = status["links"].as_array().unwrap();
        let whole = status["state"] == "enforcing" && code == Some(0);
        let attached = links.len() == Life::programs().len()
            && links.iter().all(|link| link["attached"] == true);
        (whole && attached && status["reattached"] == times).then_some(())
    });
    life.metrics_say("so, too", |metrics| {
        metrics.sum("connect_gateway_guard_reattached_total", &[]) == times as f64
    });
    assert!(!life.strangers_get_in());
}
