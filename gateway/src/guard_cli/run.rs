//! `guard run`: the service as a process, with its metrics beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostic, Level, Origin};
use guard::control::{Ask, Asker};
use guard::service::{Prepared, Start, StartError};
use guard::{Finding, Severity};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::page::Pages;
use super::{RunArgs, translate};
use crate::cli::Failure;
use crate::listen::bind_admin;
use crate::{logging, operator_http, ready_file};

/// Runs the service until a signal. Whatever must fail, fails before anything is attached.
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let config = config::load_guard(&args.config)?;
    logging::start(Level::Info);
    let prepared = Prepared::new(Start {
        rules: translate::rules(&config),
        mode: translate::mode(&config),
        socket: config.socket.clone(),
        override_file: config.override_file,
        pins: (!args.unpinned).then_some(config.pins),
        programs: args.programs,
        allow_unproven_kernel: config.allow_unproven_kernel,
        statistics: config.statistics,
    })
    .map_err(|error| environment(&error))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(work("runtime"))?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(work("signals"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(work("signals"))?;

        let service = prepared.attach().map_err(|error| environment(&error))?;
        // Anybody on the host can take the port first. That must not keep the guard from guarding.
        let listener = listen(&config.metrics);
        service.beside().send_replace(unbound(&listener));
        let address = listener.as_ref().ok().map(|(_, address)| *address);
        let state = service.status().state.as_str();
        tracing::info!(
            state,
            metrics = address.map(tracing::field::display),
            socket = %config.socket.display(),
            "guarding"
        );
        let (asker, beside) = (service.asker(), service.beside());
        tokio::spawn(serve_metrics(config.metrics, listener, asker, beside));
        if let Some(path) = &args.ready_file {
            let ready = ready(&config.socket.to_string_lossy(), address, state);
            ready_file::write(path, &ready).map_err(work("ready file"))?;
        }
        guard::notify::ready().map_err(work("telling systemd"))?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        service.run(stop).await.map_err(work("control socket"))?;
        tracing::info!("the service ends; what is pinned stays");
        Ok(())
    })
}

fn ready(socket: &str, metrics: Option<SocketAddr>, state: &str) -> serde_json::Value {
    serde_json::json!({
        "socket": socket,
        "metrics": metrics.map(|address| address.to_string()),
        "pid": std::process::id(),
        "state": state,
    })
}

/// Serves until cancelled; while the address cannot be bound, tries again and again.
async fn serve_metrics(
    address: (SocketAddr, Origin),
    mut listener: Result<(TcpListener, SocketAddr), Diagnostic>,
    asker: Asker,
    beside: watch::Sender<Option<Finding>>,
) {
    if let Err(fault) = &listener {
        tracing::warn!(finding = UNBOUND, "{fault}");
    }
    let listener = loop {
        match listener {
            Ok((listener, _)) => break listener,
            Err(_) => sleep(REBIND).await,
        }
        listener = listen(&address);
        if let Ok((_, address)) = &listener {
            beside.send_replace(None);
            tracing::info!(metrics = %address, "the metrics have their address");
        }
    };
    let pages = Arc::new(Pages::new(move || {
        let asker = asker.clone();
        async move { asker.ask(Ask::Status).await }
    }));
    operator_http::serve(listener, move |path| {
        let pages = Arc::clone(&pages);
        async move { pages.at(&path).await }
    })
    .await;
}

fn listen(address: &(SocketAddr, Origin)) -> Result<(TcpListener, SocketAddr), Diagnostic> {
    let listener = bind_admin(address)?;
    let fault = |error| {
        address
            .1
            .fault(format!("cannot listen on {}: {error}", address.0))
    };
    let bound = listener.local_addr().map_err(fault)?;
    let listener = TcpListener::from_std(listener).map_err(fault)?;
    Ok((listener, bound))
}

fn unbound(listener: &Result<(TcpListener, SocketAddr), Diagnostic>) -> Option<Finding> {
    listener.as_ref().err().map(|fault| Finding {
        name: UNBOUND,
        severity: Severity::Warning,
        message: format!("{fault}; it is tried again every second"),
    })
}

fn environment(error: &StartError) -> Failure {
    Failure::Environment(format!("guard: {error}"))
}

fn work(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Work(format!("guard: {what}: {error}"))
}

/// How long an address that cannot be bound is left alone.
const REBIND: Duration = Duration::from_secs(1);
const UNBOUND: &str = "metrics_unbound";
