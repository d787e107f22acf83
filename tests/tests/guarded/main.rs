//! What the gateway makes of its guard: where it runs, whether it starts, what `/readyz` says.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod fake;
mod place;
mod ready;
mod start;

use std::path::PathBuf;

use gateway_tests::harness::{Backend, Setup};
use serde_json::{Value, json};

use fake::{FakeGuard, Says, enforcing};
use place::Place;

/// A gateway's configuration with `[guard]`, its slice, and its guard, which enforces.
struct Guarded {
    setup: Setup,
    guard: FakeGuard,
    place: Place,
}

impl Guarded {
    /// None where no cgroup can be made.
    fn new(backend: &Backend) -> Option<Self> {
        let place = Place::new()?;
        let setup = guarded(Setup::connect(backend), place.path());
        let guard = FakeGuard::start(&socket(&setup), Says::status(&enforcing(place.path())));
        Some(Self {
            setup,
            guard,
            place,
        })
    }
}

fn guarded(setup: Setup, slice: &str) -> Setup {
    let socket = socket(&setup);
    setup
        .line("guard", "mode = \"enforce\"")
        .line("guard", &format!("slice = \"{slice}\""))
        .line("guard", &format!("socket = \"{}\"", socket.display()))
        .line(
            "guard",
            "[[guard.local]]\naddress = \"*:3939\"\nservice = \"rstudio-connect.service\"",
        )
}

fn socket(setup: &Setup) -> PathBuf {
    setup.path().join("guard.sock")
}

/// Every way in which a guard may fail to hold, and what the gateway must say of it.
fn lost(slice: &str) -> Vec<(Says, &'static [&'static str])> {
    let changed = |key: &str, value: Value| {
        let mut status = enforcing(slice);
        status[key] = value;
        status
    };
    let mut loose = changed("state", json!("degraded"));
    loose["links"][1]["attached"] = json!(false);
    let mut gone = changed("state", json!("degraded"));
    gone["slice"]["present"] = json!(false);
    let mut detached = changed("state", json!("detached"));
    detached["mode"] = json!("detach");
    detached["override"] = json!({ "mode": "detach", "since_unix": 1_790_000_000 });
    detached["links"] = json!([]);
    let foreign = changed("slice", json!({ "path": "/elsewhere", "present": true }));
    let mut other = changed("state", json!("enforcing"));
    other["endpoints"][0]["address"] = json!("127.0.0.1:3939");
    let fault = json!([{ "name": "no_pulse", "severity": "fault", "message": "nothing moves" }]);
    vec![
        (
            Says::status(&loose),
            &["degraded", "connect4 is not attached"],
        ),
        (Says::status(&gone), &["degraded", "does not exist"]),
        (
            Says::status(&detached),
            &["detached, overridden by the command line"],
        ),
        (Says::status(&foreign), &["/elsewhere", "/guard-test-"]),
        (
            Says::status(&other),
            &["enforcing", "it does not protect local *:3939"],
        ),
        (
            Says::status(&changed("findings", fault)),
            &["enforcing", "no_pulse: nothing moves"],
        ),
        (
            Says::Text(json!({ "error": "not for you" }).to_string()),
            &["refused: not for you"],
        ),
        (Says::Text("{\"ok\":{}}".to_owned()), &["cannot be read"]),
        (Says::Text("hello".to_owned()), &["cannot be read"]),
        (Says::End, &["does not answer"]),
        (Says::Nothing, &["does not answer", "timed out"]),
    ]
}
