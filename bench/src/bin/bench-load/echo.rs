//! Messages there and back.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use gateway_bench::order::Outcome;
use tokio::task::JoinSet;

use crate::closed::finish;
use crate::tally::Tally;
use crate::websocket::{Tunnel, frame};

/// Each tunnel has one message under way, for so long. An error ends its tunnel.
pub(crate) async fn run(tunnels: Vec<Tunnel>, bytes: u16, time: Duration) -> Result<Outcome> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let message: Rc<[u8]> = frame(bytes).into();
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for mut tunnel in tunnels {
        let (tally, message) = (Rc::clone(&tally), Rc::clone(&message));
        tasks.spawn_local(async move {
            while Instant::now() < end {
                let begun = Instant::now();
                let done = tunnel.echo(&message, bytes.into()).await;
                let mut tally = tally.borrow_mut();
                match done {
                    Ok(()) => tally.done(begun.elapsed(), 2 * u64::from(bytes)),
                    Err(error) => {
                        tally.failed(&error);
                        break;
                    }
                }
            }
            Ok(())
        });
    }
    finish(tasks, tally, end, || 0).await
}
