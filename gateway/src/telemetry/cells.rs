//! The counters of one worker.

use std::sync::atomic::{AtomicU64, Ordering};

use policy::{Fault, Lane, Reason, Stripped};

use super::durations::Durations;
use super::http3::Http3Cells;
use super::labels::{self, Labels, Protocol, StrippedKind, TunnelEnd};
use crate::admission::Full;

/// The counters of one worker thread.
///
/// Invariant: only that thread writes. Any thread may read. So an increment is a load and a store
/// of a cache line that nobody else writes, without a lock prefix and without a label lookup.
///
/// Indexes are those of [`Labels`]. An index beyond them is a bug of the caller: it is asserted in
/// debug builds and otherwise counts nothing, or for an app counts as `none`.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Cells {
    pub(super) tunnels_opened: Tally,
    pub(super) tunnels_ended: [Tally; TunnelEnd::ALL.len()],
    pub(super) access_log_dropped: Tally,
    pub(super) session_cuts: Tally,
    pub(super) slow_receivers: Tally,
    pub(super) slow_senders: Tally,
    pub(super) stripped: [Tally; StrippedKind::ALL.len()],
    pub(super) refusals: Box<[Tally]>,
    pub(super) auth_failures: Box<[Tally]>,
    pub(super) listeners: Box<[ListenerCells]>,
    pub(super) pools: Box<[PoolCells]>,
    /// The first entry is for requests of no app.
    pub(super) apps: Box<[AppCells]>,
}

/// What is counted about a request when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestRecord {
    /// Index of the app, once known.
    pub(crate) app: Option<usize>,
    /// The lane.
    pub(crate) lane: Lane,
    /// The protocol that the client spoke.
    pub(crate) protocol: Protocol,
    /// The status sent to the client; 0 if it went away before one was sent.
    pub(crate) status: u16,
    /// From the request's complete head to the answer's last byte, in microseconds; for a tunnel
    /// to its 101, because a WebSocket's life says nothing about how fast anything is.
    pub(crate) duration_micros: u64,
    /// Body or tunnel bytes from the client.
    pub(crate) bytes_in: u64,
    /// Body or tunnel bytes to the client.
    pub(crate) bytes_out: u64,
}

impl Cells {
    /// Counts a connection that a listener accepted.
    pub(crate) fn connection_opened(&self, listener: usize) {
        if let Some(cells) = at(&self.listeners, listener) {
            cells.opened.add(1);
        }
    }

    /// Counts the end of a connection that was counted as opened.
    pub(crate) fn connection_closed(&self, listener: usize) {
        if let Some(cells) = at(&self.listeners, listener) {
            cells.closed.add(1);
        }
    }

    /// Counts a connection that was turned away.
    pub(crate) fn connection_refused(&self, listener: usize, full: Full) {
        let cells = at(&self.listeners, listener);
        if let Some(cell) = cells.and_then(|cells| at(&cells.refused, full as usize)) {
            cell.add(1);
        }
    }

    /// Counts an attempt to accept a connection that failed.
    pub(crate) fn accept_failed(&self, listener: usize) {
        if let Some(cells) = at(&self.listeners, listener) {
            cells.accept_failures.add(1);
        }
    }

    /// Counts a connection that was closed for a PROXY protocol header, or the lack of one.
    pub(crate) fn proxy_protocol_failed(&self, listener: usize) {
        if let Some(cells) = at(&self.listeners, listener) {
            cells.proxy_protocol_errors.add(1);
        }
    }

    /// Counts a TLS handshake with a client that failed.
    pub(crate) fn handshake_failed(&self, listener: usize) {
        if let Some(cells) = at(&self.listeners, listener) {
            cells.handshake_failures.add(1);
        }
    }

    /// Counts what happens to HTTP/3 at a listener.
    pub(crate) fn http3(&self, listener: usize) -> Option<&Http3Cells> {
        at(&self.listeners, listener).map(|cells| &cells.http3)
    }

    /// Counts a request that is over.
    pub(crate) fn request(&self, record: RequestRecord) {
        let app = at(&self.apps, record.app.map_or(0, |app| app + 1)).or_else(|| self.apps.first());
        let Some(app) = app else { return };
        app.bytes_in.add(record.bytes_in);
        app.bytes_out.add(record.bytes_out);
        let Some(lane) = at(&app.lanes, record.lane.index()) else {
            return;
        };
        lane.durations.record(record.duration_micros);
        let classes = at(&lane.statuses, record.protocol.index());
        let class = classes.and_then(|classes| at(classes, labels::status_class(record.status)));
        if let Some(class) = class {
            class.add(1);
        }
    }

    /// Counts a request that the gateway answered by itself.
    pub(crate) fn refusal(&self, reason: Reason) {
        // Linear, by label; refusals are not the hot path.
        let index = labels::REASONS
            .iter()
            .position(|known| known.as_str() == reason.as_str());
        debug_assert!(index.is_some(), "no cell for {reason:?}");
        if let Some(cell) = index.and_then(|index| at(&self.refusals, index)) {
            cell.add(1);
        }
    }

    /// Counts a back-end's failure that neither a retry nor another server made good.
    pub(crate) fn upstream_fault(&self, pool: usize, fault: Fault) {
        let index = Fault::ALL.iter().position(|known| *known == fault);
        let faults = at(&self.pools, pool).map(|cells| &cells.faults);
        if let (Some(faults), Some(index)) = (faults, index)
            && let Some(cell) = at(faults, index)
        {
            cell.add(1);
        }
    }

