//! Somebody who is there while a gateway is attacked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gateway_tests::harness::bulk::MIB;
use gateway_tests::harness::{ALICE, Gateway, Request, poll};

/// Attacks a gateway, whose one worker also serves somebody else meanwhile: on a connection of their
/// own, with requests that are answered quickly throughout. What the attack costs is bounded.
#[track_caller]
pub(crate) fn attacked(gateway: &Gateway, attack: impl FnOnce()) {
    attacked_within(MOST_MEMORY, gateway, attack);
}

/// As [`attacked`], where the attack may cost that much memory, in bytes.
#[track_caller]
pub(crate) fn attacked_within(most: u64, gateway: &Gateway, attack: impl FnOnce()) {
    let bystander = Bystander::of(gateway);
    let (memory, cpu) = (gateway.reset_peak_memory(), gateway.cpu_time());
    attack();
    let cpu = gateway.cpu_time() - cpu;
    let grown = gateway.peak_memory().saturating_sub(memory);
    let (asked, slowest) = bystander.leave();
    println!("{grown} bytes more resident at the peak, {cpu:?} of CPU");
    println!("{asked} requests of somebody else's, the slowest took {slowest:?}");
    assert!(grown < most, "{grown} bytes more memory");
    assert!(cpu < poll::stretched(MOST_CPU), "{cpu:?} of CPU");
    assert!(asked > 0);
    assert!(slowest < poll::stretched(SLOWEST), "{slowest:?}");
}

struct Bystander {
    leaves: Arc<AtomicBool>,
    asking: JoinHandle<(u64, Duration)>,
}

impl Bystander {
    fn of(gateway: &Gateway) -> Self {
        let leaves = Arc::new(AtomicBool::new(false));
        let flag = leaves.clone();
        let client = gateway.http3();
        let answer = client.ask(&Request::get("/").by(&ALICE)).expect(200);
        let session = answer.field("set-cookie").expect("a session");
        let request = Request::get("/").field("Cookie", session.split(';').next().unwrap());
        let asking = std::thread::spawn(move || {
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !flag.load(Ordering::SeqCst) {
                let begun = Instant::now();
                client.ask(&request).expect(200);
                slowest = slowest.max(begun.elapsed());
                asked += 1;
                // So that what is measured is the attack.
                std::thread::sleep(PAUSE);
            }
            (asked, slowest)
        });
        Self { leaves, asking }
    }

    fn leave(self) -> (u64, Duration) {
        self.leaves.store(true, Ordering::SeqCst);
        self.asking.join().expect("every request is answered")
    }
}

/// More than the attackers' connections hold, and far less than what they could send.
pub(crate) const MOST_MEMORY: u64 = 24 * MIB;

/// Of a build without optimisations.
const MOST_CPU: Duration = Duration::from_secs(10);

/// What a visitor would not call an outage, on a machine that also makes the attack, and runs other tests.
const SLOWEST: Duration = Duration::from_secs(4);

const PAUSE: Duration = Duration::from_millis(5);
