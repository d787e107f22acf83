//! What a client says on its control stream, and that it may not stop saying it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use gateway_tests::harness::{
    ALICE, Backend, CONNECT, Gateway, HANDSHAKE, Http3, Http3Stream, OK, Request, SWITCHING, poll,
};
use quinn::{SendStream, VarInt};
use wire::h3::Settings;

use crate::floods::one_worker;
use crate::narrow::Narrow;
use crate::{CLOSED_CRITICAL_STREAM, ID_ERROR, INTERNAL_ERROR, gateway};

#[test]
fn streams_that_must_not_end_end_their_connection() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let bystander = gateway.http3();
    // Control, and those of QPACK's encoder and decoder (RFC 9114 §6.2.1, RFC 9204 §4.2).
    for begin in [&[0x00, 0x04, 0x00][..], &[0x02], &[0x03]] {
        let client = quiet(&gateway);
        client.say(begin).finish().unwrap();
        assert_eq!(client.closed(), CLOSED_CRITICAL_STREAM, "{begin:?} ends");

        let client = quiet(&gateway);
        let mut stream = client.say(begin);
        // What a reset overtakes has never been there, the type included.
        heard(&client);
        stream.reset(VarInt::from_u32(0x100)).unwrap();
        assert_eq!(
            client.closed(),
            CLOSED_CRITICAL_STREAM,
            "{begin:?} is reset"
        );
    }
    // The gateway's own.
    let client = gateway.http3();
    let connection = client.connection().clone();
    client.wait("the gateway's control stream", async move {
        let mut stream = connection.accept_uni().await.unwrap();
        stream.stop(VarInt::from_u32(0x100)).unwrap();
    });
    assert_eq!(client.closed(), CLOSED_CRITICAL_STREAM, "it is stopped");
    bystander.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn heads_that_a_client_does_not_take_are_not_sent() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            if request.target == "/hints" {
                let hint = format!(
                    "HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n",
                    "h".repeat(2000)
                );
                conn.send(hint.as_bytes());
            }
            if request.target == "/ws" {
                let (line, rest) = SWITCHING.split_at("HTTP/1.1 101 Switching Protocols\r\n".len());
                let large = format!("X-Large: {}\r\n", "w".repeat(2000));
                conn.send(&[line, large.as_bytes(), rest].concat());
                // The gateway leaves, since nobody takes what was opened.
                conn.read_out();
                return;
            }
            let large = match request.target.as_str() {
                "/large" => "l".repeat(2000),
                _ => String::new(),
            };
            let head =
                format!("HTTP/1.1 200 OK\r\nX-Large: {large}\r\nContent-Length: 2\r\n\r\nok");
            conn.send(head.as_bytes());
        }
    });
    let gateway = gateway(&backend);
    let (client, _control) = client_that_takes(&gateway, Some(2000));
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    for request in [
        Request::get("/large").by(&ALICE),
        Request::get("/ws").by(&ALICE).fields(HANDSHAKE),
    ] {
        client.ask(&request).expect_json(502);
    }
    // An interim answer is not needed.
    let answer = client.ask(&Request::get("/hints").by(&ALICE)).expect(200);
    assert_eq!(answer.interim, []);
    let line = gateway.logged("the refusal", |line| line["path"] == "/large");
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&502.into(), &"answer_too_large".into())
    );
    let refusals = [("reason", "answer_too_large")];
    gateway.counted("connect_gateway_refusals_total", &refusals, 2.0);
    // It is no fault of the back-end's.
    let errors = "connect_gateway_upstream_errors_total";
    assert_eq!(gateway.metrics().sum(errors, &[]), 0.0);

    // Who takes nothing gets nothing.
    let (client, _control) = client_that_takes(&gateway, Some(50));
    let mut stream = client.begin(&Request::get("/"));
    stream.finish();
    assert_eq!(stream.reset(), INTERNAL_ERROR);

    // Who does not say takes all, by whatever protocol.
    for answer in [
        gateway.http3().ask(&Request::get("/large").by(&ALICE)),
        gateway.ask(&Request::get("/large").by(&ALICE)),
    ] {
        assert_eq!(
            answer.expect(200).field("x-large").map(str::len),
            Some(2000)
        );
    }
}

#[test]
fn the_more_urgent_answer_comes_first() {
    let site = TwoParts::start();
    let gateway = one_worker(&site.backend);
    let network = Narrow::to(gateway.address(), RATE);
    let client = Http3::quiet(network.address, gateway.http3_tls(), CONNECT).unwrap();
    let _control = introduce(&client, None);
    let session = session(&client);
    let other = begin(&client, &session, "u=6");
    let urgent = begin(&client, &session, "u=0");
    let share = site.share_until_whole(&gateway, urgent, other);
    assert!(share < LENGTH / 2, "{share} bytes of the other one before");
}

#[test]
fn an_answer_becomes_more_urgent_when_the_client_says_so() {
    let site = TwoParts::start();
    let gateway = one_worker(&site.backend);
    let network = Narrow::to(gateway.address(), RATE);
    let client = Http3::quiet(network.address, gateway.http3_tls(), CONNECT).unwrap();
    let mut control = introduce(&client, None);
    let session = session(&client);
    let first = begin(&client, &session, "u=1");
    let second = begin(&client, &session, "u=6");
    // PRIORITY_UPDATE (RFC 9218 §7.1), for a stream whose answer has begun.
    let stream = (0x8000_0000 | u64::from(second.send.id()) as u32).to_be_bytes();
    let update = [&[0x80, 0x0f, 0x07, 0x00, 0x07][..], &stream, b"u=0"].concat();
    client.write(&mut control, &update).unwrap();
    heard(&client);
    let share = site.share_until_whole(&gateway, second, first);
    assert!(share < LENGTH / 2, "{share} bytes of the other one before");
}

