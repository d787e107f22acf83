//! Visitors who do nothing wrong while others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use gateway_tests::harness::{ALICE, Client, Request, poll};

/// Asks for `/fine` again and again, on one connection.
pub(crate) struct Others {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    asking: JoinHandle<()>,
}

impl Others {
    /// Begins to ask on that connection.
    pub(crate) fn on(mut client: Client) -> Self {
        // At once, so that no time-out for new connections is over before.
        client.ask(&Request::get("/fine").by(&ALICE)).expect(200);
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let asking = std::thread::spawn({
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            move || {
                while !stop.load(Ordering::SeqCst) {
                    client.ask(&Request::get("/fine").by(&ALICE)).expect(200);
                    served.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self {
            stop,
            served,
            asking,
        }
    }

    /// Ends; fails the test unless every request was served, five more of them from now on.
    #[track_caller]
    pub(crate) fn are_served(self) {
        let before = self.served.load(Ordering::SeqCst);
        poll::until("others are served", || {
            let failed = self.asking.is_finished();
            (failed || self.served.load(Ordering::SeqCst) >= before + 5).then_some(())
        });
        self.stop.store(true, Ordering::SeqCst);
        self.asking.join().expect("others are served");
    }
}
