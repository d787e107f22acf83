//! One idle timer for each connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Measures silence.
///
/// One `Sleep` serves the connection's whole life and is re-armed lazily: progress only sets a
/// flag (no clock is read), and a later deadline waits for the armed one to pass. Silence is
/// therefore noticed after one to two periods; a deadline without progress is exact.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    sleep: RefCell<Pin<Box<Sleep>>>,
    deadline: Cell<Instant>,
    period: Cell<Duration>,
    progress: Cell<bool>,
}

impl IdleTimer {
    /// A timer that runs out after `period` of silence, from now.
    pub(crate) fn new(period: Duration) -> Self {
        let deadline = Instant::now() + period;
        Self {
            sleep: RefCell::new(Box::pin(sleep_until(deadline))),
            deadline: Cell::new(deadline),
            period: Cell::new(period),
            progress: Cell::new(false),
        }
    }

    /// Measures anew from `now`, with another period.
    pub(crate) fn restart(&self, now: Instant, period: Duration) {
        let deadline = now + period;
        self.deadline.set(deadline);
        self.period.set(period);
        self.progress.set(false);
        let mut sleep = self.sleep.borrow_mut();
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
    }

    /// Notes that something moved.
    pub(crate) fn touch(&self) {
        self.progress.set(true);
    }

    /// Ends when nothing has moved for a period.
    pub(crate) async fn expired(&self) {
        poll_fn(|cx| self.poll_expired(cx)).await;
    }

    /// Whether nothing has moved for a period.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.sleep.borrow_mut();
        loop {
            ready!(sleep.as_mut().poll(cx));
            let fired = sleep.deadline();
            if self.progress.take() {
                self.deadline.set(fired + self.period.get());
            }
            if self.deadline.get() <= fired {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.deadline.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    }

    #[test]
    fn silence_ends_after_its_period() {
        paused().block_on(async {
            let start = Instant::now();
            let timer = IdleTimer::new(Duration::from_secs(75));
            timer.restart(start, Duration::from_secs(30));
            timer.expired().await;
            assert_eq!(start.elapsed().as_secs(), 30);
        });
    }

    #[test]
    fn progress_puts_the_end_off() {
        paused().block_on(async {
            let start = Instant::now();
            let timer = IdleTimer::new(Duration::from_secs(30));
            tokio::time::sleep(Duration::from_secs(29)).await;
            timer.touch();
            timer.expired().await;
            assert_eq!(start.elapsed().as_secs(), 60);
        });
    }

    #[test]
    fn a_longer_period_waits_for_no_reset() {
        paused().block_on(async {
            let start = Instant::now();
            let timer = IdleTimer::new(Duration::from_secs(30));
            timer.restart(start, Duration::from_secs(3600));
            timer.expired().await;
            assert_eq!(start.elapsed().as_secs(), 3600);
        });
    }
}
