//! Back-ends that answer before they have the whole request. That such an answer reaches a client
//! that is still uploading, and that it may pause, is in `framing`.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use gateway_tests::harness::{ALICE, Backend, OK, Request, Setup, poll, scale};
use serde_json::Value;

#[test]
fn an_early_answer_and_then_a_reset() {
    // What a server does that answers 413 and exits with unread bytes: the reset comes right
    // behind the answer, and takes what the gateway is just sending with it.
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            if request.method != "GET" {
                conn.send(TOO_LARGE);
                return conn.reset();
            }
            // And stays: an end would meet the next upload on its way.
            conn.send(OK);
        }
    });
    let gateway = Setup::connect(&backend).start();
    for at in 0..scale(20, 500) {
        let target = format!("/x/{at}");
        let mut client = gateway.client();
        client.send(&upload(&target).bytes());
        // The gateway may have answered, and take no more.
        let _gone = client.try_send(&[b'x'; 1 << 18]);
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (413, "too much"),
            "{at}"
        );
        assert_eq!(answer.field("connection"), Some("close"));
        let line = gateway.logged(&target, |line| line["path"] == target);
        assert_eq!(
            (&line["status"], &line["upstream_status"]),
            (&Value::from(413), &Value::from(413))
        );
        gateway.ask(&Request::get("/x").by(&ALICE)).expect(200);
    }
}

#[test]
fn after_an_early_answer_the_rest_of_an_upload_is_nobodys_request() {
    // The answer says keep-alive, and the back-end goes on reading: its connection is given up all
    // the same, since the gateway stops in the middle of a body.
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let backend = Backend::scripted(move |conn| {
        while let Some(request) = conn.head() {
            if request.method == "GET" {
                conn.send(OK);
                continue;
            }
            conn.send(TOO_LARGE);
            tell.lock().unwrap().send(conn.read_out()).unwrap();
            return;
        }
    });
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 1")
        .start();
    let mut client = gateway.client();
    client.send(&upload("/x").bytes());
    client.answer().expect(413);
    // It looks like a request, and is payload.
    let poison = Request::get("/poison").by(&ALICE).bytes();
    let _gone = client.try_send(&poison);
    client.expect_end();
    let rest = told.recv_timeout(poll::patience()).unwrap();
    assert!(!rest.starts_with(b"GET"), "a request within an upload");
    let before = backend.connections();
    gateway.ask(&Request::get("/x").by(&ALICE)).expect(200);
    assert_eq!(backend.connections(), before + 1);
}

fn upload(target: &str) -> Request {
    let request = Request::new("POST", target).by(&ALICE);
    request.field("Content-Length", "100000000")
}

const TOO_LARGE: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much";
