//! Silence, departure and the drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Backend, Broken, Client, Leaving, OK, Request, Setup, poll};

#[test]
fn silence_is_bounded_everywhere() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            match request.target.as_str() {
                "/half" => {
                    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                    conn.read_out();
                    return;
                }
                "/never" => {
                    conn.read_out();
                    return;
                }
                "/upload" => {
                    conn.read_out();
                    return;
                }
                _ => conn.send(OK),
            };
        }
    });
    let gateway = Setup::connect(&backend)
        .line(
            "timeouts",
            "head = \"1s\"\nidle = \"1s\"\nbody = \"1s\"\nanswer = \"1s\"",
        )
        .start();
    // A head that never ends, after its first byte and without one.
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nHost: conn");
    client.answer().expect_json(408);
    client.expect_end();
    gateway.client().expect_end();
    // A connection that nobody uses any more.
    let mut client = gateway.client();
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    client.expect_clean_end();
    // A back-end that does not answer, one that stops in the middle.
    gateway
        .ask(&Request::get("/never").by(&ALICE))
        .expect_json(504);
    let mut client = gateway.client();
    client.send(&Request::get("/half").by(&ALICE).bytes());
    assert_eq!(
        client.read_answer(false),
        Err(Broken::Truncated(b"half".to_vec()))
    );
    // A client that stops uploading.
    let mut client = gateway.client();
    let request = Request::new("POST", "/upload")
        .by(&ALICE)
        .field("Content-Length", "10");
    client.send(&request.bytes()).send(b"half");
    client.answer().expect_json(408);
    client.expect_end();
}

#[test]
fn draining_finishes_what_was_begun() {
    let (proceed, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.head() {
            if request.target == "/slow" {
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
                wait.lock().unwrap().recv_timeout(poll::patience()).unwrap();
                conn.send(b"whole");
            } else {
                conn.send(OK);
            }
        }
    });
    let mut gateway = Setup::connect(&backend).start();
    let mut idle = gateway.client();
    idle.ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    let mut busy = gateway.client();
    busy.send(&Request::get("/slow").by(&ALICE).bytes());
    assert_eq!(busy.answer_head().status, 200);
    gateway.terminate();
    idle.expect_clean_end();
    poll::until("the gateway says that it drains", || {
        (gateway.ask_admin("/readyz").status == 503).then_some(())
    });
    proceed.send(()).unwrap();
    assert_eq!(busy.raw(5), b"whole");
    assert_eq!(gateway.wait().code(), Some(0));
    let line = gateway.logged("the last request", |line| line["path"] == "/slow");
    assert_eq!(line["status"], 200);
}

#[test]
fn a_drain_waits_for_exchanges_only() {
    let backend = Backend::scripted(|conn| {
        if conn.head().is_some() {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            // So long the exchange takes.
            assert!(conn.is_silent(Duration::from_secs(1)));
            conn.send(b"whole");
        }
    });
    let mut gateway = Setup::connect(&backend)
        .line("gateway", "drain = \"20s\"")
        .line("timeouts", "head = \"20s\"")
        .start();
    // No handshake, and half a head.
    let mut bare = Client::plain(gateway.address());
    let mut partial = gateway.client();
    partial.send(b"GET / HTTP/1.1\r\nHost: conn");
    // A refused upload whose client neither sends nor goes.
    let mut refused = gateway.client();
    let upload = Request::new("POST", "/").field("Content-Length", "1000000");
    refused.ask(&upload).expect_json(401);
    let mut busy = gateway.client();
    busy.send(&Request::get("/slow").by(&ALICE).bytes());
    assert_eq!(busy.answer_head().status, 200);
    gateway.counted("connect_gateway_connections_open", &[], 4.0);
    let begun = Instant::now();
    gateway.terminate();
    assert_eq!(busy.raw(5), b"whole");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "too late");
    bare.expect_end();
    partial.answer().expect_json(408);
    refused.expect_end();
}

