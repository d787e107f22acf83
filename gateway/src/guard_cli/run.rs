//! `guard run`: the service as a process, with its metrics beside it.

use std::net::SocketAddr;

use config::{ConfigError, Level};
use guard::control::{Answer, Ask, Asker, Reply};
use guard::service::{Prepared, Start, StartError};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{RunArgs, metrics, translate};
use crate::cli::Failure;
use crate::listen::bind_admin;
use crate::operator_http::{self, Page};
use crate::{logging, ready_file};

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
    let listener = bind_admin(&config.metrics).map_err(ConfigError::from)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(work("runtime"))?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(work("metrics listener"))?;
        let address = listener.local_addr().map_err(work("metrics listener"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(work("signals"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(work("signals"))?;

        let service = prepared.attach().map_err(|error| environment(&error))?;
        let state = service.status().state.as_str();
        tracing::info!(state, metrics = %address, socket = %config.socket.display(), "guarding");
        tokio::spawn(serve_metrics(listener, service.asker()));
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

fn ready(socket: &str, metrics: SocketAddr, state: &str) -> serde_json::Value {
    serde_json::json!({
        "socket": socket,
        "metrics": metrics.to_string(),
        "pid": std::process::id(),
        "state": state,
    })
}

async fn serve_metrics(listener: TcpListener, asker: Asker) {
    operator_http::serve(listener, move |path| {
        let asker = asker.clone();
        async move { page(&path, &asker).await }
    })
    .await;
}

async fn page(path: &[u8], asker: &Asker) -> Page {
    match path {
        b"/healthz" => Page::text(200, "OK", "ok\n"),
        b"/metrics" => match asker.ask(Ask::Status).await {
            Reply::Ok(Answer::Status(status)) => Page::metrics(metrics::render(&status)),
            Reply::Ok(Answer::Explanation(_)) => {
                Page::text(500, "Internal Server Error", "another answer\n")
            }
            Reply::Error(error) => Page::text(503, "Service Unavailable", format!("{error}\n")),
        },
        _ => Page::text(404, "Not Found", "try /metrics or /healthz\n"),
    }
}

fn environment(error: &StartError) -> Failure {
    Failure::Environment(format!("guard: {error}"))
}

fn work(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Work(format!("guard: {what}: {error}"))
}
