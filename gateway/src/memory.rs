//! The most memory that a configuration allows: a sum of products, each factor of which is a
//! constant of the program or a key of the configuration.
//!
//! It bounds what the process itself allocates. The kernel's socket buffers come on top.

use std::fmt;

use config::{AccessLog, Config, Method};
use wire::{Field, Fields};

use crate::address::AddressBlock;
use crate::buffers::Size;
use crate::clock::Moment;
use crate::{admission, auth, buffers, limit, quic, rates, telemetry, tls, worker};

/// The sum.
#[derive(Debug)]
pub(crate) struct Formula(Vec<Term>);

/// One product.
#[derive(Debug)]
struct Term {
    what: &'static str,
    count: u64,
    /// Bytes.
    each: u64,
}

/// How many clients may be connected at once.
pub(crate) fn connections(config: &Config) -> u64 {
    let listeners = config.listeners.iter();
    listeners
        .map(|listener| u64::from(listener.limits.connections))
        .sum()
}

/// What there may be of HTTP/3: endpoints, connections, and requests at once.
fn http3(config: &Config, workers: u64) -> (u64, u64, u64) {
    let listeners = config.listeners.iter().filter(|listener| listener.http3);
    listeners.fold((0, 0, 0), |(endpoints, connections, requests), listener| {
        let more = u64::from(listener.limits.connections);
        let streams = more.saturating_mul(listener.limits.http3_streams.into());
        (
            endpoints + workers,
            connections + more,
            requests.saturating_add(streams),
        )
    })
}

/// The most bytes of a hash table with so many entries of a type: it grows by doubling when 7/8
/// are taken, holds a byte beside each entry, and while it grows the old one is there, too.
pub(crate) const fn table<T>(entries: usize) -> usize {
    entries * (size_of::<T>() + 1) * 24 / 7
}

impl Formula {
    /// Of a configuration that so many workers serve.
    pub(crate) fn of(config: &Config, workers: usize) -> Self {
        let connections = connections(config);
        let resting = config.pools.iter().map(|pool| {
            let of_server = connections.min(pool.capacity.in_flight.into());
            of_server.saturating_mul(pool.servers.len() as u64)
        });
        let rates = config.apps.iter().map(|app| app.rates.len() as u64);
        let checks = config.realms.iter().map(|realm| match &realm.method {
            Method::Basic(basic) => basic.users.check_memory(),
        });
        let log = match config.log.access {
            AccessLog::Off => 0,
            AccessLog::File(_) | AccessLog::Stdout => telemetry::ACCESS_LOG_MEMORY,
        };
        let term = |what, count, each: usize| Term {
            what,
            count,
            each: each as u64,
        };
        let mut terms = vec![
            term("process", 1, PROCESS),
            term("workers", workers as u64, of_worker()),
            term("access log", 1, log),
            term("connections", connections, IDLE),
            term("their traffic", connections, traffic(config.max_head)),
            term("their addresses", connections, admission::OF_ADDRESS),
            term("resting back-end connections", resting.sum(), IDLE),
            term(
                "rates of addresses",
                config.apps.len() as u64,
                table::<(AddressBlock, Moment)>(limit::MOST_ADDRESSES),
            ),
            term(
                "rates by key",
                rates.sum(),
                table::<(u64, Moment)>(rates::MOST_KEYS),
            ),
            term("failed logins", 2, auth::FAILURES_MEMORY),
            term("verified passwords", 1, auth::VERIFIED_MEMORY),
            term("sessions", 1, auth::SESSIONS_MEMORY),
            Term {
                what: "password checks",
                count: auth::threads(workers).get() as u64,
                each: checks.max().unwrap_or(0),
            },
        ];
        if config.listeners.iter().any(|listener| listener.http3) {
            // Of connections that are counted above, each of which may be one of HTTP/3.
            let (endpoints, connections, requests) = http3(config, workers as u64);
            let of_request = quic::STREAM + traffic(config.max_head);
            terms.push(term("endpoints of HTTP/3", endpoints, quic::ENDPOINT));
            terms.push(term("connections of HTTP/3", connections, quic::CONNECTION));
            terms.push(term("requests over HTTP/3", requests, of_request));
        }
        Self(terms)
    }

    /// Bytes.
    fn total(&self) -> u64 {
        self.0
            .iter()
            .map(Term::product)
            .fold(0, u64::saturating_add)
    }
}

impl Term {
    fn product(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }
}

impl fmt::Display for Formula {
    /// `memory: at most …`, then a line for each term.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory: at most {}, the sum of", Mebibytes(self.total()))?;
        for term in &self.0 {
            let Term { what, count, each } = term;
            let product = Mebibytes(term.product());
            write!(f, "\n  {what}: {count} x {each} bytes = {product}")?;
        }
        Ok(())
    }
}

/// Rounded up.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}

/// What a connection holds while all its buffers are full: an exchange, or a tunnel. A handshake,
/// which comes before, holds less.
fn traffic(max_head: usize) -> usize {
    // A request's head and an answer's, as received (in memory that doubles as it grows) and as
    // they are sent on.
    let heads = 2 * (2 * max_head + max_head);
    PAYLOAD + heads + 2 * TLS_BUFFERS + EXCHANGE
}

/// What a worker keeps for reuse, and its own view of logins.
fn of_worker() -> usize {
    let tables = worker::TABLES_KEPT * Fields::MAX * size_of::<Field>();
    THREAD + buffers::MOST_KEPT + tls::KEPT + tables + auth::LOCAL_MEMORY
}

/// The program, its libraries and configuration, the control thread and telemetry.
const PROCESS: usize = 48 << 20;

/// A worker's stack, runtime and allocator's arena.
const THREAD: usize = 8 << 20;

/// Received bytes: a buffer for each direction, which may have grown to twice its size.
const PAYLOAD: usize = 2 * 2 * Size::Large.bytes();

const _: () = assert!(tls::HANDSHAKE_MEMORY <= PAYLOAD + 2 * TLS_BUFFERS);

/// A connection without traffic, with its TLS session and task, and up to 4 KiB of a record that is not
/// whole (measured in `tests/tests/idle_memory.rs`).
const IDLE: usize = 12 << 10;

/// What one TLS session of rustls holds: 64 KiB to be sent, a record that arrives and one that is
/// not read yet, all with their overhead. One of ours holds the first alone: the others lie in the
/// receive buffers.
const TLS_BUFFERS: usize = (64 + 2 * 18 + 4) << 10;

/// An exchange's own state.
const EXCHANGE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_never_takes_more_than_is_said() {
        // hashbrown: a power of two of buckets, at most 7/8 full, each with a byte beside it.
        for entries in [100, 1_000, 14_336, 14_337, 28_672, 28_673, 65_536] {
            let buckets = (entries * 8_usize).div_ceil(7).next_power_of_two();
            let one = buckets * (size_of::<(u64, Moment)>() + 1);
            assert!(
                one + one / 2 <= table::<(u64, Moment)>(entries),
                "{entries}"
            );
        }
    }

    #[test]
    fn terms_are_multiplied_and_added() {
        let term = |what, count, each| Term { what, count, each };
        let formula = Formula(vec![term("this", 3, 1 << 20), term("that", 1, 1)]);
        assert_eq!(
            formula.to_string(),
            "memory: at most 4 MiB, the sum of\n  this: 3 x 1048576 bytes = 3 MiB\n  \
             that: 1 x 1 bytes = 1 MiB"
        );
        let huge = Formula(vec![term("this", u64::MAX, 2), term("that", 1, 1)]);
        assert_eq!(huge.total(), u64::MAX);
    }
}
