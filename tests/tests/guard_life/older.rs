//! Connections that are older than enforcement, where the guard's service is not what cuts them, or
//! where they are not at the address that the rules name.

use gateway_tests::host::{Process, Who};
use serde_json::Value;

use crate::life::Life;

/// What is pinned refuses their packets: left alone, both ends would hang.
#[test]
fn enforcing_without_a_service_cuts_them() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    life.start().kill();
    for enforce in ["enforce", "--clear"] {
        life.done(&["audit"]);
        let mut flows = Flows::open(&life, "127.0.0.1:3939");
        flows.all_live();
        let finished = life.host.namespace.run(|| life.done(&[enforce, "--json"]));
        let told: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(told["running"], false, "{told}");
        assert!(told["destroyed_sockets"].as_u64().unwrap() >= 2, "{told}");
        assert!(told["uncut"].is_null(), "{told}");
        flows.foreign_are_cut();
    }
    assert!(!life.strangers_get_in());
}

/// The service's listener has every address, the rules have one: what the service receives counts
/// at each.
#[test]
fn they_are_cut_at_each_address_of_the_service() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    let rules = life.setup("enforce").local("address", "\"127.0.0.1:3939\"");
    life.host.dir.write("guard.toml", rules.text());
    let mut flows = ["127.0.0.2:3939", "[::1]:3939"].map(|target| Flows::open(&life, target));
    let guard = life.start();
    for flows in &mut flows {
        flows.foreign_are_cut();
    }
    guard.stop();
}

/// A connection by each stranger and by the gateway.
struct Flows {
    foreign: [Process; 2],
    gateway: Process,
}

impl Flows {
    #[track_caller]
    fn open(life: &Life, target: &str) -> Self {
        let hold = |who: Who| {
            let process = life.host.spawn(&who, &["hold", target]);
            process.event("connected");
            process
        };
        let host = &life.host;
        Self {
            foreign: [host.outsider(), host.hosted()].map(hold),
            gateway: hold(host.gateway()),
        }
    }

    #[track_caller]
    fn all_live(&mut self) {
        self.foreign.iter_mut().for_each(lives);
        lives(&mut self.gateway);
    }

    /// And the gateway's is not.
    #[track_caller]
    fn foreign_are_cut(&mut self) {
        for process in &self.foreign {
            assert_eq!(process.event("ended")["how"], "reset");
        }
        lives(&mut self.gateway);
    }
}

#[track_caller]
fn lives(process: &mut Process) {
    let answer = process.ask("talk");
    assert_eq!(answer["answer"], "service hello", "{answer}");
}
