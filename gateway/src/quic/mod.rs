//! QUIC: an endpoint for each worker and listener that serves HTTP/3, on a UDP socket of its own.
//!
//! Everything of it runs on the worker's thread: quinn spawns its drivers with `tokio::spawn`, whose
//! tasks have no other thread to go to in a `LocalRuntime`.

mod accept;
mod apart;
mod ids;
mod socket;

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use accept::accept;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{hkdf, hmac};
use config::Listener;
use gateway_ebpf::connection_id::{Home, Keys};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{HandshakeTokenKey, HmacKey};
use quinn::{Endpoint, EndpointConfig, ServerConfig, TransportConfig, VarInt};

use wire::h3::Code;

use self::apart::Apart;
use self::ids::Ids;
use self::socket::OnWorker;
use crate::buffers::Size;
use crate::telemetry::Cells;

/// What the QUIC connections of a process are known by; drawn at its start.
#[derive(Clone)]
pub(crate) struct Secrets {
    ids: Keys,
    reset: Arc<dyn HmacKey>,
    token: Arc<dyn HandshakeTokenKey>,
}

impl Secrets {
    /// Draws new ones. All workers share them: a packet that reaches the wrong one must not end a
    /// connection, and an address that was proven to one is proven to all.
    pub(crate) fn draw() -> io::Result<Self> {
        let conceal = [number()?, number()?];
        let prove = [number()?, number()?];
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &random::<64>()?);
        let token = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&random::<64>()?);
        Ok(Self {
            ids: Keys::new(conceal, prove),
            reset: Arc::new(reset),
            token: Arc::new(token),
        })
    }

    /// The keys of connection IDs.
    pub(crate) fn ids(&self) -> &Keys {
        &self.ids
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// A listener's HTTP/3.
#[derive(Clone, Debug)]
pub(crate) struct Http3 {
    server: ServerConfig,
    /// How many handshakes of one worker there may be without a proven address.
    handshakes: usize,
}

impl Http3 {
    /// HTTP/3 for a listener that so many workers serve.
    pub(crate) fn new(
        listener: &Listener,
        tls: Arc<QuicServerConfig>,
        secrets: &Secrets,
        workers: usize,
    ) -> Self {
        let mut server = ServerConfig::new(tls, Arc::clone(&secrets.token));
        server
            .transport_config(Arc::new(transport(listener)))
            .max_incoming(MOST_INCOMING)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFER * MOST_INCOMING as u64);
        let workers = workers.max(1);
        let handshakes = listener.limits.http3_handshakes as usize;
        // Whoever pretends to have an address leaves it half of its places, over all workers.
        let of_address = listener.limits.connections_per_address as usize / 2;
        Self {
            server,
            handshakes: handshakes.div_ceil(workers).min(of_address / workers),
        }
    }

    /// Serves on a worker's socket; to be called on its thread. `index` is the listener's.
    pub(crate) fn endpoint(
        &self,
        secrets: &Secrets,
        home: Home,
        socket: UdpSocket,
        cells: &Arc<Cells>,
        index: usize,
    ) -> io::Result<Endpoint> {
        let keys = secrets.ids;
        let mut config = EndpointConfig::new(Arc::clone(&secrets.reset));
        let counting = Arc::clone(cells);
        config.cid_generator(move || Box::new(Ids::new(keys, home, Arc::clone(&counting), index)));
        let runtime = Arc::new(OnWorker::new(Arc::clone(cells), index));
        Endpoint::new(config, Some(self.server.clone()), socket, runtime)
    }
}

/// A code as QUIC has it.
pub(crate) fn wire_code(code: Code) -> VarInt {
    // The codes are constants, and small.
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

fn transport(listener: &Listener) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(listener.limits.http3_streams.into())
        .max_concurrent_uni_streams(MOST_UNI_STREAMS)
        .stream_receive_window(STREAM_WINDOW)
        .receive_window(RECEIVE_WINDOW)
        .send_window(SEND_WINDOW)
        // A client that is there answers; how long it may be silent with nothing to say is ours to
        // decide, and not QUIC's, since an app may think for an hour.
        .max_idle_timeout(Some(GONE.into()))
        .keep_alive_interval(Some(KEEPALIVE))
        .datagram_receive_buffer_size(None);
    transport
}

fn number() -> io::Result<u64> {
    Ok(u64::from_le_bytes(random()?))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Payload is kept as the slice that it was received in, until it is acknowledged, if it has so many
/// bytes; else it is copied.
pub(crate) const COPIED: usize = Size::Large.bytes() / 8;

/// The most bytes that a connection may hold, both ways, beyond [`STREAM`] for each of its requests: what
/// came and was not read, which quinn lets take 5/2 of its size in memory; what was written and not
/// acknowledged, each slice of which may keep a whole buffer; and its own state
/// (`tests/tests/overload/http3.rs`).
pub(crate) const CONNECTION: usize = (RECEIVE_WINDOW.into_inner() * 5 / 2) as usize
    + SEND_WINDOW as usize * (Size::Large.bytes() / COPIED)
    + IDLE;

/// What quinn may hold for a stream, beyond its part of the windows, before it copies what came in many
/// packets.
pub(crate) const STREAM: usize = 32 << 10;

/// A connection without requests, beyond what one of TCP takes.
const IDLE: usize = 64 << 10;

/// What an endpoint holds: what one call of the system receives, 32 datagrams of it apart, and new
/// connections.
pub(crate) const ENDPOINT: usize =
    Apart::MEMORY + 32 * 1472 + INCOMING_BUFFER as usize * MOST_INCOMING;

/// What a client may send of one request ahead of the back-end.
const STREAM_WINDOW: VarInt = VarInt::from_u32(1 << 20);
/// … and of all requests on a connection.
const RECEIVE_WINDOW: VarInt = VarInt::from_u32(2 << 20);
/// What may be on its way to a client.
const SEND_WINDOW: u64 = 2 << 20;

/// Control and QPACK streams, and some of unknown types (RFC 9114 §6.2, §6.2.3).
const MOST_UNI_STREAMS: VarInt = VarInt::from_u32(8);

/// A client of which nothing is heard for so long is gone, in milliseconds.
const GONE: VarInt = VarInt::from_u32(60_000);

/// How often it is asked: three times before it is given up, and before common middleboxes forget
/// a UDP flow, after 30 s.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// New connections that a worker has not yet looked at, with what came of each.
const MOST_INCOMING: usize = 1024;
const INCOMING_BUFFER: u64 = 16 << 10;