#[test]
fn a_back_end_may_pause_after_an_early_answer() {
    let backend = Backend::scripted(|conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        let left = || conn.peer().map(|socket| socket.unsent);
        poll::settled("the upload", Duration::from_millis(50), left);
        assert!(left().is_some_and(|unsent| unsent > 0), "no back-pressure");
        // It is at work for longer than a body may pause, though not an answer: with the rest of
        // the upload still to be taken, and without. Silence is noticed after one to two periods.
        std::thread::sleep(Duration::from_millis(2100));
        assert!(conn.skip(UPLOAD));
        assert!(conn.is_silent(Duration::from_millis(2100)));
        conn.send(b"3\r\nEND\r\n0\r\n\r\n");
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"1s\"\nanswer = \"20s\"")
        .start();
    let mut client = gateway.client();
    client
        .send(&upload().bytes())
        .send(&vec![b'x'; usize::try_from(UPLOAD).unwrap()]);
    assert_eq!(client.answer().expect(200).text(), "hiEND");
}

#[test]
fn whoever_is_waited_for_is_to_blame() {
    let (tell, over) = channel();
    let over = Mutex::new(over);
    let backend = Backend::scripted(move |conn| {
        // It takes the head, and nothing of the body.
        conn.head();
        over.lock().unwrap().recv_timeout(poll::patience()).unwrap();
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"500ms\"\nanswer = \"20s\"")
        .start();
    let mut owing = gateway.client();
    owing.send(&upload().bytes()).send(b"half");
    owing.answer().expect_json(408);
    tell.send(()).unwrap();
    let mut waiting = gateway.client();
    waiting.send(&upload().bytes());
    let part = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // The gateway takes no more of it once it has given up.
    while sent < UPLOAD && waiting.try_send(&part).is_ok() {
        sent += part.len() as u64;
    }
    waiting.answer().expect_json(504);
    tell.send(()).unwrap();
    let labels = [("cause", "upstream_timeout")];
    gateway.counted("connect_gateway_upstream_errors_total", &labels, 1.0);
}

/// Behind an answer that has begun, a client that stops may be what the back-end waits for.
#[test]
fn a_client_that_stops_behind_a_begun_answer_is_no_failure_of_the_back_end() {
    let backend = Backend::scripted(|conn| {
        while let Some(head) = conn.head() {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
            if head.method == "POST" {
                // It waits for the body before it goes on.
                conn.read_out();
            } else {
                // Control: it waits for nobody.
                assert_eq!(conn.read_out(), b"");
            }
        }
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"500ms\"\nanswer = \"1s\"")
        .line("limits", "body_rate = 0")
        .start();
    for (request, error, failures) in [
        (upload(), "the client stopped sending its body", 0.0),
        (
            Request::get("/silent").by(&ALICE),
            "it was silent for 1s",
            1.0,
        ),
    ] {
        let mut client = gateway.client();
        client.send(&request.bytes());
        assert_eq!(client.answer_head().status, 200);
        assert_eq!(client.raw(5), b"begun");
        client.expect_end();
        gateway.logged("the end", |line| {
            line["status"] == 200 && line["error"].as_str().is_some_and(|it| it.contains(error))
        });
        let metrics = gateway.metrics();
        let counted = metrics.sum("connect_gateway_upstream_errors_total", &[]);
        assert_eq!(counted, failures);
    }
}

#[test]
fn a_client_that_goes_away_frees_its_back_end() {
    let freed = Arc::new(AtomicBool::new(false));
    let flag = freed.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_some_and(|request| request.target == "/slow") {
            conn.read_out();
            flag.store(true, Ordering::SeqCst);
        } else {
            conn.send(OK);
        }
    });
    let gateway = Setup::connect(&backend).start();
    let mut client = gateway.client();
    client.send(&Request::get("/slow").by(&ALICE).bytes());
    poll::until("the request is there", || {
        backend.saw(b"/slow").then_some(())
    });
    drop(client);
    poll::until("its connection ends", || {
        freed.load(Ordering::SeqCst).then_some(())
    });
    let line = gateway.logged("it", |line| line["path"] == "/slow");
    assert!(line["status"].is_null(), "{line}");
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

/// What it sent ahead of its turn is more than the gateway takes, so that its end lies behind
/// unread bytes.
#[test]
fn a_client_that_sent_ahead_and_goes_away_frees_its_back_end() {
    let (tell, told) = channel();
    let (release, released) = channel();
    let (tell, released) = (Mutex::new(tell), Mutex::new(released));
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.request() {
            match request.target.as_str() {
                "/gone" => {
                    tell.lock().unwrap().send(conn.read_out()).unwrap();
                    return;
                }
                "/slow" => {
                    let released = released.lock().unwrap();
                    released.recv_timeout(poll::patience()).unwrap();
                    conn.send(OK)
                }
                _ => conn.send(OK),
            };
        }
    });
    let gateway = Setup::connect(&backend).start();
    let behind = |target| {
        let body = vec![b'x'; 20_000];
        let first = Request::get(target).by(&ALICE).bytes();
        let second = Request::post("/second", &body).by(&ALICE).bytes();
        [first, second].concat()
    };
    for reset in [true, false] {
        let mut leaving = Leaving::to(&gateway);
        leaving.client.send(&behind("/gone"));
        assert_eq!(backend.one().target, "/gone");
        let kept = match reset {
            true => {
                leaving.reset();
                None
            }
            false => {
                leaving.end();
                Some(leaving)
            }
        };
        let rest = told.recv_timeout(poll::patience());
        assert_eq!(rest.expect("its connection ends"), b"");
        drop(kept);
    }
    let gone = || gateway.metrics().sum(OPEN, &[]) == 0.0;
    poll::until("no connection is open", || gone().then_some(()));
    // Who stays is waited for without work, and then served.
    let mut patient = gateway.client();
    patient.send(&behind("/slow"));
    assert_eq!(backend.one().target, "/slow");
    let before = gateway.cpu_time();
    assert!(patient.is_silent(Duration::from_secs(1)));
    let used = gateway.cpu_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?} of work");
    release.send(()).unwrap();
    patient.answer().expect(200);
    patient.answer().expect(200);
    let second = backend.one();
    assert_eq!(
        (second.target.as_str(), second.body.len()),
        ("/second", 20_000)
    );
}

