//! Closed loop: each connection has one request under way, always.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use gateway_bench::order::Outcome;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::connection::Connection;
use crate::tally::Tally;
use crate::target::Target;

/// Works for so long; what is under way then is finished, and counts.
pub(crate) async fn run(
    target: &Rc<Target>,
    connections: Vec<Connection>,
    time: Duration,
) -> Result<Outcome> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for connection in connections {
        let (target, tally) = (Rc::clone(target), Rc::clone(&tally));
        tasks.spawn_local(async move { repeat(&target, connection, &tally, end).await });
    }
    finish(tasks, tally, end, || 0).await
}

/// The outcome once all tasks have ended, which they do at `end`: each has one try under way then,
/// and a while to finish it. `unbegun` says what was due and never begun. A task's own error is one
/// that forbids to go on.
pub(crate) async fn finish(
    mut tasks: JoinSet<Result<()>>,
    tally: Rc<RefCell<Tally>>,
    end: Instant,
    unbegun: impl FnOnce() -> usize,
) -> Result<Outcome> {
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a task")??;
        }
        anyhow::Ok(())
    };
    if let Ok(done) = timeout_at((end + GRACE).into(), ended).await {
        done?;
    }
    for _ in 0..tasks.len() + unbegun() {
        tally.borrow_mut().failed(&anyhow!("not answered in time"));
    }
    tasks.shutdown().await;
    let tally = Rc::into_inner(tally).context("a task is left")?;
    Ok(tally.into_inner().finish())
}

async fn repeat(
    target: &Target,
    mut connection: Connection,
    tally: &RefCell<Tally>,
    end: Instant,
) -> Result<()> {
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(());
        }
        let kept = attempt(target, &mut connection, tally, begun).await?;
        if !kept {
            connection = Connection::new(target.dial().await?);
        }
    }
}

/// One request whose time counts from `since`; whether the connection can be used further.
pub(crate) async fn attempt(
    target: &Target,
    connection: &mut Connection,
    tally: &RefCell<Tally>,
    since: Instant,
) -> Result<bool> {
    match connection.exchange(target.next()?).await {
        Ok(answered) => {
            tally.borrow_mut().done(since.elapsed(), answered.bytes);
            Ok(answered.kept)
        }
        Err(error) => {
            tally.borrow_mut().failed(&error);
            Ok(false)
        }
    }
}

/// How long after the end an answer is waited for.
const GRACE: Duration = Duration::from_secs(2);
