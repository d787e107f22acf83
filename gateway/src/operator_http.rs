//! Small HTTP for operators: one GET or HEAD for each connection, answered from memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::h1::{HeadEnd, parse_request, push_field, push_status_line};
use wire::{Head, Method};

/// What is answered.
#[derive(Debug)]
pub(crate) struct Page {
    status: (u16, &'static str),
    content_type: &'static str,
    body: String,
}

impl Page {
    /// A page of plain text.
    pub(crate) fn text(status: u16, reason: &'static str, body: impl Into<String>) -> Self {
        Self {
            status: (status, reason),
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// Its status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status.0
    }

    /// Metrics in Prometheus's text format.
    pub(crate) fn metrics(body: String) -> Self {
        Self {
            status: (200, "OK"),
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body,
        }
    }
}

/// Serves until cancelled. `page` is called with the path of each GET and HEAD.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    page: impl Fn(Bytes) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Page> + Send,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut failures: u32 = 0;
    loop {
        // Anybody on the host may connect. What they hold must not take the process's last
        // descriptors: the rest waits in the kernel.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                failures = 0;
                let page = page.clone();
                tokio::spawn(async move {
                    let peer = peer.ip();
                    match timeout(LIMIT, connection(stream, page)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "operator's connection"),
                        Err(_) => tracing::debug!(%peer, "operator's connection timed out"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // A lack of descriptors may last: not a line for each attempt.
                failures = failures.saturating_add(1);
                if failures.is_power_of_two() {
                    tracing::warn!(%error, failures, "accept failed on an operator's listener");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<F: Future<Output = Page>>(
    mut stream: TcpStream,
    page: impl Fn(Bytes) -> F,
) -> std::io::Result<()> {
    // A silent peer takes a place; those of all are few.
    let Some(head) = timeout(HEAD_LIMIT, read_head(&mut stream)).await?? else {
        return Ok(());
    };
    let mut head_only = false;
    let page = match parse_request(head, Vec::new()) {
        Err(_) => Page::text(400, "Bad Request", "bad request\n"),
        Ok(request) => match request.head.method() {
            method @ (Method::Get | Method::Head) => {
                head_only = method == Method::Head;
                page(path(&request.head)).await
            }
            _ => Page::text(405, "Method Not Allowed", "only GET and HEAD\n"),
        },
    };
    let body = if head_only { "" } else { &page.body };
    let mut answer = head_of(&page).chain(body.as_bytes());
    stream.write_all_buf(&mut answer).await?;
    stream.shutdown().await
}

fn path(head: &Head) -> Bytes {
    Bytes::copy_from_slice(head.path())
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

fn head_of(page: &Page) -> BytesMut {
    let (status, reason) = page.status;
    let mut out = BytesMut::with_capacity(256);
    push_status_line(&mut out, status, reason.as_bytes());
    push_field(&mut out, b"Content-Type", page.content_type.as_bytes());
    push_field(
        &mut out,
        b"Content-Length",
        page.body.len().to_string().as_bytes(),
    );
    push_field(&mut out, b"Cache-Control", b"no-store");
    push_field(&mut out, b"Connection", b"close");
    out.extend_from_slice(b"\r\n");
    out
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(1);
/// For a whole connection.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
const MAX_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    /// As many as there are places: who asks waits for them no longer than for a head.
    #[tokio::test]
    async fn silent_peers_do_not_keep_others_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = |_| async { Page::text(200, "OK", "ok\n") };
        let serving = tokio::spawn(serve(listener, page));
        let mut silent = Vec::new();
        for index in 0..MAX_CONNECTIONS {
            let mut peer = TcpStream::connect(address).await.unwrap();
            // Some say a little.
            if index % 2 == 0 {
                peer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            }
            silent.push(peer);
        }
        let started = Instant::now();
        let mut asking = TcpStream::connect(address).await.unwrap();
        let question = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        asking.write_all(question).await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let waited = started.elapsed();
        assert!(waited < LIMIT / 2, "{waited:?}");
        serving.abort();
    }

    #[tokio::test]
    async fn connections_are_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let serving = tokio::spawn(serve(listener, move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        }));
        let mut clients = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 10 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
            clients.push(client);
        }
        while asked.load(Ordering::Relaxed) < MAX_CONNECTIONS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(asked.load(Ordering::Relaxed), MAX_CONNECTIONS);

        // Whoever goes makes room once its time is up.
        tokio::time::pause();
        tokio::time::advance(LIMIT).await;
        tokio::time::resume();
        while asked.load(Ordering::Relaxed) < MAX_CONNECTIONS + 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        serving.abort();
    }
}
