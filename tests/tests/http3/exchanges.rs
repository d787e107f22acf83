//! Requests and answers.

use gateway_tests::harness::{ALICE, Backend, Framing, HANDSHAKE, Request, SWITCHING};

use crate::gateway;

#[test]
fn a_visitor_is_named_and_answered() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let answer = client
        .ask(&Request::get("/content/1/?a=b").by(&ALICE))
        .expect(200);
    let received = backend.one();
    assert_eq!(received.folded("X-Auth-Username").len(), 1);
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));
    assert_eq!(received.field("host"), Some("connect.test"));
    assert!(answer.field("set-cookie").is_some());
    assert_eq!(answer.field("alt-svc"), None);
    let line = gateway.logged("the request", |line| line["path"] == "/content/1/");
    assert_eq!(line["protocol"], "h3");
    assert_eq!(line["user"], ALICE.name);
}
