//! Whose pages may open WebSockets.

use gateway_tests::harness::{ALICE, App, Backend, Gateway, HANDSHAKE, Pool, Request, Setup};

use crate::accept;

fn site(backend: &Backend, line: &str) -> Gateway {
    Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line(line))
        .start()
}

fn backend() -> Backend {
    Backend::scripted(|conn| {
        if accept(conn) {
            conn.read_out();
        }
    })
}

/// The session that a password opens, as a browser sends it back.
fn session(gateway: &Gateway) -> String {
    let mut client = gateway.client();
    client.send(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE).bytes());
    let answer = client.answer();
    let cookie = answer.field("set-cookie").expect("a session");
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn another_sites_page_cannot_open_a_websocket() {
    let backend = backend();
    let gateway = site(&backend, "");
    let cookie = session(&gateway);
    let handshake = |origin: Option<&str>| {
        let request = Request::get("/ws")
            .fields(HANDSHAKE)
            .field("Cookie", &cookie);
        match origin {
            Some(origin) => request.field("Origin", origin),
            None => request,
        }
    };
    for (origin, own) in [
        (Some("https://evil.test"), false),
        (Some("https://connect.test"), true),
        (Some("null"), false),
        (Some("http://connect.test"), false),
        (Some("https://connect.test:8443"), false),
        (None, false),
        (Some("https://CONNECT.test:443"), true),
    ] {
        let mut client = gateway.client();
        client.send(&handshake(origin).bytes());
        let answer = client.answer();
        match own {
            true => assert_eq!(answer.status, 101, "{origin:?}"),
            false => {
                answer.expect_json(403);
                client.expect_end();
            }
        }
    }
    let refused = [("reason", "origin_refused")];
    gateway.counted("connect_gateway_refusals_total", &refused, 5.0);
    // Of the refused ones nothing reached the back-end: one WebSocket by password, two by cookie.
    assert_eq!(backend.connections(), 3);
    gateway.logged("why", |line| line["reason"] == "origin_refused");
}

#[test]
fn the_operator_can_let_others_in() {
    for (line, listed, evil) in [
        ("websocket_origins = [\"https://portal.test\"]", 101, 403),
        ("websocket_origins = \"any\"", 101, 101),
        ("websocket_origins = \"same\"", 403, 403),
    ] {
        let backend = backend();
        let gateway = site(&backend, line);
        let cookie = session(&gateway);
        for (origin, status) in [
            ("https://portal.test", listed),
            ("https://evil.test", evil),
            ("https://connect.test", 101),
        ] {
            let mut client = gateway.client();
            let request = Request::get("/ws")
                .fields(HANDSHAKE)
                .field("Cookie", &cookie);
            client.send(&request.field("Origin", origin).bytes());
            assert_eq!(client.answer().status, status, "{line} {origin}");
        }
    }
}
