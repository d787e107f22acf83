//! The counters of HTTP/3 at one listener.

use wire::h3::Code;

use super::cells::Tally;

/// What one worker counts of HTTP/3 at one listener; only that worker writes.
#[derive(Debug, Default)]
pub(crate) struct Http3Cells {
    pub(super) handshakes: Tally,
    pub(super) lost_packets: Tally,
    pub(super) retries: Tally,
    pub(super) strays: Tally,
    pub(super) streams: Tally,
    pub(super) inwards: Direction,
    pub(super) outwards: Direction,
}

/// One direction: from clients, or to them.
#[derive(Debug, Default)]
pub(super) struct Direction {
    pub(super) datagrams: Tally,
    pub(super) system_calls: Tally,
    /// By the position of the code in [`Code::ALL`]; the last is for those that are no HTTP/3 code.
    pub(super) resets: [Tally; Code::ALL.len() + 1],
}

impl Http3Cells {
    /// Counts a connection whose handshake was completed.
    pub(crate) fn handshake(&self) {
        self.handshakes.add(1);
    }

    /// Counts packets that were lost on the way to a client.
    pub(crate) fn lost(&self, packets: u64) {
        self.lost_packets.add(packets);
    }

    /// Counts a client that has to prove its address.
    pub(crate) fn retry(&self) {
        self.retries.add(1);
    }

    /// Counts a datagram for a connection of another worker or process.
    pub(crate) fn stray(&self) {
        self.strays.add(1);
    }

    /// Counts a request stream.
    pub(crate) fn stream(&self) {
        self.streams.add(1);
    }

    /// Counts a stream or connection that a client broke off.
    pub(crate) fn reset_by_client(&self, code: u64) {
        self.inwards.reset(Code::of(code));
    }

    /// Counts a stream or connection that the gateway breaks off.
    pub(crate) fn reset_by_gateway(&self, code: Code) {
        self.outwards.reset(Some(code));
    }

    /// Counts a system call and what it received.
    pub(crate) fn received(&self, datagrams: u64) {
        self.inwards.carried(datagrams);
    }

    /// Counts a system call and what it sent.
    pub(crate) fn sent(&self, datagrams: u64) {
        self.outwards.carried(datagrams);
    }
}

impl Direction {
    /// The label of each cell of resets.
    pub(super) fn codes() -> impl Iterator<Item = &'static str> {
        Code::ALL.iter().map(|code| code.as_str()).chain(["other"])
    }

    fn carried(&self, datagrams: u64) {
        self.datagrams.add(datagrams);
        self.system_calls.add(1);
    }

    fn reset(&self, code: Option<Code>) {
        let known = Code::ALL.iter().position(|known| Some(*known) == code);
        if let Some(cell) = self.resets.get(known.unwrap_or(Code::ALL.len())) {
            cell.add(1);
        }
    }
}
