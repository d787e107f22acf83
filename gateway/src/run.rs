//! Boot and end: everything is loaded and bound before anything is served; a signal drains.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use config::{Config, ConfigError, Diagnostic, Origin};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::auth::{self, Authenticator, FailureCause};
use crate::cli::Failure;
use crate::confine::confine;
use crate::descriptors::Ceiling;
use crate::guarded::Guarded;
use crate::listen::{Bound, bind, bind_admin};
use crate::quic::Secrets;
use crate::shared::{AppShared, Front, Shared};
use crate::spares::Spares;
use crate::steer::Steering;
use crate::telemetry::{AccessLogWriter, Labels, Telemetry};
use crate::tls::Acceptor;
use crate::upstream::Backends;
use crate::worker::Start;
use crate::{allocator, cpus, descriptors, logging, ready_file};

/// Runs the gateway until a signal has drained it.
pub(crate) fn run(config: &Path, ready_file: Option<PathBuf>) -> Result<(), Failure> {
    allocator::hold_thresholds().map_err(|error| Failure::Environment(error.to_string()))?;
    // Before the configuration is read: a file that opens now must open again after SIGHUP.
    confine().map_err(|error| Failure::Environment(error.to_string()))?;
    let config = Config::load(config)?;
    logging::start(config.log.level);
    let guard_socket = config.guard.as_ref().map(|guard| guard.socket.clone());
    let guard = config.guard.as_ref().map(Guarded::find).transpose();
    let guard = guard.map_err(Failure::Environment)?;
    let cpus = cpus::for_workers(config.workers);
    descriptors::raise_limit()
        .map_err(|error| Failure::Environment(format!("raising RLIMIT_NOFILE: {error}")))?;
    if let Some(shortage) = descriptors::shortage(&config, cpus.len()) {
        tracing::warn!("{shortage}");
    }
    let admin_socket = bind_admin(&config.admin).map_err(ConfigError::from)?;
    let bound = bind(&config.listeners, cpus.len()).map_err(faults)?;
    let (shared, log) = assemble(config, cpus.len())?;
    let udp = bound.udp().map_err(work("UDP sockets"))?;
    let (keys, telemetry) = (shared.secrets.ids(), &shared.telemetry);
    let steering = Steering::join(guard_socket, keys, udp, FIRST_GENERATION, telemetry);

    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(work("runtime"))?;
    let ended = runtime.block_on(async {
        let admin = Admin::new(Arc::clone(&shared.telemetry));
        let admin_address = admin_socket.local_addr().map_err(work("admin listener"))?;
        let listener =
            tokio::net::TcpListener::from_std(admin_socket).map_err(work("admin listener"))?;
        let serving = tokio::spawn(Arc::clone(&admin).serve(listener));
        let mut signals = Signals::listen().map_err(work("signals"))?;

        let addresses = bound.addresses.clone();
        let (drain, draining) = watch::channel(None);
        let workers = start(
            &shared,
            &log,
            bound,
            &cpus,
            &draining,
            steering.generation(),
        )?;
        let mut steering_on = None;
        if let Some((guard, view)) = guard {
            admin.set_guard(&view);
            let watch = steering.watch(guard.service(), Arc::clone(&shared.telemetry));
            steering_on = Some(tokio::spawn(watch));
            tokio::spawn(Arc::new(guard).watch(Arc::clone(&admin), view));
        }
        admin.set_serving(true);
        announce(&shared, &addresses, admin_address);
        if let Some(path) = ready_file {
            let facts = ready_facts(&shared, &addresses, admin_address);
            ready_file::write(&path, &facts).map_err(work("ready file"))?;
        }
        guard::notify::ready().map_err(work("telling systemd"))?;

        let failed = signals.end(&workers, &log).await;
        admin.set_serving(false);
        // It holds sockets open that workers close when they end.
        if let Some(steering) = steering_on {
            steering.abort();
        }
        tracing::info!(limit = ?shared.drain, "draining");
        // A send fails only if every worker is gone already.
        let _ = drain.send(Some(Instant::now() + shared.drain));
        let ended = tokio::task::spawn_blocking(move || join(workers)).await;
        serving.abort();
        if let Err(error) = log.shutdown(LOG_LIMIT) {
            tracing::warn!(%error, "access log");
        }
        match ended {
            Ok(Ok(())) if !failed => Ok(()),
            Ok(Err(error)) => Err(Failure::Work(error)),
            _ => Err(Failure::Work("a worker ended by itself".into())),
        }
    });
    // A guard that does not answer must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Makes what all workers share; every fault is one of the configuration.
pub(crate) fn assemble(
    config: Config,
    workers: usize,
) -> Result<(Arc<Shared>, AccessLogWriter), Failure> {
    let secrets = Secrets::draw().map_err(work("secrets of connections"))?;
    let mut diagnostics = Vec::new();
    let mut fronts = Vec::new();
    for listener in &config.listeners {
        match Acceptor::new(&listener.certificates, config.tls_records, listener.http3) {
            Ok(acceptor) => {
                fronts.push(Arc::new(Front::new(listener, acceptor, &secrets, workers)))
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    let backends = Backends::new(&config.pools).unwrap_or_else(|found| {
        diagnostics.extend(found);
        Backends::default()
    });
    if !diagnostics.is_empty() {
        return Err(faults(diagnostics));
    }

    let apps: Vec<&str> = config.policy.apps().iter().map(|app| &*app.name).collect();
    let listeners: Vec<&str> = fronts.iter().map(|front| &*front.name).collect();
    let pools: Vec<&str> = config.pools.iter().map(|pool| &*pool.name).collect();
    let causes: Vec<&str> = FailureCause::ALL
        .iter()
        .map(|cause| cause.as_str())
        .collect();
    let telemetry = Telemetry::new(&Labels {
        apps: &apps,
        auth_causes: &causes,
        listeners: &listeners,
        pools: &pools,
    });
    let log = AccessLogWriter::start(&config.log.access, Arc::clone(&telemetry))
        .map_err(|error| log_fault(&config, &error))?;
    let authenticator = Authenticator::new(config.realms, auth::threads(workers))
        .map_err(|error| Failure::Work(format!("authentication: {error}")))?;
    let sessions = Arc::clone(&authenticator);
    telemetry.set_sessions(move || sessions.session_count() as u64);
    let hashes = Arc::clone(&authenticator);
    telemetry.set_password_hashes(move || hashes.hashes_run());
    let shared = Shared {
        apps: config.apps.iter().map(AppShared::from).collect(),
        policy: config.policy,
        listeners: fronts,
        ceiling: Ceiling::of_process(),
        spares: Spares::new(workers),
        workers,
        max_head: config.max_head,
        timeouts: config.timeouts,
        drain: config.drain,
        authenticator,
        backends: Arc::new(backends),
        telemetry,
        secrets,
    };
    Ok((Arc::new(shared), log))
}

/// Starts every worker, or none is left running: the process ends with the error.
fn start(
    shared: &Arc<Shared>,
    log: &AccessLogWriter,
    bound: Bound,
    cpus: &[Option<usize>],
    drain: &watch::Receiver<Option<Instant>>,
    generation: u16,
) -> Result<Vec<JoinHandle<std::io::Result<()>>>, Failure> {
    let mut workers = Vec::new();
    for (index, (sockets, cpu)) in bound.sockets.into_iter().zip(cpus).enumerate() {
        let cells = shared.telemetry.worker(index);
        let start = Start {
            index,
            generation,
            log: log.worker(Arc::clone(&cells)),
            cells,
            cpu: *cpu,
            sockets,
            shared: Arc::clone(shared),
            drain: drain.clone(),
        };
        workers.push(start.spawn().map_err(work("worker"))?);
    }
    Ok(workers)
}

fn join(workers: Vec<JoinHandle<std::io::Result<()>>>) -> Result<(), String> {
    let mut failure = None;
    for worker in workers {
        match worker.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failure = Some(format!("worker: {error}")),
            Err(_) => failure = Some("a worker panicked".into()),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// What an operator tells the process.
struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; true if a worker ended by itself before. SIGHUP meanwhile
    /// reopens the access log, which has been rotated.
    async fn end(
        &mut self,
        workers: &[JoinHandle<std::io::Result<()>>],
        log: &AccessLogWriter,
    ) -> bool {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = self.hangup.recv() => log.reopen(),
                _ = self.interrupt.recv() => return false,
                _ = self.terminate.recv() => return false,
                _ = look.tick() => {
                    if workers.iter().any(JoinHandle::is_finished) {
                        tracing::error!("a worker ended by itself");
                        return true;
                    }
                }
            }
        }
    }
}

fn announce(shared: &Shared, addresses: &[SocketAddr], admin: SocketAddr) {
    for (front, address) in shared.listeners.iter().zip(addresses) {
        tracing::info!(listener = &*front.name, %address, "serving");
    }
    tracing::info!(address = %admin, "serving metrics and health");
}

fn ready_facts(shared: &Shared, addresses: &[SocketAddr], admin: SocketAddr) -> serde_json::Value {
    let listeners: serde_json::Map<_, _> = shared
        .listeners
        .iter()
        .zip(addresses)
        .map(|(front, address)| (front.name.to_string(), address.to_string().into()))
        .collect();
    serde_json::json!({
        "listeners": listeners,
        "admin": admin.to_string(),
        "pid": std::process::id(),
    })
}

fn log_fault(config: &Config, error: &std::io::Error) -> Failure {
    let origin = Origin {
        file: config.admin.1.file.clone(),
        line: 0,
        key: "log.access".into(),
    };
    let target = match &config.log.access {
        config::AccessLog::File(path) => path.display().to_string(),
        other => format!("{other:?}"),
    };
    let message = format!("cannot open {target}: {error}; expected a file that can be appended to");
    Failure::Config(origin.fault(message).into())
}

fn faults(diagnostics: Vec<Diagnostic>) -> Failure {
    Failure::Config(ConfigError { diagnostics })
}

fn work(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Work(format!("{what}: {error}"))
}

/// The number of a process without a predecessor, if it can choose.
const FIRST_GENERATION: u16 = 0;

/// How often the control thread looks after the workers.
const LOOK: Duration = Duration::from_secs(1);

/// How long the log's last lines may take.
const LOG_LIMIT: Duration = Duration::from_secs(5);
