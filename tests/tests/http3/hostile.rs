//! Clients and back-ends that know the protocol, and mean no good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, Backend, CONNECT, HANDSHAKE, Http3, Http3Stream, Request, SWITCHING, poll,
};
use quinn::{TransportConfig, VarInt};

use crate::narrow::Narrow;
use crate::{EXCESSIVE_LOAD, INTERNAL_ERROR, NO_ERROR, gateway, setup};

#[test]
fn a_client_that_moves_is_who_it_was() {
    let backend = Backend::recording();
    let gateway = setup(&backend).line("gateway", "workers = 1").start();
    let client = gateway.http3();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    client.move_to("127.0.0.2".parse().unwrap());
    for _ in 0..3 {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    for received in backend.take() {
        assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(received.field("x-real-ip"), Some("127.0.0.1"));
    }
}

#[test]
fn an_early_answer_is_whole() {
    let backend = Backend::scripted(|conn| {
        let Some(_) = conn.head() else { return };
        conn.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n");
        conn.send(&[b'x'; 300_000]);
        conn.read_out();
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let request = Request::new("POST", "/").by(&ALICE);
    for _ in 0..20 {
        let mut stream = client.begin(&request);
        stream.begin_data(1 << 30);
        let _ = stream.try_send_raw(&[b'y'; 400_000]);
        let answer = stream.read_answer().unwrap().expect(413);
        assert_eq!(answer.body.len(), 300_000);
        let stopped = stream.send.stopped();
        let code = client.wait("the upload is stopped", stopped).unwrap();
        assert_eq!(code.map(VarInt::into_inner), Some(NO_ERROR));
    }
}

#[test]
fn only_an_upgrade_opens_a_tunnel() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let answer = match request.target.as_str() {
                "/ok" => "200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "/partial" => "206 Partial Content\r\nContent-Length: 5\r\n\r\nhello",
                "/empty" => "204 No Content\r\n\r\n",
                _ => "404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
            };
            conn.send(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for (target, status) in [
        ("/ok", 502),
        ("/partial", 502),
        ("/empty", 502),
        ("/refused", 404),
    ] {
        let request = Request::get(target).by(&ALICE).fields(HANDSHAKE);
        let answer = client.begin(&request).read_answer().unwrap();
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        client.ask(&Request::get("/ok").by(&ALICE)).expect(200);
    }
    // By HTTP/1.1 no answer but a 101 looks like one.
    let request = Request::get("/ok").by(&ALICE).fields(HANDSHAKE);
    gateway.ask(&request).expect(200);
}

#[test]
fn a_head_that_nobody_takes_holds_no_back_end() {
    let gone = Arc::new(AtomicU64::new(0));
    let counter = gone.clone();
    let backend = Backend::scripted(move |conn| {
        let Some(request) = conn.head() else { return };
        if request.target == "/ws" {
            conn.send(SWITCHING);
        } else {
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        }
        conn.read_out();
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let gateway = setup(&backend).line("timeouts", "body = \"300ms\"").start();
    let mut transport = TransportConfig::default();
    // As much as the settings take, and no head.
    transport.stream_receive_window(VarInt::from_u32(16));
    let client =
        Http3::quiet_with(gateway.address(), gateway.http3_tls(), CONNECT, transport).unwrap();
    let mut hints = client.begin(&Request::get("/hints").by(&ALICE));
    hints.finish();
    poll::until("the back-end is left alone", || {
        (gone.load(Ordering::SeqCst) == 1).then_some(())
    });
    let request = Request::get("/ws").by(&ALICE).fields(HANDSHAKE);
    let _tunnel = client.begin(&request);
    poll::until("the back-end is left alone", || {
        (gone.load(Ordering::SeqCst) == 2).then_some(())
    });
}

#[test]
fn broken_messages_are_given_up_requests() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let bystander = gateway.http3();
    bystander.ask(&Request::get("/").by(&ALICE)).expect(200);
    let broken = Request::new("POST", "/").by(&ALICE);
    let broken = broken.field("Content-Length", "1");
    let client = gateway.http3();
    for _ in 0..1000 {
        let Some(mut stream) = client.try_begin(&broken) else {
            break;
        };
        // A byte too many; or the connection is over.
        let _ = stream.try_send_raw(&[0x00, 0x02, b'a', b'b']);
    }
    assert_eq!(client.closed(), EXCESSIVE_LOAD);
    // Streams with nothing on them.
    let client = gateway.http3();
    for _ in 0..1000 {
        let Some(mut stream) = client.try_open() else {
            break;
        };
        let _ = stream.send.finish();
    }
    assert_eq!(client.closed(), EXCESSIVE_LOAD);
    bystander.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn streams_of_no_use_are_bounded() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    // One for each request is nobody's harm.
    for _ in 0..300 {
        drop(client.say(&[0x21]));
        client.ask(&Request::get("/")).expect(401);
    }
    let connection = client.connection().clone();
    client.wait("the flood ends", async move {
        for _ in 0..2000 {
            let Ok(mut stream) = connection.open_uni().await else {
                return;
            };
            // They end at once, so that there is room for more.
            let _ = stream.write_all(&[0x21]).await;
        }
    });
    assert_eq!(client.closed(), EXCESSIVE_LOAD);
}

#[test]
fn a_length_that_no_frame_has_is_refused() {
    let backend = Backend::scripted(|conn| {
        if let Some(request) = conn.request() {
            let length = request.target.trim_start_matches('/');
            // DATA with two bytes, if it is not the payload of a frame.
            conn.send(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n\0\x02no").as_bytes(),
            );
            conn.close();
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let ask = |length: u64| client.try_ask(&Request::get(&format!("/{length}")).by(&ALICE));
    assert!(ask((1 << 62) - 1).is_err());
    let answer = ask(1 << 62).unwrap();
    answer.expect_json(502);
    let answer = ask(4).unwrap();
    assert_eq!(answer.expect(200).body, b"\0\x02no");
}

#[test]
fn a_connection_whose_answers_break_off_is_renewed() {
    let backend = Backend::scripted(|conn| {
        if let Some(request) = conn.request() {
            let broken = request.target == "/broken";
            let length = if broken { 100 } else { 4 };
            conn.send(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhalf").as_bytes(),
            );
            conn.close();
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let ok = Request::get("/").by(&ALICE);
    let broken = Request::get("/broken").by(&ALICE);
    client.ask(&ok).expect(200);
    for round in 0..8 {
        let streams: Vec<_> = (0..64).map(|_| client.begin(&broken)).collect();
        for (index, mut stream) in streams.into_iter().enumerate() {
            stream.finish();
            assert_eq!(stream.reset(), INTERNAL_ERROR, "{round}, {index}");
        }
    }
    assert_eq!(client.closed(), NO_ERROR);
    gateway.http3().ask(&ok).expect(200);
}

#[test]
fn a_slow_network_gets_its_answer_also_in_a_drain() {
    let backend = Backend::scripted(|conn| {
        while conn.request().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            conn.send(&[b'z'; 1_000_000]);
        }
    });
    let mut gateway = gateway(&backend);
    let network = Narrow::to(gateway.address(), 250_000);
    let client = Http3::connect(network.address, gateway.http3_tls(), CONNECT);
    let mut stream = client.begin(&Request::get("/").by(&ALICE));
    stream.finish();
    gateway.logged("the request", |line| line["path"] == "/");
    gateway.terminate();
    gateway.said(&["draining"]);
    let answer = stream.read_answer().unwrap().expect(200);
    assert_eq!(answer.body.len(), 1_000_000);
    assert_eq!(client.closed(), NO_ERROR);
    assert!(gateway.wait().success());
}

#[test]
fn downloads_share_a_narrow_network() {
    let site = endless();
    let gateway = gateway(&site);
    let network = Narrow::to(gateway.address(), 2_000_000);
    let client = Http3::connect(network.address, gateway.http3_tls(), CONNECT);
    share(&client, 5);
}

/// Its own window stops it, and not what the connection has room for.
#[test]
fn downloads_share_beside_one_that_nobody_reads() {
    let site = endless();
    let gateway = gateway(&site);
    let network = Narrow::to(gateway.address(), 2_000_000);
    let client = Http3::connect(network.address, gateway.http3_tls(), CONNECT);
    let _unread = download(&client);
    // As much as the client's window for one stream, which is quinn's.
    let labels = [("direction", "out")];
    let carried = || {
        let datagrams = gateway
            .metrics()
            .sum("connect_gateway_udp_datagrams_total", &labels);
        datagrams as u64
    };
    poll::until("the window is full", || (carried() > 800).then_some(()));
    poll::settled("the download that nobody reads", STILL, carried);
    share(&client, 5);
}

/// A back-end whose answers have no end.
fn endless() -> Backend {
    Backend::scripted(|conn| {
        if conn.head().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\n\r\n");
            while conn.send(&[b'z'; 65536]) {}
        }
    })
}

fn download(client: &Http3) -> Http3Stream<'_> {
    let mut stream = client.begin(&Request::get("/").by(&ALICE));
    stream.finish();
    stream
}

/// Has several downloads at once, and fails the test unless all have their share before any has much
/// more.
#[track_caller]
fn share(client: &Http3, downloads: usize) {
    // More than what is on its way at once, of each.
    const SHARE: u64 = 800_000;
    let streams: Vec<_> = (0..downloads).map(|_| download(client)).collect();
    let over = AtomicBool::new(false);
    let received: Vec<_> = streams.iter().map(|_| AtomicU64::new(0)).collect();
    let shares = std::thread::scope(|scope| {
        for (mut stream, received) in streams.into_iter().zip(&received) {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let bytes = stream.read().unwrap().expect("no end");
                    received.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                }
                drop(stream);
            });
        }
        let started = Instant::now();
        let shares = loop {
            std::thread::sleep(Duration::from_millis(10));
            let shares = received.iter().map(|one| one.load(Ordering::SeqCst));
            let shares: Vec<_> = shares.collect();
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            if *least > SHARE || *most > 4 * SHARE || started.elapsed() > poll::patience() {
                break shares;
            }
        };
        over.store(true, Ordering::SeqCst);
        shares
    });
    println!("{shares:?}");
    assert!(shares.iter().all(|share| *share > SHARE), "{shares:?}");
}

/// How long what stands still is looked at.
const STILL: Duration = Duration::from_millis(500);
