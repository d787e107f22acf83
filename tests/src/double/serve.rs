//! Accepts connections and leads each request from its head to its answer.

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::body::{self, Framing};
use super::digest::{Summarizer, Summary};
use super::head::{Arrival, Head};
use super::reply::Reply;
use super::stream::{Stream, finish};
use super::{Shared, api, deployr, inspect, signature, websocket};

/// What a listener serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Site {
    Connect,
    Deployr,
    Inspect,
}

impl Site {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Deployr => "deployr",
            Self::Inspect => "inspect",
        }
    }
}

/// A request, all read.
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Summary,
    /// The verdict on the deployment triple.
    pub(super) signature: Option<bool>,
}

/// Accepts until the process ends.
pub(super) fn spawn(
    listener: TcpListener,
    site: Site,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    thread::Builder::new()
        .name(site.name().to_owned())
        .spawn(move || {
            loop {
                let accepted = listener.accept().and_then(|(stream, _)| {
                    let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                    thread::Builder::new()
                        .stack_size(STACK)
                        .spawn(move || report(site, connection(stream, site, tls, &shared)))
                });
                // Out of descriptors or threads: that passes, and must not spin.
                if let Err(error) = accepted {
                    report(site, Err(error));
                    thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        })?;
    Ok(())
}

fn connection(
    tcp: TcpStream,
    site: Site,
    tls: Option<Arc<ServerConfig>>,
    shared: &Shared,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    match tls {
        None => serve(tcp, site, shared),
        Some(config) => {
            let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut tcp = tcp;
            while session.is_handshaking() {
                session.complete_io(&mut tcp)?;
            }
            serve(StreamOwned::new(session, tcp), site, shared)
        }
    }
}

fn serve(stream: impl Stream, site: Site, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    loop {
        let mut head = match Head::read(&mut reader)? {
            Arrival::Closed => return Ok(()),
            Arrival::Complete(head) => head,
            Arrival::Truncated(head) => {
                record(site, shared, &head, &Summarizer::new(false).finish(), None);
                return refuse(reader, "truncated head");
            }
        };
        if site != Site::Inspect {
            if websocket::is_upgrade(&head) {
                record(site, shared, &head, &Summarizer::new(false).finish(), None);
                return websocket::serve(reader, &head);
            }
            if let Some(reply) = early(&head) {
                record(site, shared, &head, &Summarizer::new(false).finish(), None);
                reply.write(reader.get_mut(), false, true)?;
                return finish(reader.get_mut());
            }
        }
        let framing = Framing::of(&head);
        if framing != Framing::Nothing && head.expects_continue() {
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            reader.get_mut().flush()?;
        }
        let (body, outcome) = body::read(&mut reader, framing, &mut head);
        let signature = signature::verify(&head, &body, &shared.tokens);
        record(site, shared, &head, &body, signature);
        if let Err(error) = outcome {
            return refuse(reader, &error.to_string());
        }
        let request = Request {
            head,
            body,
            signature,
        };
        let reply = match site {
            Site::Connect => api::answer(&request, shared),
            Site::Deployr => deployr::answer(&request, shared),
            Site::Inspect => inspect::answer(&request, shared),
        };
        let close = !request.head.keeps_alive();
        reply.write(reader.get_mut(), request.head.method == "HEAD", close)?;
        if close {
            return finish(reader.get_mut());
        }
    }
}

/// `/early/STATUS` is answered before its body, which is never read as such.
fn early(head: &Head) -> Option<Reply> {
    let status = head.path().strip_prefix("/early/")?.parse().ok()?;
    Some(Reply::error(status, 0, "answered before the body"))
}

fn refuse(mut reader: BufReader<impl Stream>, message: &str) -> io::Result<()> {
    Reply::error(400, 1, message).write(reader.get_mut(), false, true)?;
    finish(reader.get_mut())
}

fn record(site: Site, shared: &Shared, head: &Head, body: &Summary, signature: Option<bool>) {
    if site != Site::Inspect {
        shared.recorder.record(site.name(), head, body, signature);
    }
}

/// Failed connections are part of every test of failures: a line on standard error is enough.
fn report(site: Site, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        eprintln!("connect-double: {}: {error}", site.name());
    }
}

const BUFFER: usize = 64 << 10;
const STACK: usize = 512 << 10;
