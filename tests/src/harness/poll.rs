//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

/// Waits until `probe` yields a value; fails the test after [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(STEP);
    }
}

/// Waits until `probe` has yielded the same value for `still`: until nothing moves any more.
#[track_caller]
pub fn settled<T: PartialEq>(what: &str, still: Duration, mut probe: impl FnMut() -> T) -> T {
    let started = Instant::now();
    let mut value = probe();
    let mut since = Instant::now();
    while since.elapsed() < still {
        assert!(started.elapsed() < PATIENCE, "{what} did not settle");
        std::thread::sleep(STEP);
        let next = probe();
        if next != value {
            value = next;
            since = Instant::now();
        }
    }
    value
}

/// How long any single condition may take. Generous: it only costs time when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

const STEP: Duration = Duration::from_millis(5);
