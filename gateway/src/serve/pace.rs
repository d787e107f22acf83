//! Whether a client keeps the least rate of a body (`body_rate`).

use std::cell::Cell;
use std::time::Duration;

use config::BodyRate;

use crate::tcp_info::Traffic;
use crate::tls::Transport;

/// Measures a client by windows, for as long as nothing but it is waited for.
///
/// What counts is what TCP has carried, and not what we read or wrote: a TLS record is read when
/// it is whole, and a full send buffer takes more only when a third of it is free, which a steady
/// reader may need minutes for. So the kernel is asked at the end of each window, and only then;
/// the first window's end is where the measuring begins.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    client: &'a Transport,
    rate: BodyRate,
    /// At the beginning of the window; `None` in the first.
    begun: Cell<Option<Traffic>>,
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
    pub(super) fn new(client: &'a Transport, rate: BodyRate) -> Self {
        Self {
            client,
            rate,
            begun: Cell::new(None),
        }
    }

    /// How long a window is.
    pub(super) fn window(&self) -> Duration {
        self.rate.window
    }

    /// Begins with a first window.
    pub(super) fn restart(&self) {
        self.begun.set(None);
    }

    /// Judges the window that ends, in which the client had to send, or to take, or both; then
    /// begins the next.
    pub(super) fn end_window(&self, sends: bool, takes: bool) -> Option<Slow> {
        // A connection that cannot be asked is broken, which reading and writing find out.
        let traffic = self.client.traffic().ok();
        let begun = self.begun.replace(traffic);
        let (now, begun) = (traffic?, begun?);
        slow(self.rate.least, sends, takes, begun, now)
    }
}

fn slow(least: u64, sends: bool, takes: bool, begun: Traffic, now: Traffic) -> Option<Slow> {
    let too_few = |before: u64, after: u64| after.saturating_sub(before) < least;
    if takes && too_few(begun.taken, now.taken) {
        Some(Slow::Receiver)
    } else if sends && too_few(begun.received, now.received) {
        Some(Slow::Sender)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_waited_for_is_judged() {
        let at = |received, taken| Traffic { received, taken };
        let still = (at(5, 7), at(5, 7));
        let reads = (at(5, 7), at(5, 17));
        let sends = (at(5, 7), at(15, 7));
        for ((begun, now), (send, take), expected) in [
            (still, (false, false), None),
            (still, (true, false), Some(Slow::Sender)),
            (still, (false, true), Some(Slow::Receiver)),
            (reads, (false, true), None),
            (reads, (true, true), Some(Slow::Sender)),
            (sends, (true, false), None),
            (sends, (true, true), Some(Slow::Receiver)),
        ] {
            assert_eq!(slow(10, send, take, begun, now), expected);
        }
        assert_eq!(
            slow(11, true, false, sends.0, sends.1),
            Some(Slow::Sender),
            "one byte too few"
        );
    }
}
