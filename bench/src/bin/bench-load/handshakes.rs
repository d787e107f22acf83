//! New connections, each for one request.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
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
    each_anew(target.connections(), time, || {
        let target = Rc::clone(target);
        async move || {
            let (was, bytes) = target.once().await?;
            ensure!(was == resumed, "a full handshake");
            Ok(bytes)
        }
    })
    .await
}

/// Makes connections for so long, so many at once, each by what `one` returned: it tells how much
/// payload there was.
pub(crate) async fn each_anew<F>(
    at_once: usize,
    time: Duration,
    mut one: impl FnMut() -> F,
) -> Result<Outcome>
where
    F: AsyncFn() -> Result<u64> + 'static,
{
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (once, tally) = (one(), Rc::clone(&tally));
        tasks.spawn_local(async move {
            while Instant::now() < end {
                let begun = Instant::now();
                let done = once().await;
                let mut tally = tally.borrow_mut();
                match done {
                    Ok(bytes) => tally.done(begun.elapsed(), bytes),
                    Err(error) => tally.failed(&error),
                }
            }
            Ok(())
        });
    }
    finish(tasks, tally, end, || 0).await
}
