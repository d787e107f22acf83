//! The generator over HTTP/3, against a server of the test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;

use bytes::BytesMut;
use gateway_bench::order::{Order, Protocol, Work};
use gateway_bench::place::Place;
use gateway_bench::tls::{self, Pair};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig,
};
use wire::h3::{HeadWriter, push_data_header};

use super::{BIG, CONNECTIONS, Dir, load, request};

#[test]
fn each_kind_of_work_is_done() {
    let server = Server::start("http3-work", |_| Reply::Answer(200, 70_000, 70_000));
    let upload = format!("Content-Length: {BIG}\r\n");
    let closed = Work::Closed { milliseconds: 300 };
    let new = Work::Handshakes {
        milliseconds: 300,
        resumed: false,
    };
    for (method, fields, body, work) in [
        ("GET", "", 0, closed),
        ("POST", &*upload, BIG, closed),
        ("GET", "", 0, new),
    ] {
        let order = Order {
            requests: vec![request(method, "/x", fields, body, 200)],
            ..server.order(work)
        };
        let outcome = load(&order).unwrap();
        let what = format!("{method} {work:?}: {outcome:?}");
        assert_eq!((outcome.errors, &outcome.first_error), (0, &None), "{what}");
        assert!(outcome.done >= CONNECTIONS.into(), "{what}");
        assert_eq!(outcome.bytes, outcome.done * (70_000 + body), "{what}");
        assert!(outcome.latency.is_some(), "{what}");
        // Of what was exchanged before the work there are datagrams too.
        let datagrams = outcome.datagrams.unwrap();
        assert!(datagrams.received > outcome.done * 70_000 / MOST, "{what}");
        assert!(datagrams.sent > outcome.done * body / MOST, "{what}");
    }
    // The server would send more at once, and looked whether it can.
    let largest = u64::from(server.largest.load(Relaxed));
    assert!((1201..=MOST).contains(&largest), "{largest}");
}

#[test]
fn as_many_requests_as_ordered_are_under_way() {
    let server = Server::start("http3-streams", |_| Reply::Answer(200, 1, 1));
    let all = STREAMS * CONNECTIONS;
    server.held.store(all, Relaxed);
    // The server answers nothing before so many are there.
    let outcome = load(&server.order(Work::Closed { milliseconds: 500 })).unwrap();
    assert_eq!(outcome.errors, 0, "{outcome:?}");
    assert!(outcome.done >= all.into(), "{outcome:?}");
}

