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
///
/// A process that stood still must not count that against its peers. So what has moved when a
/// `Sleep` is noticed has a whole period from then on, and so has everything, once, if that is late:
/// the runtime then wakes who waits for a time before it has looked at any socket.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    sleep: RefCell<Pin<Box<Sleep>>>,
    deadline: Cell<Instant>,
    period: Cell<Duration>,
    progress: Cell<bool>,
    /// Silence was noticed late, and is measured a second time.
    doubted: Cell<bool>,
    /// The end of a window that is watched as well.
    window: Cell<Option<Instant>>,
}

/// What a timer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing has moved for a period.
    Silence,
    /// The window is over, whatever has moved. It is not told again.
    Window,
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
            doubted: Cell::new(false),
            window: Cell::new(None),
        }
    }

    /// Measures anew from `now`, with another period and no window.
    pub(crate) fn restart(&self, now: Instant, period: Duration) {
        let deadline = now + period;
        self.deadline.set(deadline);
        self.period.set(period);
        self.progress.set(false);
        self.doubted.set(false);
        self.window.set(None);
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

    /// Watches a window as well, until it or the next measuring begins.
    pub(crate) fn watch(&self, end: Instant) {
        self.window.set(Some(end));
        let mut sleep = self.sleep.borrow_mut();
        if end < sleep.deadline() {
            sleep.as_mut().reset(end);
        }
    }

    /// Whether nothing has moved for a period.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.poll_tick(cx)) == Tick::Silence {
                return Poll::Ready(());
            }
        }
    }

    /// Whether nothing has moved for a period, or the window is over.
    pub(crate) fn poll_tick(&self, cx: &mut Context<'_>) -> Poll<Tick> {
        let mut sleep = self.sleep.borrow_mut();
        loop {
            ready!(sleep.as_mut().poll(cx));
            let fired = sleep.deadline();
            let now = Instant::now();
            let silent = self.deadline.get() <= fired;
            let moved = self.progress.take();
            // A worker that is always late must come to an end all the same.
            let doubtful = silent && now > fired + LATE && !self.doubted.get();
            // From now, and not from when it fired: that may even be before the last restart.
            if moved || doubtful {
                self.doubted.set(!moved);
                self.deadline.set(now + self.period.get());
            } else if silent {
                return Poll::Ready(Tick::Silence);
            }
            let deadline = self.deadline.get();
            match self.window.get() {
                Some(end) if end <= fired => {
                    self.window.set(None);
                    sleep.as_mut().reset(deadline);
                    return Poll::Ready(Tick::Window);
                }
                Some(end) => sleep.as_mut().reset(end.min(deadline)),
                None => sleep.as_mut().reset(deadline),
            }
        }
    }
}

/// No worker that is at work notices a time as late as this.
const LATE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn poll_once(timer: &IdleTimer) -> Poll<Tick> {
        poll_fn(|cx| Poll::Ready(timer.poll_tick(cx))).await
    }

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
    fn progress_counts_from_when_it_is_noticed() {
        paused().block_on(async {
            let timer = IdleTimer::new(Duration::from_secs(30));
            // The process stands still.
            advance(Duration::from_secs(61)).await;
            timer.touch();
            assert_eq!(poll_once(&timer).await, Poll::Pending);
            let resumed = Instant::now();
            timer.expired().await;
            assert_eq!(resumed.elapsed().as_secs(), 30);
        });
    }

    #[test]
    fn what_nobody_looked_for_may_have_moved() {
        paused().block_on(async {
            let timer = IdleTimer::new(Duration::from_secs(30));
            advance(Duration::from_secs(61)).await;
            assert_eq!(poll_once(&timer).await, Poll::Pending);
            let resumed = Instant::now();
            timer.expired().await;
            assert_eq!(resumed.elapsed().as_secs(), 30);
        });
    }

    #[test]
    fn a_worker_that_is_always_late_waits_no_more_than_twice() {
        paused().block_on(async {
            let timer = IdleTimer::new(Duration::from_secs(30));
            for (moves, expected) in [
                (false, Poll::Pending),
                (true, Poll::Pending),
                (false, Poll::Pending),
                (false, Poll::Ready(Tick::Silence)),
            ] {
                advance(Duration::from_secs(61)).await;
                if moves {
                    timer.touch();
                }
                assert_eq!(poll_once(&timer).await, expected, "{moves}");
            }
        });
    }

    #[test]
    fn a_little_late_is_in_time() {
        paused().block_on(async {
            let timer = IdleTimer::new(Duration::from_secs(30));
            advance(Duration::from_millis(30_900)).await;
            assert_eq!(poll_once(&timer).await, Poll::Ready(Tick::Silence));
        });
    }

    #[test]
    fn progress_takes_nothing_from_a_new_measurement() {
        paused().block_on(async {
            let timer = IdleTimer::new(Duration::from_secs(30));
            advance(Duration::from_secs(61)).await;
            let start = Instant::now();
            timer.restart(start, Duration::from_secs(30));
            timer.touch();
            assert_eq!(poll_once(&timer).await, Poll::Pending);
            timer.expired().await;
            assert_eq!(start.elapsed().as_secs(), 30);
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

    #[test]
    fn windows_end_whatever_moves_and_put_silence_off_by_no_more_than_their_length() {
        paused().block_on(async {
            let start = Instant::now();
            let timer = IdleTimer::new(Duration::from_secs(75));
            timer.restart(start, Duration::from_secs(30));
            let mut told = Vec::new();
            for _ in 0..3 {
                timer.watch(Instant::now() + Duration::from_secs(10));
                timer.touch();
                told.push(poll_fn(|cx| timer.poll_tick(cx)).await);
            }
            assert_eq!(told, [Tick::Window; 3]);
            assert_eq!(start.elapsed().as_secs(), 30);
            assert_eq!(poll_fn(|cx| timer.poll_tick(cx)).await, Tick::Silence);
            assert_eq!(start.elapsed().as_secs(), 60);
        });
    }

    #[test]
    fn a_new_measurement_forgets_the_window() {
        paused().block_on(async {
            let start = Instant::now();
            let timer = IdleTimer::new(Duration::from_secs(75));
            timer.watch(start + Duration::from_secs(10));
            timer.restart(start, Duration::from_secs(30));
            assert_eq!(poll_fn(|cx| timer.poll_tick(cx)).await, Tick::Silence);
            assert_eq!(start.elapsed().as_secs(), 30);
        });
    }
}