#[test]
fn a_priority_may_not_be_of_a_stream_that_there_cannot_be() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let update = |stream: u32| {
        let stream = (0x8000_0000 | stream).to_be_bytes();
        [
            &[0x00, 0x04, 0x00, 0x80, 0x0f, 0x07, 0x00, 0x07][..],
            &stream,
            b"u=1",
        ]
        .concat()
    };
    // 128 streams may be open at once (RFC 9218 §7.2).
    let client = quiet(&gateway);
    let _control = client.say(&update(127 * 4));
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    let client = quiet(&gateway);
    let _control = client.say(&update(128 * 4));
    assert_eq!(client.closed(), ID_ERROR);
}

/// A client that has said nothing.
fn quiet(gateway: &Gateway) -> Http3 {
    Http3::quiet(gateway.address(), gateway.http3_tls(), CONNECT).unwrap()
}

/// A client, with its control stream.
fn client_that_takes(
    gateway: &Gateway,
    max_field_section_size: Option<u64>,
) -> (Http3, SendStream) {
    let client = quiet(gateway);
    let control = introduce(&client, max_field_section_size);
    (client, control)
}

/// Opens the client's control stream.
fn introduce(client: &Http3, max_field_section_size: Option<u64>) -> SendStream {
    let mut bytes = BytesMut::new();
    let settings = Settings {
        max_field_section_size,
        enable_connect_protocol: false,
    };
    settings.push_control_stream(&mut bytes);
    let control = client.say(&bytes);
    heard(client);
    control
}

/// Waits until the gateway has read what was sent so far: what is asked later, twice, is answered.
fn heard(client: &Http3) {
    for _ in 0..2 {
        let mut stream = client.begin(&Request::get("/"));
        stream.finish();
        // Whatever it says.
        let _answered = stream.read_answer();
    }
}

/// Logs in; the session's cookie.
fn session(client: &Http3) -> String {
    let answer = client.ask(&Request::get("/").by(&ALICE)).expect(200);
    let cookie = answer.field("set-cookie").expect("a session");
    cookie.split(';').next().unwrap().to_owned()
}

/// A back-end that begins its answers, and goes on with them when it is told to.
struct TwoParts {
    backend: Backend,
    go: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
}

impl TwoParts {
    fn start() -> Self {
        let (go, written) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (flag, counter): (_, Arc<AtomicUsize>) = (go.clone(), Arc::clone(&written));
        let backend = Backend::scripted(move |conn| {
            while let Some(request) = conn.request() {
                if request.target != "/two-parts" {
                    conn.send(OK);
                    continue;
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
                conn.send(head.as_bytes());
                conn.send(&[b'1'; PART]);
                poll::until("the back-end may go on", || {
                    flag.load(Ordering::SeqCst).then_some(())
                });
                for _ in 1..LENGTH / PART {
                    conn.send(&[b'2'; PART]);
                    counter.fetch_add(PART, Ordering::SeqCst);
                }
            }
        });
        Self {
            backend,
            go,
            written,
        }
    }

    /// Has two answers go on at once, and reads both until the first is whole: how much there was of
    /// the other by then.
    fn share_until_whole(
        &self,
        gateway: &Gateway,
        mut first: Http3Stream<'_>,
        mut other: Http3Stream<'_>,
    ) -> usize {
        // When the gateway goes on, there is of both what the kernel keeps for it, which is far more
        // than QUIC sends before it hears anything.
        gateway.pause();
        self.go.store(true, Ordering::SeqCst);
        let written = || self.written.load(Ordering::SeqCst);
        let kept = poll::settled(
            "the back-end's writing",
            Duration::from_millis(100),
            written,
        );
        assert!(kept >= LENGTH / 2, "{kept}");
        gateway.resume();
        let share = AtomicUsize::new(PART);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Some(piece) = other.piece() {
                    share.fetch_add(piece.len(), Ordering::SeqCst);
                }
            });
            let mut length = PART;
            while let Some(piece) = first.piece() {
                length += piece.len();
            }
            let share = share.load(Ordering::SeqCst);
            assert_eq!(length, LENGTH);
            println!("{share} bytes of the other one before");
            share
        })
    }
}

/// Asks for an answer of two parts, as urgent as that, and waits for its beginning.
fn begin<'c>(client: &'c Http3, session: &str, priority: &str) -> Http3Stream<'c> {
    let request = Request::get("/two-parts").field("Cookie", session);
    let mut stream = client.begin(&request.field("Priority", priority));
    stream.finish();
    assert_eq!(stream.status(), 200);
    let mut length = 0;
    while length < PART {
        length += stream.piece().expect("no end").len();
    }
    assert_eq!(length, PART);
    stream
}

/// Of a network on which an answer takes longer than anything that threads do, in bytes a second.
const RATE: u64 = 500_000;

/// An answer of two parts.
const LENGTH: usize = 50 * PART;

/// What there is of it before it stands still.
const PART: usize = 4096;
