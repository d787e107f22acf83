//! What the two directions of an exchange know of each other, and how long they may be silent.

use std::cell::Cell;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Pace, Slow, Waits};
use crate::timer::{IdleTimer, Tick};

/// The state of one exchange or tunnel, shared by both directions.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    timer: &'a IdleTimer,
    /// While a sender owes a body, or a receiver takes nothing, and that is what is waited for.
    short: Cell<Duration>,
    /// While a back-end is at work.
    long: Cell<Duration>,
    /// Towards the back-end.
    pub(super) up: Side,
    /// Towards the client. Once it has accepted a byte, no other answer can be given.
    pub(super) down: Side,
    /// A byte came back.
    pub(super) answered: Cell<bool>,
    /// The client still owes its body.
    owed: Cell<bool>,
    /// The whole request is with the back-end.
    uploaded: Cell<bool>,
    /// Judges the client's rate.
    pace: Option<Pace<'a>>,
}

/// What ended an exchange's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing moved for too long.
    Silent,
    /// The client's body, or what it takes, moves too slowly.
    Slow(Slow),
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The receiver accepted a byte.
    pub(super) accepted: Cell<bool>,
    /// The receiver makes us wait: if time runs out, it is to blame and not the sender.
    pub(super) blocked: Cell<bool>,
    /// Payload bytes.
    pub(super) moved: Cell<u64>,
}

impl<'a> Progress<'a> {
    /// Nothing has moved; measures silence from `now`. `owed`: the client owes a body. With a pace, also
    /// holds the client to a rate while nothing but it is waited for.
    pub(super) fn new(
        timer: &'a IdleTimer,
        short: Duration,
        long: Duration,
        owed: bool,
        pace: Option<Pace<'a>>,
        now: Instant,
    ) -> Self {
        let progress = Self {
            timer,
            short: Cell::new(short),
            long: Cell::new(long),
            up: Side::default(),
            down: Side::default(),
            answered: Cell::new(false),
            owed: Cell::new(owed),
            uploaded: Cell::new(false),
            pace,
        };
        progress.rearm_at(now);
        progress
    }

    /// Notes that something moved.
    pub(super) fn touch(&self) {
        self.timer.touch();
    }

    /// Notes that a receiver accepted something.
    pub(super) fn accept(&self, side: &Side) {
        let first = !side.accepted.replace(true);
        // From the final head on, the rest of the upload is nobody's duty.
        if first && self.down.accepted.get() && !self.uploaded.get() {
            self.rearm();
        }
        self.touch();
    }

    /// Notes whether a receiver makes us wait.
    pub(super) fn block(&self, side: &Side, blocked: bool) {
        if side.blocked.replace(blocked) != blocked {
            self.rearm();
        }
    }

    /// Notes that the whole request is with the back-end.
    pub(super) fn upload_ended(&self) {
        self.uploaded.set(true);
        if self.owed.take() {
            self.rearm();
        }
    }

    /// Whether the whole request is with the back-end.
    pub(super) fn uploaded(&self) -> bool {
        self.uploaded.get()
    }

    /// Notes that one direction of a tunnel has ended: the other has no more than this, from now.
    pub(super) fn half_ended(&self, limit: Duration) {
        self.short.set(self.short.get().min(limit));
        self.long.set(self.long.get().min(limit));
        self.rearm();
    }

    /// Whether silence has lasted too long.
    pub(super) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_expired(cx)
    }

    /// Whether silence has lasted too long, or the client is too slow.
    pub(super) fn poll_out_of_time(&self, cx: &mut Context<'_>) -> Poll<Expired> {
        loop {
            let tick = ready!(self.timer.poll_tick(cx));
            let Some(pace) = &self.pace else {
                match tick {
                    Tick::Silence => return Poll::Ready(Expired::Silent),
                    // Without a pace none is watched.
                    Tick::Window => continue,
                }
            };
            let waits = self.waits();
            // What TCP carries is movement, long before it shows in what we read and write.
            let moved = pace.moved(waits);
            match tick {
                Tick::Silence if moved => self.timer.touch(),
                Tick::Silence => return Poll::Ready(Expired::Silent),
                Tick::Window => {
                    if let Some(slow) = pace.end_window(waits) {
                        return Poll::Ready(Expired::Slow(slow));
                    }
                    // From now, and not from when it should have ended: a process that stood
                    // still must not count that against its clients.
                    let now = Instant::now();
                    if moved {
                        self.timer.restart(now, self.period());
                    }
                    self.timer.watch(now + pace.window());
                }
            }
        }
    }

    /// What nobody but the client delays.
    ///
    /// Once the final head went down, it owes nothing: it may stop sending (RFC 9110 §10.1.1,
    /// RFC 9112 §9.5), as the back-end may stop reading. Then only the answer is waited for, and
    /// the client to take it.
    fn waits(&self) -> Waits {
        Waits {
            sends: self.owed.get() && !self.up.blocked.get() && !self.down.accepted.get(),
            takes: self.down.blocked.get(),
        }
    }

    /// The one place that says how long silence may last.
    fn period(&self) -> Duration {
        let uploading = (self.up.blocked.get() || self.owed.get()) && !self.down.accepted.get();
        let waiting = uploading || self.down.blocked.get();
        let period = if waiting { &self.short } else { &self.long };
        period.get()
    }

    fn rearm(&self) {
        self.rearm_at(Instant::now());
    }

    fn rearm_at(&self, now: Instant) {
        self.timer.restart(now, self.period());
        let Waits { sends, takes } = self.waits();
        if let Some(pace) = &self.pace
            && (sends || takes)
        {
            self.timer.watch(now + pace.window());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// What is waited for, and so how long silence may last, with an upload in each state.
    #[test]
    fn once_an_answer_has_begun_an_upload_is_not_waited_for() {
        let paused = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        paused.block_on(async {
            for (blocked, begun, expected) in [
                (false, false, SHORT),
                (true, false, SHORT),
                (false, true, LONG),
                (true, true, LONG),
            ] {
                let timer = IdleTimer::new(LONG);
                let progress = Progress::new(&timer, SHORT, LONG, true, None, Instant::now());
                progress.block(&progress.up, blocked);
                if begun {
                    progress.accept(&progress.down);
                }
                let start = Instant::now();
                let expired = poll_fn(|cx| progress.poll_out_of_time(cx)).await;
                assert_eq!(expired, Expired::Silent);
                // That something moved before is noticed when a period is over.
                let periods = start.elapsed().div_duration_f64(expected);
                assert!(
                    (1.0..2.0).contains(&periods),
                    "{blocked} {begun}: {periods}"
                );
                // The client is waited for, whatever has begun.
                progress.block(&progress.down, true);
                let start = Instant::now();
                poll_fn(|cx| progress.poll_out_of_time(cx)).await;
                assert_eq!(start.elapsed(), SHORT);
            }
        });
    }

    const SHORT: Duration = Duration::from_secs(3);
    const LONG: Duration = Duration::from_secs(60);
}
