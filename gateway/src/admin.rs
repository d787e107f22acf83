//! Metrics and health, on a listener of their own (nothing here is reachable from the front).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;

use crate::operator_http::{self, Page};
use crate::telemetry::Telemetry;

/// The admin service.
#[derive(Debug)]
pub(crate) struct Admin {
    telemetry: Arc<Telemetry>,
    ready: AtomicBool,
}

impl Admin {
    /// A service that is not ready yet.
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            telemetry,
            ready: AtomicBool::new(false),
        })
    }

    /// Says whether new requests should be sent here; false while the process drains.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        self.telemetry.set_ready(ready);
    }

    /// Serves until cancelled.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        operator_http::serve(listener, move |path| std::future::ready(self.page(&path))).await;
    }

    fn page(&self, path: &[u8]) -> Page {
        match path {
            b"/healthz" => Page::text(200, "OK", "ok\n"),
            b"/metrics" => Page::metrics(self.telemetry.render()),
            b"/readyz" if self.ready.load(Ordering::Relaxed) => Page::text(200, "OK", "ready\n"),
            b"/readyz" => Page::text(503, "Service Unavailable", "draining\n"),
            _ => Page::text(404, "Not Found", "try /metrics, /healthz or /readyz\n"),
        }
    }
}
