//! The limits of the lane that needs no credential.

use gateway_tests::harness::{ALICE, App, Backend, Pool, Request, Setup};

use crate::site::Site;

#[test]
fn discovery_is_limited() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().lane("discovery_per_minute = 5"))
        .start();
    let mut client = gateway.client();
    let request = Request::get("/__api__/server_settings");
    for _ in 0..5 {
        client.ask(&request).expect(200);
    }
    let answer = gateway.ask(&request).expect_json(429);
    let seconds: u32 = answer
        .field("retry-after")
        .expect("when to try again")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(backend.take().len(), 5);
    // Others are not concerned.
    gateway.ask(&request.by(&ALICE)).expect(200);
    gateway
        .ask(&Request::get("/").field("Authorization", "Key abcdefgh"))
        .expect(200);
}

#[test]
fn discovery_bodies_are_limited() {
    let site = Site::start();
    let just = vec![b'x'; 64 * 1024];
    site.gateway
        .ask(&Request::post("/__api__/tokens", &just))
        .expect(200);
    assert_eq!(site.backend.one().body, just);

    let more = vec![b'x'; 64 * 1024 + 1];
    let mut client = site.gateway.client();
    client.send(&Request::post("/__api__/tokens", &more).bytes());
    client.answer().expect_json(413);
    client.expect_end();
    assert_eq!(site.backend.requests(), []);

    // Without a length it is found out on the way; the back-end never sees an end.
    let mut client = site.gateway.client();
    let head = Request::new("POST", "/__api__/tokens").field("Transfer-Encoding", "chunked");
    client.send(&head.bytes());
    client
        .send(format!("{:x}\r\n", more.len()).as_bytes())
        .send(&more)
        .send(b"\r\n0\r\n\r\n");
    client.answer().expect_json(413);
    client.expect_end();
    site.gateway
        .ask(&Request::post("/__api__/tokens", b"{}"))
        .expect(200);
    assert!(
        site.backend
            .take()
            .iter()
            .all(|one| one.body != more && (one.complete == (one.body == b"{}")))
    );
}
