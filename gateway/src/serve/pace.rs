//! Whether a client keeps the least rate of a body (`body_rate`).

use std::cell::Cell;
use std::io;
use std::time::Duration;

use config::BodyRate;

use crate::tcp_info::Traffic;
use crate::tls::Transport;

/// Measures a client by windows, for as long as nothing but it is waited for.
///
/// What counts is what TCP has carried, and not what we read or wrote: a TLS record is read when
/// it is whole, and a full send buffer takes more only when a third of it is free, which a steady
/// reader may need minutes for. So the kernel is asked at the end of each window, and only then.
/// The first is free.
///
/// A steady reader's TCP does not take steadily either: once its receive buffer is full, Linux
/// lets nothing more come until a 16th of that is free, and more where packets came merged. It was
/// seen to take up to 130 KB at once into a buffer of 128 KiB, and 640 KB into 8 MiB, and nothing
/// in between. So what is beyond the rate counts for later windows; but no more than what the rate
/// is worth in `silence`. That is enough for every step that silence leaves time for, and no byte
/// pays twice, not in the connection's next exchange either.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    meter: Meter<'a>,
    rate: BodyRate,
    /// How long nothing may move.
    silence: Duration,
    account: &'a Account,
    /// A window has ended.
    begun: Cell<bool>,
}

/// What measures a client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meter<'a> {
    /// One stream of its QUIC connection.
    Stream(&'a Carried),
    /// Its TCP connection.
    Tcp(&'a Transport),
}

/// What a QUIC stream has carried, as far as it can be known: nobody is told how much of one stream
/// was acknowledged. But what is written is taken only as far as the client lets it, by its windows,
/// and ours of what is on its way.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Bytes that came.
    pub(super) received: Cell<u64>,
    /// Bytes that QUIC took.
    pub(super) taken: Cell<u64>,
}

impl Meter<'_> {
    fn traffic(self) -> io::Result<Traffic> {
        match self {
            Self::Stream(carried) => Ok(Traffic {
                received: carried.received.get(),
                taken: carried.taken.get(),
            }),
            Self::Tcp(transport) => transport.traffic(),
        }
    }
}

/// What a connection's exchanges know of its client; nothing at its beginning.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What has been paid with: the bytes from here on pay for windows to come.
    paid: Cell<Traffic>,
    /// At the last look for movement.
    seen: Cell<Traffic>,
}

/// Whether the client is waited for, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// For its body.
    pub(super) sends: bool,
    /// For it to take its answer.
    pub(super) takes: bool,
}

/// What a client does too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    /// Send its body.
    Sender,
    /// Take its answer.
    Receiver,
}

impl<'a> Pace<'a> {
    /// For one exchange; `silence` is how long the client may stand still.
    pub(super) fn new(
        meter: Meter<'a>,
        account: &'a Account,
        rate: BodyRate,
        silence: Duration,
    ) -> Self {
        Self {
            meter,
            rate,
            silence,
            account,
            begun: Cell::new(false),
        }
    }

    /// How long a window is.
    pub(super) fn window(&self) -> Duration {
        self.rate.window
    }

    /// Whether what is waited for has moved since the last time that this was asked.
    pub(super) fn moved(&self, waits: Waits) -> bool {
        // As below.
        let Ok(now) = self.meter.traffic() else {
            return false;
        };
        let seen = self.account.seen.replace(now);
        waits.takes && now.taken != seen.taken || waits.sends && now.received != seen.received
    }

    /// Judges the window that ends, all through which the client was waited for; then begins the
    /// next.
    pub(super) fn end_window(&self, waits: Waits) -> Option<Slow> {
        // A connection that cannot be asked is broken, which reading and writing find out.
        let now = self.meter.traffic().ok()?;
        let first = !self.begun.replace(true);
        let price = if first { 0 } else { self.rate.least };
        let most = worth(self.rate, self.silence);
        match pay(self.account.paid.get(), price, most, waits, now) {
            Ok(paid) => {
                self.account.paid.set(paid);
                None
            }
            Err(slow) => Some(slow),
        }
    }
}

