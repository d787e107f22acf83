//! curl as a client, on yet another QUIC (ngtcp2). Debian's has no HTTP/3; libcurl of a Python package
//! has.

use gateway_tests::harness::{ALICE, App, Backend, CONNECT, Gateway, Pool, Setup, free_address};

use crate::libraries::run;

#[test]
fn curl_is_served() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let length = request.body.len();
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            conn.send(&request.body);
        }
    });
    run(&site(&backend), "http3_curl.py", "exchanges");
    let requests = backend.take();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
    }
}

#[test]
fn curl_comes_by_http1_and_goes_on_by_http3() {
    let backend = Backend::recording();
    let gateway = site(&backend);
    run(&gateway, "http3_curl.py", "alt-svc");
    assert_eq!(backend.take().len(), 2);
    for protocol in ["h1", "h3"] {
        gateway.logged("the request", |line| line["protocol"] == protocol);
    }
}

/// A gateway whose app names the listener's port in its URL, as `Alt-Svc` does then.
fn site(backend: &Backend) -> Gateway {
    let address = free_address();
    let url = format!("https://{CONNECT}:{}/", address.port());
    Setup::new()
        .listen(address)
        .listener_line("http3 = true")
        .pool(Pool::plain("connect", backend.address()))
        .app(App::new("connect", "connect", &url, "staff", "connect"))
        .start()
}