/// Before an answer has begun, and behind one.
#[test]
fn a_client_that_goes_away_while_its_upload_is_held_up_frees_its_back_end() {
    let (tell, over) = channel();
    let over = Mutex::new(over);
    let backend = Backend::scripted(move |conn| {
        // It takes the head, and nothing of the body.
        let Some(head) = conn.head() else { return };
        if head.target == "/early" {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun");
        }
        over.lock().unwrap().recv_timeout(poll::patience()).unwrap();
    });
    let gateway = Setup::connect(&backend).start();
    for target in ["/late", "/early"] {
        let mut leaving = Leaving::to(&gateway);
        let request = Request::new("POST", target).by(&ALICE);
        let request = request.field("Content-Length", "1000000000");
        leaving.client.send(&request.bytes());
        leaving.fill();
        assert_eq!(gateway.metrics().sum(OPEN, &[]), 1.0);
        leaving.reset();
        poll::until("its connection ends", || {
            (gateway.metrics().sum(OPEN, &[]) == 0.0).then_some(())
        });
        gateway.logged("it", |line| {
            line["path"] == target && line["error"].is_string()
        });
        tell.send(()).unwrap();
    }
}

fn upload() -> Request {
    let request = Request::new("POST", "/upload").by(&ALICE);
    request.field("Content-Length", &UPLOAD.to_string())
}

const OPEN: &str = "connect_gateway_connections_open";

/// More than the kernel takes for a receiver that does not read.
const UPLOAD: u64 = 20 << 20;
