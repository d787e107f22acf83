//! Silence, departure and the drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use gateway_tests::harness::{ALICE, Backend, Broken, OK, Request, Setup, poll};

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
                wait.lock().unwrap().recv_timeout(poll::PATIENCE).unwrap();
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
