//! HTTP/3 clients, on quinn and the gateway's own codec: as much as the programs of a benchmark
//! need.
//!
//! Paths are as on Ethernet: no datagram is larger than its 1500 bytes leave room for, whatever
//! loopback would carry.

mod request;
mod socket;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, NoneTokenStore, RecvStream, SendStream, TokioRuntime,
    TransportConfig, VarInt,
};
use rustls::pki_types::CertificateDer;
use wire::h3::{Code, Event, Message, Settings, Side, parse_answer};
use wire::head::AnswerHead;

pub use self::request::Request;
use self::socket::{Count, Counted};
use crate::order::{Datagrams, Group};
use crate::tls;

/// Who makes connections to one server, on some sockets.
pub struct Client {
    endpoints: Vec<Endpoint>,
    /// Which of them has the next connection.
    next: Cell<usize>,
    config: ClientConfig,
    address: SocketAddr,
    name: String,
    count: Arc<Count>,
}

impl Client {
    /// Clients of the server at `address`, whose certificate has that name and is signed by an
    /// authority in `ca`. They offer one key exchange and one cipher, and no two connections have
    /// anything to do with each other. To be called in a runtime of tokio's.
    ///
    /// A socket is shared by the connections that are made on it in turn: servers tell them apart by
    /// their IDs, and here fewer system calls are needed.
    pub fn new(
        address: SocketAddr,
        name: &str,
        ca: &Path,
        group: Group,
        sockets: usize,
    ) -> Result<Self> {
        let tls = tls::http3_client(ca, group)?;
        let tls = QuicClientConfig::with_initial(Arc::new(tls), tls::quic_initial()?)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config
            .transport_config(Arc::new(transport()))
            .token_store(Arc::new(NoneTokenStore));
        let count = Arc::new(Count::default());
        let endpoint = || {
            let mut config = EndpointConfig::default();
            // What servers may send, as the handshake tells them (RFC 9000 §18.2).
            config.max_udp_payload_size(MAX_DATAGRAM)?;
            let socket = Counted::bind(address.ip(), Arc::clone(&count))?;
            let socket = Arc::new(socket);
            Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
                .context("no endpoint")
        };
        Ok(Self {
            endpoints: (0..sockets.max(1))
                .map(|_| endpoint())
                .collect::<Result<_>>()?,
            next: Cell::new(0),
            config,
            address,
            name: name.to_owned(),
            count,
        })
    }

    /// A new connection, whose control stream is open (RFC 9114 §6.2.1).
    pub async fn connect(&self) -> Result<Connection> {
        let at = self.next.get();
        self.next.set((at + 1) % self.endpoints.len());
        let endpoint = self.endpoints.get(at).context("no endpoint")?;
        let config = self.config.clone();
        let quic = endpoint
            .connect_with(config, self.address, &self.name)?
            .await;
        let quic = quic.with_context(|| format!("no QUIC with {}", self.address))?;
        let mut control = quic.open_uni().await.context("no control stream")?;
        let mut bytes = BytesMut::new();
        Settings::default().push_control_stream(&mut bytes);
        control
            .write_chunk(bytes.freeze())
            .await
            .context("no settings")?;
        Ok(Connection {
            quic,
            _control: control,
            arena: RefCell::default(),
        })
    }

    /// All datagrams so far.
    pub fn datagrams(&self) -> Datagrams {
        self.count.so_far()
    }

    /// Closes all connections, and ends when the server has been told.
    pub async fn end(&self) {
        for endpoint in &self.endpoints {
            endpoint.close(no_error(), b"");
        }
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
    }
}

/// A connection, on which any number of requests may be under way. Dropped, it is closed; the server
/// hears of that soon.
pub struct Connection {
    quic: quinn::Connection,
    /// Neither side may end its own (RFC 9114 §6.2.1).
    _control: SendStream,
    /// The memory of answers' heads.
    arena: RefCell<BytesMut>,
}

impl Connection {
    /// Sends a request and takes the whole answer, which must be the right one; the bytes of
    /// payload, both ways.
    pub async fn exchange(&self, request: &Request) -> Result<u64> {
        let mut received = 0;
        let expect = request.expect;
        let right = |status| {
            ensure!(status == expect, "answered {status}, not {expect}");
            Ok(())
        };
        self.carry(request, right, |data| received += data.len() as u64)
            .await?;
        Ok(request.body + received)
    }

