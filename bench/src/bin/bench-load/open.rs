//! Open loop: requests are due at fixed moments, whatever became of earlier ones.
//!
//! The time of an answer counts from the moment at which its request was due. A subject that stands
//! still therefore shows in the times of all requests that were due meanwhile, and not in one alone
//! ("coordinated omission").

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gateway_bench::order::Outcome;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::closed::{attempt, finish};
use crate::connection::Connection;
use crate::tally::Tally;
use crate::target::Target;

/// Makes requests due for so long. What is not answered soon afterwards is an error.
pub(crate) async fn run(
    target: &Rc<Target>,
    connections: Vec<Connection>,
    time: Duration,
    rate: u32,
) -> Result<Outcome> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let line = Rc::new(Line::default());
    let mut tasks = JoinSet::new();
    for connection in connections {
        let (target, tally, line) = (Rc::clone(target), Rc::clone(&tally), Rc::clone(&line));
        tasks.spawn_local(async move { serve(&target, connection, &tally, &line).await });
    }
    line.fill(time, rate).await?;
    finish(tasks, tally, Instant::now(), || line.due.borrow().len()).await
}

/// The requests that are due and have not begun.
#[derive(Default)]
struct Line {
    due: RefCell<VecDeque<Instant>>,
    /// No more will be.
    over: Cell<bool>,
    changed: Notify,
}

impl Line {
    /// Adds each at its moment, until `time` is over.
    async fn fill(&self, time: Duration, rate: u32) -> Result<()> {
        let period = Duration::from_secs(1) / rate;
        // Tokio's own timers are a millisecond coarse.
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )
        .context("no timer")?;
        let begun = Instant::now();
        let spec = Timespec {
            tv_sec: i64::try_from(period.as_secs())?,
            tv_nsec: period.subsec_nanos().into(),
        };
        let spec = Itimerspec {
            it_interval: spec,
            it_value: spec,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec).context("no timer")?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; an OwnedFd keeps its descriptor, which is all \
                      that it asks for"
        )]
        let timer = AsyncFd::new(timer).context("no timer")?;
        let mut count = 0;
        while begun.elapsed() < time {
            let mut ready = timer.readable().await.context("the timer")?;
            let Ok(ticks) = ready.try_io(|timer| {
                let mut ticks = [0; 8];
                rustix::io::read(timer, &mut ticks)?;
                Ok(u64::from_ne_bytes(ticks))
            }) else {
                // It was not due after all.
                continue;
            };
            for _ in 0..ticks.context("the timer")? {
                count += 1;
                self.due.borrow_mut().push_back(begun + period * count);
                self.changed.notify_one();
            }
        }
        self.over.set(true);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The next that is due; `None` when all are done.
    async fn next(&self) -> Option<Instant> {
        loop {
            if let Some(due) = self.due.borrow_mut().pop_front() {
                return Some(due);
            }
            if self.over.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }
}

async fn serve(
    target: &Target,
    mut connection: Connection,
    tally: &RefCell<Tally>,
    line: &Line,
) -> Result<()> {
    while let Some(due) = line.next().await {
        if !attempt(target, &mut connection, tally, due).await? {
            connection = Connection::new(target.dial().await?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_and_in_order() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let line = Line::default();
        let begun = Instant::now();
        runtime
            .block_on(line.fill(Duration::from_millis(50), 1000))
            .unwrap();
        let due: Vec<Instant> = line.due.borrow().iter().copied().collect();
        // None is lost, even if this was not woken in time.
        assert!(due.len() >= 49, "{}", due.len());
        assert!(
            due.windows(2)
                .all(|pair| pair[1] - pair[0] == Duration::from_millis(1))
        );
        assert!(due[0] >= begun + Duration::from_millis(1));
        assert!(line.over.get());
    }
}
