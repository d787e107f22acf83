//! From the cells of all workers to the text that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use policy::{Fault, Lane};

use super::cells::{AppCells, Cells, LaneCells, ListenerCells, PoolCells, Tally};
use super::durations::SummedDurations;
use super::http3::{Direction, Http3Cells};
use super::labels::{self, Labels, Protocol, StrippedKind, TunnelEnd};
use super::names;
use crate::admission::Full;

/// The metrics of the process.
///
/// Series that alerts are made of (refusals, failures, drops) exist from the start with 0; those of
/// an app and lane appear with their first request, so that their number stays small.
#[derive(Debug)]
pub(crate) struct Telemetry {
    apps: Box<[Arc<str>]>,
    auth_causes: Box<[Arc<str>]>,
    listeners: Box<[Arc<str>]>,
    pools: Box<[Arc<str>]>,
    workers: Mutex<BTreeMap<usize, Arc<Cells>>>,
    access_log_lost: AtomicU64,
    password_hashes: Source,
    sessions: Source,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Telemetry {
    /// The metrics of a process with these apps, listeners and pools; not ready yet.
    pub(crate) fn new(labels: &Labels<'_>) -> Arc<Self> {
        // Kept local: the process has no other use for the facade, and tests have many.
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            names::COUNTERS
                .iter()
                .for_each(|metric| describe_counter!(metric.name, metric.help));
            names::GAUGES
                .iter()
                .for_each(|metric| describe_gauge!(metric.name, metric.help));
            gauge!(names::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1);
            gauge!(names::READY.name).set(0);
        });
        Arc::new(Self {
            apps: owned(labels.apps),
            auth_causes: owned(labels.auth_causes),
            listeners: owned(labels.listeners),
            pools: owned(labels.pools),
            workers: Mutex::default(),
            access_log_lost: AtomicU64::new(0),
            password_hashes: Source::default(),
            sessions: Source::default(),
            handle: recorder.handle(),
            recorder,
        })
    }

    /// The cells of a worker. A thread that takes the place of another one (same index) goes on
    /// with its cells; two threads must never use one index at the same time.
    pub(crate) fn worker(&self, index: usize) -> Arc<Cells> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let cells = workers.entry(index).or_insert_with(|| {
            let [apps, auth_causes, listeners, pools] =
                [&self.apps, &self.auth_causes, &self.listeners, &self.pools]
                    .map(|names| names.iter().map(|name| &**name).collect::<Vec<_>>());
            Arc::new(Cells::new(&Labels {
                apps: &apps,
                auth_causes: &auth_causes,
                listeners: &listeners,
                pools: &pools,
            }))
        });
        Arc::clone(cells)
    }

    /// All metrics in Prometheus's text format.
    ///
    /// Takes locks and allocates; meant for the admin listener's thread, not for a worker. Calls
    /// may overlap.
    pub(crate) fn render(&self) -> String {
        let workers = self.workers();
        with_local_recorder(&self.recorder, || {
            self.scrape_process(&workers);
            self.scrape_listeners(&workers);
            self.scrape_pools(&workers);
            self.scrape_apps(&workers);
        });
        let mut text = self.handle.render();
        // Writing to a `String` cannot fail; what was written before a failure is still valid.
        let _infallible = self.write_durations(&workers, &mut text);
        text
    }

    /// Says whether new requests are welcome: true once everything serves, false from the start of
    /// a drain.
    pub(crate) fn set_ready(&self, ready: bool) {
        let value = if ready { 1 } else { 0 };
        with_local_recorder(&self.recorder, || gauge!(names::READY.name).set(value));
    }

    /// Says whether the guard holds. Without a call there is no such metric.
    pub(crate) fn set_guard_up(&self, up: bool) {
        let value = if up { 1 } else { 0 };
        with_local_recorder(&self.recorder, || gauge!(names::GUARD_UP.name).set(value));
    }

    /// Says whether QUIC is steered. Without a call there is no such metric.
    pub(crate) fn set_quic_steered(&self, steered: bool) {
        let value = if steered { 1 } else { 0 };
        with_local_recorder(&self.recorder, || {
            gauge!(names::QUIC_STEERED.name).set(value);
        });
    }

    /// Says how to learn the number of living sessions; called at each scrape.
    pub(crate) fn set_sessions(&self, sessions: impl Fn() -> u64 + Send + Sync + 'static) {
        self.sessions.set(sessions);
    }

    /// Says how to learn how many passwords were hashed so far; called at each scrape.
    pub(crate) fn set_password_hashes(&self, hashes: impl Fn() -> u64 + Send + Sync + 'static) {
        self.password_hashes.set(hashes);
    }

    /// Counts access-log lines that could not be written.
    pub(super) fn access_log_lost(&self, lines: u64) {
        self.access_log_lost.fetch_add(lines, Ordering::Relaxed);
    }

    fn workers(&self) -> Workers {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        Workers(workers.values().cloned().collect())
    }

    fn scrape_process(&self, workers: &Workers) {
        let dropped = names::ACCESS_LOG_DROPPED.name;
        counter!(dropped, "cause" => "queue_full")
            .absolute(workers.sum(|cells| Some(&cells.access_log_dropped)));
        counter!(dropped, "cause" => "write_error")
            .absolute(self.access_log_lost.load(Ordering::Relaxed));

        for (index, cause) in self.auth_causes.iter().enumerate() {
            counter!(names::AUTH_FAILURES.name, "cause" => Arc::clone(cause))
                .absolute(workers.sum(|cells| cells.auth_failures.get(index)));
        }
        for (index, reason) in labels::REASONS.iter().enumerate() {
            counter!(names::REFUSALS.name, "reason" => reason.as_str())
                .absolute(workers.sum(|cells| cells.refusals.get(index)));
        }
        for kind in StrippedKind::ALL {
            counter!(names::STRIPPED_HEADERS.name, "kind" => kind.as_str())
                .absolute(workers.sum(|cells| cells.stripped.get(kind as usize)));
        }

        let mut ended = 0;
        for end in TunnelEnd::ALL {
            let sum = workers.sum(|cells| cells.tunnels_ended.get(end as usize));
            counter!(names::TUNNELS_ENDED.name, "reason" => end.as_str()).absolute(sum);
            ended += sum;
        }
        let opened = workers.sum(|cells| Some(&cells.tunnels_opened));
        counter!(names::TUNNELS.name).absolute(opened);
        gauge!(names::TUNNELS_OPEN.name).set(opened.saturating_sub(ended) as f64);

        counter!(names::SESSION_CUTS.name).absolute(workers.sum(|cells| Some(&cells.session_cuts)));
        counter!(names::SLOW_CLIENTS.name, "direction" => "in")
            .absolute(workers.sum(|cells| Some(&cells.slow_senders)));
        counter!(names::SLOW_CLIENTS.name, "direction" => "out")
            .absolute(workers.sum(|cells| Some(&cells.slow_receivers)));

        if let Some(sessions) = self.sessions.value() {
            gauge!(names::SESSIONS.name).set(sessions as f64);
        }
        if let Some(hashes) = self.password_hashes.value() {
            counter!(names::PASSWORD_HASHES.name).absolute(hashes);
        }
    }

    fn scrape_listeners(&self, workers: &Workers) {
        for (index, listener) in self.listeners.iter().enumerate() {
            let sum = |pick: fn(&ListenerCells) -> &Tally| {
                workers.sum(|cells| cells.listeners.get(index).map(pick))
            };
            let closed = sum(|cells| &cells.closed);
            let opened = sum(|cells| &cells.opened);
            let listener = || Arc::clone(listener);
            counter!(names::CONNECTIONS.name, "listener" => listener()).absolute(opened);
            gauge!(names::CONNECTIONS_OPEN.name, "listener" => listener())
                .set(opened.saturating_sub(closed) as f64);
            counter!(names::TLS_HANDSHAKE_FAILURES.name, "listener" => listener())
                .absolute(sum(|cells| &cells.handshake_failures));
            counter!(names::ACCEPT_FAILURES.name, "listener" => listener())
                .absolute(sum(|cells| &cells.accept_failures));
            counter!(names::PROXY_PROTOCOL_ERRORS.name, "listener" => listener())
                .absolute(sum(|cells| &cells.proxy_protocol_errors));
            for full in Full::ALL {
                let refused =
                    workers.sum(|cells| cells.listeners.get(index)?.refused.get(full as usize));
                let refusals = names::CONNECTIONS_REFUSED.name;
                counter!(refusals, "listener" => listener(), "reason" => full.as_str())
                    .absolute(refused);
            }
            self.scrape_http3(workers, index, listener);
        }
    }

    /// HTTP/3 at one listener, as far as there was any.
    fn scrape_http3(&self, workers: &Workers, index: usize, listener: impl Fn() -> Arc<str>) {
        let count = |metric: names::Metric, pick: fn(&Http3Cells) -> &Tally| {
            let sum = workers.sum(|cells| cells.listeners.get(index).map(|at| pick(&at.http3)));
            if sum > 0 {
                counter!(metric.name, "listener" => listener()).absolute(sum);
            }
        };
        count(names::HTTP3_HANDSHAKES, |cells| &cells.handshakes);
        count(names::HTTP3_LOST_PACKETS, |cells| &cells.lost_packets);
        count(names::HTTP3_RETRIES, |cells| &cells.retries);
        count(names::HTTP3_STRAYS, |cells| &cells.strays);
        count(names::HTTP3_STREAMS, |cells| &cells.streams);
        for name in ["in", "out"] {
            let sum = |pick: &dyn Fn(&Direction) -> Option<&Tally>| {
                workers.sum(|cells| {
                    let cells = &cells.listeners.get(index)?.http3;
                    pick(match name {
                        "in" => &cells.inwards,
                        _ => &cells.outwards,
                    })
                })
            };
            let datagrams = sum(&|cells| Some(&cells.datagrams));
            let calls = sum(&|cells| Some(&cells.system_calls));
            for (metric, sum) in [
                (names::UDP_DATAGRAMS, datagrams),
                (names::UDP_SYSTEM_CALLS, calls),
            ] {
                if sum > 0 {
                    counter!(metric.name, "listener" => listener(), "direction" => name)
                        .absolute(sum);
                }
            }
            for (position, code) in Direction::codes().enumerate() {
                let resets = sum(&|cells| cells.resets.get(position));
                if resets > 0 {
                    let metric = names::HTTP3_RESETS.name;
                    counter!(
                        metric,
                        "listener" => listener(),
                        "direction" => name,
                        "code" => code,
                    )
                    .absolute(resets);
                }
            }
        }
    }

    fn scrape_pools(&self, workers: &Workers) {
        for (index, pool) in self.pools.iter().enumerate() {
            let sum = |pick: fn(&PoolCells) -> &Tally| {
                workers.sum(|cells| cells.pools.get(index).map(pick))
            };
            let pool = || Arc::clone(pool);
            let connections = names::UPSTREAM_CONNECTIONS.name;
            counter!(connections, "pool" => pool(), "kind" => "new")
                .absolute(sum(|cells| &cells.opened));
            counter!(connections, "pool" => pool(), "kind" => "reused")
                .absolute(sum(|cells| &cells.reused));
            let gauge = |metric: names::Metric, begun: u64, ended: u64| {
                gauge!(metric.name, "pool" => pool()).set(begun.saturating_sub(ended) as f64);
            };
            // The ends first: what begins meanwhile must not look as if it had ended before.
            let (left, unqueued) = (sum(|cells| &cells.left), sum(|cells| &cells.unqueued));
            gauge(names::UPSTREAM_IN_FLIGHT, sum(|cells| &cells.entered), left);
            gauge(names::UPSTREAM_QUEUED, sum(|cells| &cells.queued), unqueued);
            for (position, fault) in Fault::ALL.into_iter().enumerate() {
                let faults = workers.sum(|cells| cells.pools.get(index)?.faults.get(position));
                let errors = names::UPSTREAM_ERRORS.name;
                counter!(errors, "pool" => pool(), "cause" => fault.as_str()).absolute(faults);
            }
        }
    }

    fn scrape_apps(&self, workers: &Workers) {
        for (index, app) in self.apps().enumerate() {
            let bytes = |direction, pick: fn(&AppCells) -> &Tally| {
                let bytes = workers.sum(|cells| cells.apps.get(index).map(pick));
                if bytes > 0 {
                    counter!(names::BYTES.name, "direction" => direction, "app" => app.to_owned())
                        .absolute(bytes);
                }
            };
            bytes("in", |cells| &cells.bytes_in);
            bytes("out", |cells| &cells.bytes_out);

            for (lane, protocol) in Lane::ALL.iter().flat_map(|l| Protocol::ALL.map(|p| (l, p))) {
                for (class, status) in labels::STATUS_CLASSES.into_iter().enumerate() {
                    let requests = workers.sum(|cells| {
                        let lane = lane_cells(cells, index, *lane)?;
                        lane.statuses.get(protocol.index())?.get(class)
                    });
                    if requests > 0 {
                        counter!(
                            names::REQUESTS.name,
                            "app" => app.to_owned(),
                            "lane" => lane.as_str(),
                            "status" => status,
                            "protocol" => protocol.as_str(),
                        )
                        .absolute(requests);
                    }
                }
            }
        }
    }

    fn write_durations(&self, workers: &Workers, out: &mut String) -> fmt::Result {
        let names::Metric { name, help } = names::REQUEST_DURATION;
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        for (index, app) in self.apps().enumerate() {
            for lane in Lane::ALL {
                let mut sum = SummedDurations::default();
                let cells = workers
                    .0
                    .iter()
                    .filter_map(|cells| lane_cells(cells, index, lane));
                cells.for_each(|cells| sum.add(&cells.durations));
                if !sum.is_empty() {
                    sum.write(app, lane.as_str(), out)?;
                }
            }
        }
        Ok(())
    }

    /// The `app` labels in the order of [`Cells::apps`].
    fn apps(&self) -> impl Iterator<Item = &str> {
        std::iter::once(labels::NO_APP).chain(self.apps.iter().map(|app| &**app))
    }
}

/// The cells of all workers.
struct Workers(Vec<Arc<Cells>>);

impl Workers {
    fn sum<'a>(&'a self, pick: impl Fn(&'a Cells) -> Option<&'a Tally>) -> u64 {
        self.0
            .iter()
            .filter_map(|cells| pick(cells))
            .map(Tally::value)
            .sum()
    }
}

/// A number that somebody else keeps.
#[derive(Default)]
struct Source(Mutex<Option<Box<dyn Fn() -> u64 + Send + Sync>>>);

impl Source {
    fn set(&self, source: impl Fn() -> u64 + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(source));
    }

    fn value(&self) -> Option<u64> {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        source.as_ref().map(|source| source())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(..)")
    }
}

fn lane_cells(cells: &Cells, app: usize, lane: Lane) -> Option<&LaneCells> {
    cells.apps.get(app)?.lanes.get(lane.index())
}

fn owned(names: &[&str]) -> Box<[Arc<str>]> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[cfg(test)]
mod tests;