    /// Sends a request and takes the whole answer: its status and its body. Any status will do.
    pub async fn ask(&self, request: &Request) -> Result<(u16, Vec<u8>)> {
        let mut body = Vec::new();
        let status = self
            .carry(request, |_| Ok(()), |data| body.extend_from_slice(&data))
            .await?;
        Ok((status, body))
    }

    /// The server's own certificate.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        let identity = self.quic.peer_identity()?;
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        chain.into_iter().next()
    }

    /// Whether it can be used no more.
    pub fn is_over(&self) -> bool {
        self.quic.close_reason().is_some()
    }

    /// Sends a request; shows the status of its answer to `judge`, and what comes of its body to
    /// `take`. A body that is not as long as its head says is an error.
    async fn carry(
        &self,
        request: &Request,
        judge: impl Fn(u16) -> Result<()>,
        mut take: impl FnMut(Bytes),
    ) -> Result<u16> {
        let (mut send, mut receive) = self.quic.open_bi().await.context("no stream")?;
        request.send(&mut send).await.context("cannot send")?;
        let mut answer = Message::new(Side::Client, MAX_SECTION);
        let mut head: Option<(u16, Option<u64>)> = None;
        let mut received = 0;
        let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
        while let Some(count) = read(&mut receive, &mut chunks).await? {
            for chunk in chunks.iter_mut().take(count) {
                loop {
                    match answer.read(chunk)? {
                        Event::Data(data) => {
                            received += data.len() as u64;
                            take(data);
                        }
                        Event::Head(section) => {
                            let (status, length) = self.head(&section)?;
                            if status < 200 {
                                answer.expect_final_head();
                            } else {
                                judge(status)?;
                                head = Some((status, length));
                            }
                        }
                        Event::NeedMore => break,
                        Event::TooLarge => bail!("an answer whose head is too large"),
                        Event::Trailers(_) => {}
                    }
                }
            }
        }
        answer.end()?;
        let (status, length) = head.context("an answer without a head")?;
        match length {
            Some(length) if length != received => {
                bail!("a body of {received} bytes that should have {length}")
            }
            _ => Ok(status),
        }
    }

    /// Status, and length of the body if it is said.
    fn head(&self, section: &[u8]) -> Result<(u16, Option<u64>)> {
        let mut arena = self.arena.borrow_mut();
        let head = parse_answer(section, MAX_SECTION as u64, &mut arena, Vec::new())?;
        Ok((head.status(), length(&head)?))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.quic.close(no_error(), b"");
    }
}

async fn read(receive: &mut RecvStream, chunks: &mut [Bytes]) -> Result<Option<usize>> {
    receive.read_chunks(chunks).await.context("no answer")
}

fn length(head: &AnswerHead) -> Result<Option<u64>> {
    let Some(length) = head.fields().only(wire::Name::ContentLength) else {
        return Ok(None);
    };
    let length = str::from_utf8(length)?.parse();
    Ok(Some(length.context("a content-length that is no number")?))
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        // The path is known. Looking for it would be packets full of padding, which few clients send
        // on a connection that they need for one request.
        .initial_mtu(MAX_DATAGRAM)
        .mtu_discovery_config(None)
        .stream_receive_window(WINDOW)
        .receive_window(WINDOW)
        // A server has none to open (RFC 9114 §6.1).
        .max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport
}

fn no_error() -> VarInt {
    // The codes are constants, and small.
    VarInt::from_u64(Code::NoError.value()).unwrap_or(VarInt::MAX)
}

/// Of Ethernet's 1500 bytes IPv4 and UDP take 28.
const MAX_DATAGRAM: u16 = 1472;
/// What a server may send of a connection ahead of what was read: less than a socket's buffer holds,
/// so that nothing is lost.
const WINDOW: VarInt = VarInt::from_u32(1 << 20);
/// How many pieces of an answer are taken at once.
const CHUNKS: usize = 32;
/// The largest head that is read.
const MAX_SECTION: usize = 64 * 1024;
