//! Metrics and health, on a listener of their own (nothing here is reachable from the front).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;

use crate::guarded::View;
use crate::operator_http::{self, Page};
use crate::telemetry::Telemetry;

/// The admin service.
#[derive(Debug)]
pub(crate) struct Admin {
    telemetry: Arc<Telemetry>,
    state: Mutex<State>,
}

/// What readiness is made of.
#[derive(Debug, Default)]
struct State {
    serving: bool,
    guard: Option<View>,
}

impl Admin {
    /// A service that is not ready yet.
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            telemetry,
            state: Mutex::default(),
        })
    }

    /// Says whether new requests are served; false while the process drains.
    pub(crate) fn set_serving(&self, serving: bool) {
        let mut state = self.state();
        state.serving = serving;
        self.telemetry.set_ready(state.is_ready());
    }

    /// Says what the guard does; never called where none is configured.
    pub(crate) fn set_guard(&self, view: &View) {
        let mut state = self.state();
        state.guard = Some(view.clone());
        self.telemetry.set_guard_up(view.holds);
        self.telemetry.set_ready(state.is_ready());
    }

    /// Serves until cancelled.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        operator_http::serve(listener, move |path| std::future::ready(self.page(&path))).await;
    }

    fn page(&self, path: &[u8]) -> Page {
        match path {
            b"/healthz" => Page::text(200, "OK", "ok\n"),
            b"/metrics" => Page::metrics(self.telemetry.render()),
            b"/readyz" => self.state().page(),
            _ => Page::text(404, "Not Found", "try /metrics, /healthz or /readyz\n"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.serving && self.guard.as_ref().is_none_or(|guard| guard.suffices)
    }

    fn page(&self) -> Page {
        let mut body = match (self.is_ready(), self.serving) {
            (true, _) => "ready\n".to_owned(),
            (false, true) => String::new(),
            (false, false) => "draining\n".to_owned(),
        };
        if let Some(guard) = &self.guard {
            body.push_str(&format!("guard: {}\n", guard.text));
        }
        if self.is_ready() {
            Page::text(200, "OK", body)
        } else {
            Page::text(503, "Service Unavailable", body)
        }
    }
}
