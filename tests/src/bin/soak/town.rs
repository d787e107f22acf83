//! The gateway, its back-end, and everybody who visits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gateway_tests::double::{Double, Options};
use gateway_tests::harness::{App, CONNECT, Gateway, Pool, Random, Setup, poll};
use gateway_tests::relay::Relay;

use crate::faults::orders;
use crate::report::Counts;
use crate::visitor::{Visitor, Way};

/// All that runs.
pub(crate) struct Town {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) counts: Arc<Counts>,
    pace: Arc<Pace>,
    visitors: Vec<JoinHandle<()>>,
}

/// What the visitors are to do.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    working: AtomicBool,
    ended: AtomicBool,
    busy: AtomicUsize,
}

impl Town {
    /// Starts everything; nobody visits yet.
    pub(crate) fn start(seed: u64) -> Self {
        let double = Double::start(&Options::default()).expect("the double starts");
        let double = double.connect.expect("it plays Connect");
        // A panic is how a client of the harness says what is wrong; it is counted, not shown.
        std::panic::set_hook(Box::new(|_| {}));
        let mut setup = Setup::new()
            .line("log", "access = \"/dev/null\"\nlevel = \"error\"")
            .line(
                "timeouts",
                "connect = \"5s\"\nhead = \"5s\"\nbody = \"5s\"\nanswer = \"5s\"\n\
                 tunnel = \"5s\"\npool = \"2s\"\nidle = \"5s\"",
            );
        let mut far = Vec::new();
        for number in 0..VISITORS {
            let relay = is_plagued(number).then(|| {
                let mut random = Random::new(seed, number * 4 + 1);
                Relay::scripted(double, move |_| orders(&mut random))
            });
            let address = relay.as_ref().map_or(double, Relay::address);
            let name = format!("v{number}");
            let app = App::new(
                &name,
                "connect",
                &format!("https://{CONNECT}/{name}/"),
                "staff",
                &name,
            );
            setup = setup.pool(Pool::plain(&name, address)).app(
                app.line("strip_mount = true")
                    .lane("health_from = [\"127.0.0.0/8\"]")
                    .lane("anonymous = [\"/chunked\"]")
                    .lane("discovery_per_minute = 1000000"),
            );
            far.push(relay);
        }
        let gateway = Arc::new(setup.start());
        let town = Self {
            counts: Arc::new(Counts::default()),
            pace: Arc::new(Pace::default()),
            visitors: Vec::new(),
            gateway,
        };
        town.populated(seed, far)
    }

    /// Everybody works for so long, then comes to rest.
    pub(crate) fn work_for(&self, time: Duration) {
        let begun = Instant::now();
        self.pace.working.store(true, Ordering::SeqCst);
        while begun.elapsed() < time {
            // As Prometheus does, only more often.
            let _numbers = self.gateway.metrics();
            std::thread::sleep(SCRAPE_INTERVAL.min(time));
        }
        self.pace.working.store(false, Ordering::SeqCst);
        let busy = || self.pace.busy.load(Ordering::SeqCst);
        poll::until("everybody rests", || (busy() == 0).then_some(()));
    }

    /// Everybody leaves.
    pub(crate) fn end(self) {
        self.pace.ended.store(true, Ordering::SeqCst);
        for visitor in self.visitors {
            visitor.join().expect("visitors do not panic");
        }
    }

    fn populated(mut self, seed: u64, far: Vec<Option<Relay>>) -> Self {
        for (number, far) in (0..).zip(far) {
            let way = far.map(|far| {
                let mut random = Random::new(seed, number * 4 + 2);
                let near = self.gateway.address();
                Way {
                    near: Relay::scripted(near, move |_| orders(&mut random)),
                    far,
                }
            });
            let visitor = Visitor::new(number, Random::new(seed, number * 4 + 3), way);
            let (gateway, counts) = (Arc::clone(&self.gateway), Arc::clone(&self.counts));
            let pace = Arc::clone(&self.pace);
            self.visitors.push(std::thread::spawn(move || {
                pace.follow(visitor, &gateway, &counts);
            }));
        }
        self
    }
}

impl Pace {
    fn follow(&self, mut visitor: Visitor, gateway: &Gateway, counts: &Counts) {
        while !self.ended.load(Ordering::SeqCst) {
            if !self.working.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            self.busy.fetch_add(1, Ordering::SeqCst);
            while self.working.load(Ordering::SeqCst) {
                visitor.work(gateway, counts);
            }
            visitor.leave();
            self.busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A quarter of them go around the relays.
fn is_plagued(number: u64) -> bool {
    !number.is_multiple_of(4)
}

const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
const VISITORS: u64 = 16;