    /// Counts a failed authentication; `cause` is an index of [`Labels::auth_causes`].
    pub(crate) fn auth_failure(&self, cause: usize) {
        if let Some(cell) = at(&self.auth_failures, cause) {
            cell.add(1);
        }
    }

    /// Counts what was removed from a request.
    pub(crate) fn stripped(&self, stripped: Stripped) {
        self.strip(StrippedKind::Owned, stripped.owned);
        self.strip(StrippedKind::Alias, stripped.aliases);
        self.strip(StrippedKind::Credential, stripped.credentials);
    }

    /// Counts the field lines that were removed from a back-end's answer.
    pub(crate) fn answer_stripped(&self, lines: u32) {
        self.strip(StrippedKind::Answer, lines);
    }

    /// Counts a new connection to a pool's server, once it is ready for a request.
    pub(crate) fn upstream_connection_opened(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.opened.add(1);
        }
    }

    /// Counts a request that was sent over a kept connection.
    pub(crate) fn upstream_connection_reused(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.reused.add(1);
        }
    }

    /// Counts a request that has a slot of its pool.
    pub(crate) fn upstream_entered(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.entered.add(1);
        }
    }

    /// Counts the end of what was counted as entered.
    pub(crate) fn upstream_left(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.left.add(1);
        }
    }

    /// Counts a request that begins to wait for a slot.
    pub(crate) fn upstream_queued(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.queued.add(1);
        }
    }

    /// Counts the end of a wait, whatever ended it.
    pub(crate) fn upstream_unqueued(&self, pool: usize) {
        if let Some(cells) = at(&self.pools, pool) {
            cells.unqueued.add(1);
        }
    }

    /// Counts an answer that was cut because its visitor's session ended.
    pub(crate) fn session_cut(&self) {
        self.session_cuts.add(1);
    }

    /// Counts an exchange that was ended because the client sent, or else took, too slowly.
    pub(crate) fn slow_client(&self, sender: bool) {
        match sender {
            true => self.slow_senders.add(1),
            false => self.slow_receivers.add(1),
        }
    }

    /// Counts a WebSocket whose back-end answered 101.
    pub(crate) fn tunnel_opened(&self) {
        self.tunnels_opened.add(1);
    }

    /// Counts the end of a WebSocket that was counted as opened.
    pub(crate) fn tunnel_ended(&self, end: TunnelEnd) {
        if let Some(cell) = at(&self.tunnels_ended, end as usize) {
            cell.add(1);
        }
    }

    /// Counts access-log lines that found no room in the writer's queue.
    pub(crate) fn access_log_dropped(&self, lines: u64) {
        self.access_log_dropped.add(lines);
    }

    pub(super) fn new(labels: &Labels<'_>) -> Self {
        Self {
            tunnels_opened: Tally::default(),
            tunnels_ended: Default::default(),
            access_log_dropped: Tally::default(),
            session_cuts: Tally::default(),
            slow_receivers: Tally::default(),
            slow_senders: Tally::default(),
            stripped: Default::default(),
            refusals: zeroed(labels::REASONS.len()),
            auth_failures: zeroed(labels.auth_causes.len()),
            listeners: zeroed(labels.listeners.len()),
            pools: zeroed(labels.pools.len()),
            apps: zeroed(labels.apps.len() + 1),
        }
    }

    fn strip(&self, kind: StrippedKind, lines: u32) {
        if let Some(cell) = at(&self.stripped, kind as usize)
            && lines > 0
        {
            cell.add(lines.into());
        }
    }
}

// The cells of each kind are aligned like `Cells`, so that no two workers' cells ever share a
// cache line, nor the pair of lines that the CPU prefetches.

/// The cells of one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ListenerCells {
    pub(super) opened: Tally,
    pub(super) closed: Tally,
    pub(super) handshake_failures: Tally,
    pub(super) refused: [Tally; Full::ALL.len()],
    pub(super) accept_failures: Tally,
    pub(super) proxy_protocol_errors: Tally,
    pub(super) http3: Http3Cells,
}

/// The cells of one back-end pool.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct PoolCells {
    pub(super) faults: [Tally; Fault::ALL.len()],
    pub(super) opened: Tally,
    pub(super) reused: Tally,
    pub(super) entered: Tally,
    pub(super) left: Tally,
    pub(super) queued: Tally,
    pub(super) unqueued: Tally,
}

/// The cells of one app.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct AppCells {
    pub(super) bytes_in: Tally,
    pub(super) bytes_out: Tally,
    pub(super) lanes: [LaneCells; Lane::ALL.len()],
}

/// The cells of one lane of one app.
#[derive(Debug, Default)]
pub(super) struct LaneCells {
    pub(super) statuses: [[Tally; labels::STATUS_CLASSES.len()]; Protocol::ALL.len()],
    pub(super) durations: Durations,
}

/// A counter that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    /// Adds; only the owning thread may.
    pub(super) fn add(&self, amount: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(amount);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// The count so far.
    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn at<T>(cells: &[T], index: usize) -> Option<&T> {
    debug_assert!(
        index < cells.len(),
        "index {index} of {} cells",
        cells.len()
    );
    cells.get(index)
}

fn zeroed<T: Default>(len: usize) -> Box<[T]> {
    (0..len).map(|_| T::default()).collect()
}
