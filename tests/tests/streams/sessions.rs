//! Streams end with their session, whether anything moves or not. What has a length does not, nor
//! does what came with no session.

use std::thread::sleep;
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, BOB, Backend, Broken, Client, Gateway, Request, Setup, poll};

#[test]
fn a_stream_ends_with_its_session() {
    let backend = ticking();
    let gateway = sessions_of(&backend, "2s", "2s");
    let begun = Instant::now();
    let mut streams = [
        Request::get("/events"),
        Request::post("/xhr_streaming", b""),
        Request::get("/silent"),
        Request::get("/close"),
    ]
    .map(|request| open(&gateway, &request.by(&ALICE)));
    let mut old = gateway.client();
    let head = format!(
        "GET /old HTTP/1.0\r\nHost: connect.test\r\nAuthorization: {}\r\n\r\n",
        ALICE.basic()
    );
    old.send(head.as_bytes());
    for client in streams.iter_mut().chain([&mut old]) {
        expect_cut(client);
        assert!(begun.elapsed() > Duration::from_millis(1900), "too soon");
    }
    assert!(begun.elapsed() < poll::stretched(IN_TIME), "too late");
    gateway.counted(CUTS, &[], 5.0);
    for path in ["/events", "/xhr_streaming", "/silent", "/close", "/old"] {
        let line = gateway.logged(path, |line| line["path"] == path);
        assert_eq!(line["error"], CUT, "{line}");
        assert_eq!(line["status"], 200, "{line}");
    }
    poll::until("nothing is left at the back-end", || {
        let metrics = gateway.metrics();
        (metrics.sum("connect_gateway_upstream_in_flight", &[]) == 0.0).then_some(())
    });
}

#[test]
fn what_has_a_length_outlives_its_session() {
    let backend = ticking();
    let gateway = sessions_of(&backend, "1s", "1s");
    let begun = Instant::now();
    let mut download = open(&gateway, &Request::get("/length").by(&ALICE));
    // A control: the session does end.
    expect_cut(&mut open(&gateway, &Request::get("/events").by(&ALICE)));
    let answer = download.answer();
    assert_eq!(answer.expect(200).body, [b'x'; LENGTH]);
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "it did not last for longer than its session"
    );
    let line = gateway.logged("the download", |line| line["path"] == "/length");
    assert!(line["error"].is_null(), "{line}");
    gateway.counted(CUTS, &[], 1.0);
}

#[test]
fn a_stream_outlives_the_sessions_of_others() {
    let backend = ticking();
    let gateway = sessions_of(&backend, "2s", "2s");
    let login = gateway.client().ask(&Request::get("/short").by(&ALICE));
    let cookie = login.field("set-cookie").unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    let mut alice = open(&gateway, &Request::get("/events").field("Cookie", cookie));
    // An API key is no login, whatever stands beside it.
    let key = Request::get("/key").field("Authorization", "Key 0123456789abcdef");
    let mut key = open(&gateway, &key.field("Cookie", cookie));
    assert_eq!(key.answer_head().status, 200);
    // What Bob's session has left when Alice's ends.
    sleep(Duration::from_secs(1));
    let begun = Instant::now();
    let mut bob = open(&gateway, &Request::get("/events").by(&BOB));
    expect_cut(&mut alice);
    expect_cut(&mut bob);
    assert!(begun.elapsed() > Duration::from_millis(1900), "too soon");
    // Twice as many as come while a session lasts.
    for _ in 0..40 {
        assert_eq!(key.chunk(), b"x");
    }
    drop(key);
    let line = gateway.logged("the API's", |line| line["path"] == "/key");
    assert_eq!(line["lane"], "api_credential", "{line}");
}

#[test]
fn what_a_visitor_sends_keeps_their_stream() {
    let backend = ticking();
    let gateway = sessions_of(&backend, "2s", "1h");
    // An upload that is answered before it is over, and an answer beside other requests.
    let upload = Request::new("POST", "/upload").field("Transfer-Encoding", "chunked");
    let mut alice = open(&gateway, &upload.by(&ALICE));
    let mut bob = open(&gateway, &Request::get("/events").by(&BOB));
    let mut other = gateway.client();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(4500) {
        alice.send(b"1\r\ny\r\n");
        other.ask(&Request::get("/short").by(&BOB)).expect(200);
        sleep(Duration::from_millis(250));
    }
    assert_eq!(gateway.metrics().sum(CUTS, &[]), 0.0);
    let idle = Instant::now();
    for stream in [&mut alice, &mut bob] {
        expect_cut(stream);
        assert!(
            idle.elapsed() > Duration::from_millis(1400),
            "cut too soon after what came last"
        );
    }
}

/// A gateway whose sessions last for so long.
fn sessions_of(backend: &Backend, idle: &str, lifetime: &str) -> Gateway {
    let lines = [
        format!("session_idle = \"{idle}\""),
        format!("session_lifetime = \"{lifetime}\""),
    ];
    Setup::connect(backend)
        .realm(
            "staff",
            &[ALICE, BOB],
            &lines.each_ref().map(String::as_str),
        )
        .start()
}

/// A back-end that answers with a byte at each tick: by a length, until its connection ends, or in
/// chunks, and then for much longer than any session here lasts.
fn ticking() -> Backend {
    Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            let (fields, count) = match request.target.as_str() {
                "/close" => ("", ENDLESS),
                "/length" => ("Content-Length: 30\r\n", LENGTH),
                "/short" => ("Content-Length: 1\r\n", 1),
                "/silent" => (CHUNKED, 1),
                _ => (CHUNKED, ENDLESS),
            };
            let (piece, end) = match fields {
                CHUNKED => ("1\r\nx\r\n", "0\r\n\r\n"),
                _ => ("x", ""),
            };
            conn.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
            for _ in 0..count {
                if !conn.send(piece.as_bytes()) {
                    return;
                }
                sleep(TICK);
            }
            if count == ENDLESS {
                conn.send(end.as_bytes());
                return;
            }
        }
    })
}

fn open(gateway: &Gateway, request: &Request) -> Client {
    let mut client = gateway.client();
    client.send(&request.bytes());
    client
}

/// An answer that begins, breaks off, and cannot be taken for a whole one.
#[track_caller]
fn expect_cut(client: &mut Client) {
    match client.read_answer(false) {
        Err(Broken::Truncated(body)) => assert!(!body.is_empty(), "cut before its first byte"),
        other => panic!("no answer that was cut: {other:?}"),
    }
}

const CUTS: &str = "connect_gateway_session_cuts_total";
const CUT: &str = "cut, because the visitor's session ended";

const TICK: Duration = Duration::from_millis(100);

/// Bytes of the download.
const LENGTH: usize = 30;

/// Bytes of what should have been cut long before.
const ENDLESS: usize = 120;

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What a WebSocket with such a session would have, its closing included.
const IN_TIME: Duration = Duration::from_secs(5);