#[test]
fn a_wrong_answer_is_told_and_no_work_begins() {
    for (reply, expected) in [
        (Reply::Answer(503, 0, 0), "answered 503, not 200"),
        (
            Reply::Answer(200, 4, 3),
            "a body of 3 bytes that should have 4",
        ),
        (
            Reply::Answer(200, 3, 4),
            "a body of 4 bytes that should have 3",
        ),
        (Reply::Close, "closed by peer"),
    ] {
        let server = Server::start("http3-wrong", move |_| reply);
        let error = load(&server.order(Work::Closed { milliseconds: 100 })).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_goes_wrong_is_an_error_among_others() {
    for (wrong, expected) in [
        (Reply::Answer(500, 0, 0), "answered 500, not 200"),
        (
            Reply::Answer(200, 4, 3),
            "a body of 3 bytes that should have 4",
        ),
        (Reply::Close, "closed by peer"),
    ] {
        let server = Server::start("http3-turns", move |count| match count % 10 {
            9 => wrong,
            _ => Reply::Answer(200, 3, 3),
        });
        let outcome = load(&server.order(Work::Closed { milliseconds: 500 })).unwrap();
        // After a connection that was closed there are others.
        assert!(outcome.done > 20 && outcome.errors > 0, "{outcome:?}");
        let error = outcome.first_error.unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_never_answered_is_an_error_and_holds_nobody_up() {
    let server = Server::start("http3-never", |count| match count {
        ..=CONNECTIONS => Reply::Answer(200, 3, 3),
        _ => Reply::Never,
    });
    let outcome = load(&server.order(Work::Closed { milliseconds: 100 })).unwrap();
    assert!(outcome.errors > 0, "{outcome:?}");
    assert!(outcome.first_error.unwrap().contains("not answered"));
}

#[test]
fn what_is_not_done_over_http3_is_said() {
    let server = Server::start("http3-not", |_| Reply::Answer(200, 0, 0));
    let hold = Work::Hold { tunnels: false };
    let error = load(&server.order(hold)).unwrap_err();
    assert!(error.contains("not over HTTP/3"), "{error}");
}

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Reply {
    /// Answers with a status, a length, and a body of another length.
    Answer(u16, u64, usize),
    /// Closes the connection.
    Close,
    /// Leaves it.
    Never,
}

/// A server that serves as long as the test runs.
struct Server {
    address: SocketAddr,
    place: Place,
    _dir: Dir,
    /// The largest datagram, in bytes, that it found it can send.
    largest: Arc<AtomicU32>,
    /// How many requests it waits for before it goes on answering, those before the work not counted.
    held: Arc<AtomicU32>,
}

impl Server {
    fn start(name: &str, reply: impl Fn(u32) -> Reply + Send + Sync + 'static) -> Self {
        let dir = Dir::new(name);
        let place = Place::make(&dir.0).unwrap();
        let mut tls = tls::server(&Pair::of(place.directory(), "server")).unwrap();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let tls = QuicServerConfig::try_from(tls).unwrap();
        let mut config = ServerConfig::with_crypto(Arc::new(tls));
        let mut transport = TransportConfig::default();
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(9000);
        transport.mtu_discovery_config(Some(discovery));
        config.transport_config(Arc::new(transport));
        let (largest, held) = (Arc::default(), Arc::default());
        let state = Arc::new(State {
            reply: Box::new(reply),
            count: AtomicU32::new(0),
            largest: Arc::clone(&largest),
            held: Arc::clone(&held),
            waiting: tokio::sync::Notify::new(),
        });
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let mut own = EndpointConfig::default();
                own.max_udp_payload_size(65_527).unwrap();
                let endpoint =
                    Endpoint::new(own, Some(config), socket, Arc::new(TokioRuntime)).unwrap();
                sender.send(endpoint.local_addr().unwrap()).unwrap();
                while let Some(incoming) = endpoint.accept().await {
                    let state = Arc::clone(&state);
                    tokio::spawn(async move {
                        if let Ok(connection) = incoming.await {
                            serve(&connection, &state).await;
                        }
                    });
                }
            });
        });
        Self {
            address: receiver.recv().unwrap(),
            place,
            _dir: dir,
            largest,
            held,
        }
    }

    fn order(&self, work: Work) -> Order {
        Order {
            streams: STREAMS,
            protocol: Protocol::H3,
            ..super::order(
                &self.place,
                self.address,
                vec![request("GET", "/", "", 0, 200)],
                work,
            )
        }
    }
}

struct State {
    reply: Box<dyn Fn(u32) -> Reply + Send + Sync>,
    count: AtomicU32,
    largest: Arc<AtomicU32>,
    held: Arc<AtomicU32>,
    waiting: tokio::sync::Notify,
}

async fn serve(connection: &Connection, state: &Arc<State>) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let (connection, state) = (connection.clone(), Arc::clone(state));
        tokio::spawn(async move {
            receive.read_to_end(1 << 20).await.unwrap_or_default();
            let count = state.count.fetch_add(1, Relaxed);
            let awaited = CONNECTIONS + state.held.load(Relaxed);
            if awaited > CONNECTIONS && count >= CONNECTIONS {
                let all_here = state.waiting.notified();
                if count + 1 >= awaited {
                    state.waiting.notify_waiters();
                } else {
                    all_here.await;
                }
            }
            let (status, length, body) = match (state.reply)(count) {
                Reply::Answer(status, length, body) => (status, length, body),
                Reply::Close => return connection.close(0x102_u32.into(), b""),
                Reply::Never => std::future::pending().await,
            };
            let mut out = BytesMut::new();
            let mut head = HeadWriter::answer(&mut out, status);
            head.field(b"content-length", length.to_string().as_bytes());
            head.finish();
            if body > 0 {
                push_data_header(&mut out, body as u64);
                out.resize(out.len() + body, b'd');
            }
            // The generator may have gone.
            if send.write_all(&out).await.is_ok() {
                send.finish().unwrap_or_default();
            }
            let mtu = u32::from(connection.stats().path.current_mtu);
            state.largest.fetch_max(mtu, Relaxed);
        });
    }
}

const STREAMS: u32 = 2;
/// What Ethernet has room for.
const MOST: u64 = 1472;