/// What the rate comes to in `time`, in bytes.
fn worth(rate: BodyRate, time: Duration) -> u64 {
    let window = rate.window.as_millis().max(1);
    let bytes = u128::from(rate.least).saturating_mul(time.as_millis()) / window;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Pays `price` for a window out of what lies between `paid` and `now`, and keeps at most `most`
/// of the rest.
fn pay(paid: Traffic, price: u64, most: u64, waits: Waits, now: Traffic) -> Result<Traffic, Slow> {
    let pay = |paid: u64, now: u64, waits: bool| {
        let paid = paid.saturating_add(if waits { price } else { 0 });
        (paid <= now).then(|| paid.max(now.saturating_sub(most)))
    };
    Ok(Traffic {
        taken: pay(paid.taken, now.taken, waits.takes).ok_or(Slow::Receiver)?,
        received: pay(paid.received, now.received, waits.sends).ok_or(Slow::Sender)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_waited_for_is_judged() {
        let at = |received, taken| Traffic { received, taken };
        let paid = at(5, 7);
        let (still, reads, sends) = (paid, at(5, 17), at(15, 7));
        for (now, waits, expected) in [
            (still, NEITHER, Ok(paid)),
            (still, SENDS, Err(Slow::Sender)),
            (still, TAKES, Err(Slow::Receiver)),
            (reads, TAKES, Ok(reads)),
            (reads, BOTH, Err(Slow::Sender)),
            (sends, SENDS, Ok(sends)),
            (sends, BOTH, Err(Slow::Receiver)),
        ] {
            assert_eq!(pay(paid, 10, 100, waits, now), expected);
            assert_eq!(pay(paid, 0, 100, waits, now), Ok(paid), "the first");
        }
        assert_eq!(
            pay(paid, 11, 100, SENDS, sends),
            Err(Slow::Sender),
            "one byte too few"
        );
    }

    #[test]
    fn the_rate_is_worth_what_it_carries_while_silence_lasts() {
        let rate = |least, window| BodyRate {
            least,
            window: Duration::from_millis(window),
        };
        let minutes = Duration::from_secs(300);
        assert_eq!(worth(rate(3840, 60_000), minutes), 19_200);
        assert_eq!(worth(rate(1, 60_000), Duration::from_secs(59)), 0);
        assert_eq!(worth(rate(u64::MAX, 1), minutes), u64::MAX);
    }

    /// Who takes `step` bytes at the end of every so many windows, and nothing in between.
    fn windows_survived(first: u64, step: u64, every: u64) -> Option<u64> {
        let mut paid = Traffic::default();
        let mut taken = first;
        (0..1000).find(|window| {
            if window % every == every - 1 {
                taken += step;
            }
            let now = Traffic { received: 0, taken };
            let price = if *window == 0 { 0 } else { LEAST };
            match pay(paid, price, MOST, TAKES, now) {
                Ok(now) => paid = now,
                Err(_) => return true,
            }
            false
        })
    }

    #[test]
    fn steps_that_make_the_rate_are_enough_up_to_the_most_in_advance() {
        // Five windows' worth is kept: a step in every sixth is the last that carries on.
        for every in 1..=6 {
            let (step, full) = (every * LEAST, 1_000_000);
            assert_eq!(windows_survived(full, step, every), None, "{every}");
            assert_eq!(
                windows_survived(full, 1_000_000, every),
                None,
                "more is no worse: {every}"
            );
        }
        // The step in the seventh is in time for what came first, the next is not.
        assert_eq!(windows_survived(1_000_000, 1_000_000, 7), Some(12));
    }

    #[test]
    fn what_is_in_advance_is_used_up() {
        assert_eq!(windows_survived(0, 0, 1), Some(1), "nothing");
        assert_eq!(windows_survived(LEAST, 0, 1), Some(2));
        // However much it was: the most, and the first window.
        assert_eq!(windows_survived(1_000_000, 0, 1), Some(6));
        // Just below the rate: one byte in each window.
        assert_eq!(
            windows_survived(100, LEAST - 1, 1),
            Some(100 + LEAST - 1 + 1)
        );
    }

    #[test]
    fn what_is_not_waited_for_costs_nothing_and_is_kept_no_less() {
        let at = |received| Traffic { received, taken: 0 };
        let paid = pay(at(0), LEAST, MOST, SENDS, at(100)).unwrap();
        let paid = pay(paid, LEAST, MOST, NEITHER, at(100)).unwrap();
        assert_eq!(paid, at(LEAST));
        let paid = pay(paid, LEAST, MOST, NEITHER, at(1_000_000)).unwrap();
        assert_eq!(paid, at(1_000_000 - MOST));
    }

    const NEITHER: Waits = Waits {
        sends: false,
        takes: false,
    };
    const BOTH: Waits = Waits {
        sends: true,
        takes: true,
    };
    const SENDS: Waits = Waits {
        sends: true,
        takes: false,
    };
    const TAKES: Waits = Waits {
        sends: false,
        takes: true,
    };
    const LEAST: u64 = 64;
    const MOST: u64 = 5 * LEAST;
}
