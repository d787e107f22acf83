//! Metrics and health, on a listener of their own (nothing here is reachable from the front).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wire::Method;
use wire::h1::{HeadEnd, parse_request, push_field, push_status_line};

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

    /// Serves until cancelled; one request for each connection.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(Arc::clone(&self).connection(stream, peer.ip()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed on the admin listener");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream, peer: IpAddr) {
        let served = timeout(LIMIT, async {
            let answer = match read_head(&mut stream).await? {
                Some(head) => self.answer(head),
                None => return Ok(()),
            };
            stream.write_all(&answer).await?;
            stream.shutdown().await
        });
        match served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "admin connection"),
            Err(_) => tracing::debug!(%peer, "admin connection timed out"),
        }
    }

    fn answer(&self, head: Bytes) -> BytesMut {
        let Ok(request) = parse_request(head, Vec::new()) else {
            return render(400, "Bad Request", TEXT, "bad request\n", false);
        };
        let head_only = request.head.method() == Method::Head;
        if !matches!(request.head.method(), Method::Get | Method::Head) {
            return render(
                405,
                "Method Not Allowed",
                TEXT,
                "only GET and HEAD\n",
                head_only,
            );
        }
        match request.head.path() {
            b"/healthz" => render(200, "OK", TEXT, "ok\n", head_only),
            b"/metrics" => {
                let metrics = self.telemetry.render();
                render(200, "OK", Telemetry::CONTENT_TYPE, &metrics, head_only)
            }
            b"/readyz" if self.ready.load(Ordering::Relaxed) => {
                render(200, "OK", TEXT, "ready\n", head_only)
            }
            b"/readyz" => render(503, "Service Unavailable", TEXT, "draining\n", head_only),
            _ => {
                let paths = "try /metrics, /healthz or /readyz\n";
                render(404, "Not Found", TEXT, paths, head_only)
            }
        }
    }
}

/// Reads one head; `None` if the peer ends or sends something else.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Bytes>> {
    let mut buffer = BytesMut::with_capacity(4096);
    let mut end = HeadEnd::default();
    while buffer.len() < MAX_HEAD && stream.read_buf(&mut buffer).await? > 0 {
        match end.find(&buffer) {
            Ok(Some(length)) => return Ok(Some(buffer.split_to(length).freeze())),
            Ok(None) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn render(status: u16, reason: &str, content_type: &str, body: &str, head_only: bool) -> BytesMut {
    let mut out = BytesMut::with_capacity(256 + body.len());
    push_status_line(&mut out, status, reason.as_bytes());
    push_field(&mut out, b"Content-Type", content_type.as_bytes());
    push_field(
        &mut out,
        b"Content-Length",
        body.len().to_string().as_bytes(),
    );
    push_field(&mut out, b"Cache-Control", b"no-store");
    push_field(&mut out, b"Connection", b"close");
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
    out
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
const TEXT: &str = "text/plain; charset=utf-8";
