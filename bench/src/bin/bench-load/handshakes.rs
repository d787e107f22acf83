//! New connections, each for one request.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use gateway_bench::order::Outcome;
use tokio::task::JoinSet;

use crate::closed::finish;
use crate::tally::Tally;
use crate::target::Target;

/// As many at once as will be: each leaves a ticket, or more, for one that follows.
pub(crate) async fn prepare(target: &Rc<Target>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..target.connections() {
        let target = Rc::clone(target);
        tasks.spawn_local(async move { target.once().await });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a task")??;
    }
    Ok(())
}

/// Makes them for so long, as many at once as were ordered. A session that should have been resumed
/// and was not is an error.
pub(crate) async fn run(target: &Rc<Target>, time: Duration, resumed: bool) -> Result<Outcome> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..target.connections() {
        let (target, tally) = (Rc::clone(target), Rc::clone(&tally));
        tasks.spawn_local(async move {
            while Instant::now() < end {
                let begun = Instant::now();
                let done = target.once().await;
                let mut tally = tally.borrow_mut();
                match done {
                    Ok((was, _)) if was != resumed => tally.failed(&anyhow!("a full handshake")),
                    Ok((_, bytes)) => tally.done(begun.elapsed(), bytes),
                    Err(error) => tally.failed(&error),
                }
            }
            Ok(())
        });
    }
    finish(tasks, tally, end, || 0).await
}
