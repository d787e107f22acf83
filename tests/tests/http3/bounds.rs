//! What a client may do to the gateway, and to others: little.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway_tests::harness::bulk::MIB;
use gateway_tests::harness::{ALICE, Backend, Http3, Lossy, Request, scale};
use gateway_tests::harness::{CONNECT, poll};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use tokio::runtime::Builder;

use crate::{
    CLOSED_CRITICAL_STREAM, FRAME_UNEXPECTED, ID_ERROR, MISSING_SETTINGS, NO_ERROR,
    QPACK_DECOMPRESSION_FAILED, QPACK_ENCODER_STREAM_ERROR, REQUEST_INCOMPLETE, SETTINGS_ERROR,
    STREAM_CREATION_ERROR, gateway, setup,
};

#[test]
fn many_requests_at_once_are_answered() {
    const MANY: usize = 1000;
    let go = Arc::new(AtomicBool::new(false));
    let flag = go.clone();
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.request() {
            if request.target == "/wait" {
                poll::until("the back-end may answer", || {
                    flag.load(Ordering::SeqCst).then_some(())
                });
            }
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = setup(&backend)
        .line("limits", "http3_streams = 2000")
        .line("gateway", "workers = 1")
        .start();
    let client = gateway.http3();
    let request = Request::get("/wait").field("Cookie", &{
        let answer = client.ask(&Request::get("/").by(&ALICE)).expect(200);
        let cookie = answer.field("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    });
    backend.one();
    let resident = gateway.reset_peak_memory();
    let whole = |_| {
        let mut stream = client.begin(&request);
        stream.finish();
        stream
    };
    let streams: Vec<_> = (0..MANY).map(whole).collect();
    // None is answered before all are there.
    poll::until("the gateway has all requests", || {
        let streams = "connect_gateway_http3_streams_total";
        (gateway.metrics().sum(streams, &[]) as usize > MANY).then_some(())
    });
    go.store(true, Ordering::SeqCst);
    for mut stream in streams {
        stream.read_answer().unwrap().expect(200);
    }
    assert_eq!(backend.take().len(), MANY);
    let grown = gateway.peak_memory().saturating_sub(resident);
    println!("{grown} bytes more resident at the peak");
    assert!(grown < MANY as u64 * 40 * 1024, "{grown} bytes");
}

#[test]
fn a_slow_reader_holds_the_back_end_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let backend = Backend::scripted(move |conn| {
        let Some(request) = conn.head() else { return };
        if request.target == "/" {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
        conn.send(b"HTTP/1.1 200 OK\r\n\r\n");
        let part = vec![b'x'; 65536];
        while conn.send(&part) {
            counter.fetch_add(part.len() as u64, Ordering::SeqCst);
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    let resident = gateway.reset_peak_memory();
    let mut stream = client.begin(&Request::get("/flood").by(&ALICE));
    stream.finish();
    let read = || sent.load(Ordering::SeqCst);
    let stalled = poll::settled("the back-end's writing", Duration::from_millis(700), read);
    assert!(stalled > 65536, "{stalled}");
    assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
    let grown = gateway.peak_memory().saturating_sub(resident);
    assert!(grown < 8 * MIB, "{grown} bytes more memory");
    // Another request on the same connection is not held up by it.
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    poll::until("the back-end goes on", || {
        // Each is a packet's.
        for _ in 0..100 {
            stream.read().unwrap().expect("no end");
        }
        (read() > stalled + MIB).then_some(())
    });
}

/// QUIC keeps what is not acknowledged: of a trickle, no more than what trickled.
#[test]
fn small_pieces_keep_no_large_memory() {
    let (go, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (flag, counter) = (go.clone(), sent.clone());
    let pieces = scale(4000, 20_000);
    let backend = Backend::scripted(move |conn| {
        let Some(request) = conn.head() else { return };
        assert_eq!(request.target, "/trickle");
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nx");
        poll::until("the client is mute", || {
            flag.load(Ordering::SeqCst).then_some(())
        });
        for _ in 0..pieces {
            assert!(conn.send(b"a small piece"));
            counter.fetch_add(1, Ordering::SeqCst);
            // So that each is read by itself, mostly.
            std::thread::sleep(Duration::from_micros(200));
        }
        conn.read_out();
    });
    let gateway = gateway(&backend);
    let network = Lossy::to(gateway.address(), 1500);
    let client = Http3::connect(network.address(), gateway.http3_tls(), CONNECT);
    let mut stream = client.begin(&Request::get("/trickle").by(&ALICE));
    assert!(stream.read().unwrap().is_some());
    network.mute();
    let resident = gateway.reset_peak_memory();
    go.store(true, Ordering::SeqCst);
    poll::until("all is sent", || {
        (sent.load(Ordering::SeqCst) == pieces).then_some(())
    });
    let still = Duration::from_millis(300);
    let taken = poll::settled("memory", still, || gateway.peak_memory());
    let grown = taken.saturating_sub(resident);
    assert!(
        grown < pieces * 1024,
        "{grown} bytes more for {pieces} pieces"
    );
}

#[test]
fn a_back_end_that_takes_nothing_holds_the_client_back() {
    let go = Arc::new(AtomicBool::new(false));
    let flag = go.clone();
    let backend = Backend::scripted(move |conn| {
        let Some(request) = conn.head() else { return };
        poll::until("the back-end may read", || {
            flag.load(Ordering::SeqCst).then_some(())
        });
        let length: u64 = request.field("content-length").unwrap().parse().unwrap();
        assert!(conn.skip(length));
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let length = scale(64, 1024) * MIB;
    let resident = gateway.reset_peak_memory();
    let request = Request::new("POST", "/").by(&ALICE);
    let request = request.field("Content-Length", &length.to_string());
    let mut stream = client.begin(&request);
    let sent = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (counter, stream) = (sent.clone(), &mut stream);
        scope.spawn(move || {
            stream.begin_data(length);
            let part = vec![b'y'; MIB as usize];
            for _ in 0..length / MIB {
                stream.send_raw(&part);
                counter.fetch_add(MIB, Ordering::SeqCst);
            }
            stream.finish();
        });
        let stalled = poll::settled("the client's sending", Duration::from_millis(700), || {
            sent.load(Ordering::SeqCst)
        });
        assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
        go.store(true, Ordering::SeqCst);
    });
    stream.read_answer().unwrap().expect(200);
    let grown = gateway.peak_memory().saturating_sub(resident);
    assert!(grown < 12 * MIB, "{grown} bytes more memory");
}

#[test]
fn a_request_that_is_given_up_frees_its_back_end() {
    let gone = Arc::new(AtomicU64::new(0));
    let counter = gone.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_some() {
            conn.read_out();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for round in 1..=3 {
        let stream = client.begin(&Request::get("/").by(&ALICE));
        poll::until("the back-end has the request", || {
            (backend.connections() as u64 == round).then_some(())
        });
        stream.cancel();
        poll::until("the back-end is left alone", || {
            (gone.load(Ordering::SeqCst) == round).then_some(())
        });
    }
    let labels = [("direction", "in"), ("code", "H3_REQUEST_CANCELLED")];
    gateway.counted("connect_gateway_http3_resets_total", &labels, 3.0);
}

#[test]
fn broken_rules_have_their_codes() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let bystander = gateway.http3();
    // Frames are written by hand: type, length, payload (RFC 9114 §7.1).
    let on_control: &[(&[u8], u64)] = &[
        // SETTINGS twice; DATA; HEADERS; MAX_PUSH_ID that shrinks; a reserved type; a setting of HTTP/2.
        (&[0x00, 0x04, 0x00, 0x04, 0x00], FRAME_UNEXPECTED),
        (&[0x00, 0x04, 0x00, 0x00, 0x00], FRAME_UNEXPECTED),
        (&[0x00, 0x04, 0x00, 0x01, 0x00], FRAME_UNEXPECTED),
        (
            &[0x00, 0x04, 0x00, 0x0d, 0x01, 0x07, 0x0d, 0x01, 0x06],
            ID_ERROR,
        ),
        (&[0x00, 0x04, 0x00, 0x06, 0x00], FRAME_UNEXPECTED),
        (&[0x00, 0x04, 0x02, 0x02, 0x00], SETTINGS_ERROR),
        // Something before SETTINGS.
        (&[0x00, 0x07, 0x01, 0x00], MISSING_SETTINGS),
        // A push stream.
        (&[0x01, 0x00], STREAM_CREATION_ERROR),
        // An insertion into a table that has no room.
        (&[0x02, 0x40, 0x00], QPACK_ENCODER_STREAM_ERROR),
    ];
    for (bytes, code) in on_control {
        let client = Http3::quiet(gateway.address(), gateway.http3_tls(), CONNECT).unwrap();
        let _open = client.say(bytes);
        assert_eq!(client.closed(), *code, "{bytes:x?}");
    }
    // A second control stream; the end of the first.
    let client = gateway.http3();
    let _open = client.say(&[0x00]);
    assert_eq!(client.closed(), STREAM_CREATION_ERROR);
    let client = Http3::quiet(gateway.address(), gateway.http3_tls(), CONNECT).unwrap();
    client.say(&[0x00, 0x04, 0x00]).finish().unwrap();
    assert_eq!(client.closed(), CLOSED_CRITICAL_STREAM);
    // An unknown one is none of our business.
    let client = gateway.http3();
    let _open = client.say(&[0x21, 1, 2, 3]);
    client.ask(&Request::get("/").by(&ALICE)).expect(200);

    let on_request: &[(&[u8], u64)] = &[
        // DATA before HEADERS; SETTINGS; a reserved type; a reference to the dynamic table.
        (&[0x00, 0x01, 0x61], FRAME_UNEXPECTED),
        (&[0x04, 0x00], FRAME_UNEXPECTED),
        (&[0x02, 0x00], FRAME_UNEXPECTED),
        (&[0x01, 0x03, 0x02, 0x00, 0x80], QPACK_DECOMPRESSION_FAILED),
    ];
    for (bytes, code) in on_request {
        let client = gateway.http3();
        let mut stream = client.open();
        stream.send_raw(bytes);
        assert_eq!(client.closed(), *code, "{bytes:x?}");
        let labels = [("direction", "out"), ("listener", "public")];
        gateway.counted("connect_gateway_http3_resets_total", &labels, 1.0);
    }
    // A stream without a head concerns nobody else.
    let client = gateway.http3();
    let mut stream = client.open();
    stream.finish();
    assert_eq!(stream.reset(), REQUEST_INCOMPLETE);
    client.ask(&Request::get("/").by(&ALICE)).expect(200);

    bystander.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn a_half_head_is_not_waited_for() {
    let backend = Backend::recording();
    let gateway = setup(&backend).line("timeouts", "head = \"300ms\"").start();
    let client = gateway.http3();
    let mut stream = client.open();
    stream.send_raw(&[0x01]);
    stream.read_answer().unwrap().expect_json(408);
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn resets_are_counted_by_their_codes() {
    let backend = Backend::scripted(|conn| {
        conn.read_out();
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let resets = "connect_gateway_http3_resets_total";
    for (code, name) in [
        (0x10c, "H3_REQUEST_CANCELLED"),
        (0x102, "H3_INTERNAL_ERROR"),
        (0x100, "H3_NO_ERROR"),
        (0x4242, "other"),
    ] {
        let labels = [("direction", "in"), ("code", name)];
        let before = gateway.metrics().sum(resets, &labels);
        let stream = client.begin(&Request::get("/").by(&ALICE));
        let known = backend.connections();
        poll::until("the back-end has it", || {
            (backend.connections() >= known.max(1)).then_some(())
        });
        stream.cancel_with(code);
        gateway.counted(resets, &labels, before + 1.0);
    }
    // A connection's count as well.
    let other = gateway.http3();
    other
        .connection()
        .close(quinn::VarInt::from_u32(0x101), b"");
    let labels = [("direction", "in"), ("code", "H3_GENERAL_PROTOCOL_ERROR")];
    gateway.counted(resets, &labels, 1.0);
}

#[test]
fn who_stops_in_the_middle_is_given_up() {
    let backend = Backend::recording();
    let gateway = setup(&backend).line("timeouts", "body = \"300ms\"").start();
    let client = gateway.http3();
    let mut stream = client.begin(&Request::new("POST", "/").by(&ALICE));
    stream.send_data(b"half");
    stream.read_answer().unwrap().expect_json(408);
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn connections_have_their_places() {
    let backend = Backend::recording();
    let gateway = setup(&backend)
        .line("limits", "connections_per_address = 2")
        .start();
    let client = gateway.http3();
    let tcp = gateway.client();
    // Both are of one address, whatever they speak.
    let full = Http3::try_connect(gateway.address(), gateway.http3_tls(), CONNECT);
    assert!(full.is_err());
    let labels = [("reason", "address"), ("listener", "public")];
    gateway.counted("connect_gateway_connections_refused_total", &labels, 1.0);
    drop(tcp);
    poll::until("a place is free", || {
        Http3::try_connect(gateway.address(), gateway.http3_tls(), CONNECT).ok()
    });
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn an_address_is_proven_where_that_is_asked_for() {
    let backend = Backend::recording();
    let gateway = setup(&backend)
        .line("limits", "http3_handshakes = 0")
        .start();
    let client = gateway.http3();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    gateway.counted("connect_gateway_http3_retries_total", &[], 1.0);
    gateway.counted("connect_gateway_http3_handshakes_total", &[], 1.0);
    let usual = self::gateway(&backend);
    usual.http3().ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(
        usual
            .metrics()
            .sum("connect_gateway_http3_retries_total", &[]),
        0.0
    );
}

/// Whoever writes packets in another's name gets no answer, and proves nothing.
#[test]
fn who_pretends_to_have_an_address_leaves_it_places() {
    const PLACES: usize = 20;
    let backend = Backend::recording();
    let gateway = setup(&backend)
        .line("gateway", "workers = 1")
        .line("limits", &format!("connections_per_address = {PLACES}"))
        .start();
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    ours.set_read_timeout(Some(poll::patience())).unwrap();
    let tls = QuicClientConfig::try_from(gateway.http3_tls()).unwrap();
    let config = ClientConfig::new(Arc::new(tls));
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = ours.local_addr().unwrap();
    let mut datagram = [0; 1500];
    // Kept, so that none says that it is over.
    let _begun: Vec<_> = (0..4 * PLACES)
        .map(|_| {
            let begun = endpoint.connect_with(config.clone(), address, CONNECT);
            let length = ours.recv(&mut datagram).unwrap();
            ours.send_to(&datagram[..length], gateway.address())
                .unwrap();
            begun.unwrap()
        })
        .collect();
    poll::until("all have come", || {
        let came = "connect_gateway_udp_datagrams_total";
        let came = gateway.metrics().sum(came, &[("direction", "in")]);
        (came as usize >= 4 * PLACES).then_some(())
    });
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    gateway
        .http3()
        .ask(&Request::get("/").by(&ALICE))
        .expect(200);
    let retries = "connect_gateway_http3_retries_total";
    assert!(gateway.metrics().sum(retries, &[]) > 0.0);
    let refused = "connect_gateway_connections_refused_total";
    assert_eq!(gateway.metrics().sum(refused, &[]), 0.0);
}

#[test]
fn an_idle_connection_is_told_to_go() {
    let backend = Backend::recording();
    let gateway = setup(&backend).line("timeouts", "idle = \"500ms\"").start();
    let client = gateway.http3();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(client.closed(), NO_ERROR);
}

#[test]
fn a_drain_finishes_what_was_begun() {
    let go = Arc::new(AtomicBool::new(false));
    let flag = go.clone();
    let backend = Backend::scripted(move |conn| {
        while conn.request().is_some() {
            poll::until("the back-end may answer", || {
                flag.load(Ordering::SeqCst).then_some(())
            });
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
            conn.send(&[b'z'; 300_000]);
        }
    });
    let mut gateway = gateway(&backend);
    let client = gateway.http3();
    let mut stream = client.begin(&Request::get("/").by(&ALICE));
    stream.finish();
    poll::until("the back-end has the request", || {
        (backend.requests().len() == 1).then_some(())
    });
    gateway.terminate();
    gateway.said(&["draining"]);
    // Nothing new is taken; it may be sent again elsewhere.
    let mut late = client.begin(&Request::get("/late").by(&ALICE));
    late.finish();
    assert!(late.is_rejected());
    go.store(true, Ordering::SeqCst);
    let answer = stream.read_answer().unwrap().expect(200);
    assert_eq!(answer.body.len(), 300_000);
    assert_eq!(client.closed(), NO_ERROR);
    assert!(gateway.wait().success());
}
