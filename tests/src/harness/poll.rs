//! Waiting for a condition, with a bound.

use std::env::VarError;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Waits until `probe` yields a value; fails the test after [`patience`].
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match within(patience(), probe) {
        Some(value) => value,
        None => panic!("waited in vain until {what}"),
    }
}

/// As [`until`], where it may be in vain: none after that time.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let value = probe();
        if value.is_some() || started.elapsed() >= limit {
            return value;
        }
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
        assert!(started.elapsed() < patience(), "{what} did not settle");
        std::thread::sleep(STEP);
        let next = probe();
        if next != value {
            value = next;
            since = Instant::now();
        }
    }
    value
}

/// How long any single condition may take: 20 s, [`stretched`].
pub fn patience() -> Duration {
    stretched(PATIENCE)
}

/// A deadline of that length on hardware, times `GATEWAY_TEST_PATIENCE` elsewhere: emulated
/// machines are many times slower. Only for deadlines, never for how long something must last.
pub fn stretched(deadline: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let read = || match std::env::var("GATEWAY_TEST_PATIENCE") {
        Ok(text) => match text.parse() {
            Ok(factor @ 1..) => factor,
            _ => panic!("GATEWAY_TEST_PATIENCE: expected a number from 1 on, not {text:?}"),
        },
        Err(VarError::NotPresent) => 1,
        Err(error) => panic!("GATEWAY_TEST_PATIENCE: {error}"),
    };
    deadline * *FACTOR.get_or_init(read)
}

/// Generous: it only costs time when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

const STEP: Duration = Duration::from_millis(5);
