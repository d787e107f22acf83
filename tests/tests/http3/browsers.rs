//! A browser. One that does not know the authority uses HTTP/3 only where it is told to.

use gateway_tests::double::{Double, Options};
use gateway_tests::harness::{ALICE, App, Browser, CONNECT, Gateway, Pool, Setup, poll};
use serde_json::Value;

#[test]
fn chromium_asks_for_pages_over_http3() {
    let double = Double::start(&Options::default()).unwrap();
    let gateway = site(&double);
    let browser = browser(&gateway, &[]);
    visit(&browser);
    // A script's requests, with a body up and one down.
    let status = browser.script(
        "const request = new XMLHttpRequest();\
         request.open('POST', '/from-a-script', false);\
         request.send('x'.repeat(100000));\
         return request.status;",
    );
    assert!(status.is_number(), "{status}");
    let line = gateway.logged("the script's request", |line| {
        line["path"] == "/from-a-script"
    });
    assert_eq!(line["bytes_in"], 100_000);
    // The page has a WebSocket of its own.
    let log = gateway.access_log().into_iter();
    for line in log.filter(|line| line["websocket"] == false) {
        assert_eq!(line["protocol"], "h3", "{line}");
        assert!(
            line["user"] == ALICE.name || line["status"] == 401,
            "{line}"
        );
    }
    gateway.counted("connect_gateway_http3_handshakes_total", &[], 1.0);
}

#[test]
fn chromiums_websocket_comes_over_http3() {
    let double = Double::start(&Options::default()).unwrap();
    let gateway = site(&double);
    let browser = browser(&gateway, &["--enable-features=EnableWebsocketsOverHttp3"]);
    visit(&browser);
    assert_eq!(websocket(&browser, &gateway)["protocol"], "h3");
}

#[test]
fn chromiums_websocket_comes_over_http1_unless_it_is_told() {
    let double = Double::start(&Options::default()).unwrap();
    let gateway = site(&double);
    let browser = browser(&gateway, &[]);
    visit(&browser);
    assert_eq!(websocket(&browser, &gateway)["protocol"], "h1");
    // The page itself did not.
    gateway.logged("the page", |line| {
        line["path"] == "/" && line["protocol"] == "h3"
    });
}

fn site(double: &Double) -> Gateway {
    Setup::new()
        .listener_line("http3 = true")
        .pool(Pool::plain("connect", double.connect.unwrap()))
        .app(App::connect())
        .start()
}

fn browser(gateway: &Gateway, more: &[&str]) -> Browser {
    let force = format!("--origin-to-force-quic-on={CONNECT}:443");
    let arguments = [&["--enable-quic", &force], more].concat();
    let leaf = &gateway.prepared.leaf;
    Browser::start_with(CONNECT, gateway.address(), leaf, &arguments)
}

/// Logs in, and sees the page.
fn visit(browser: &Browser) {
    let url = format!("https://{}:{}@{CONNECT}/", ALICE.name, ALICE.password);
    browser.open(&url);
    poll::until("the page shows", || {
        let text = browser.text();
        text.contains("Connect sees you as alice").then_some(())
    });
}

/// Has a script of the page talk to an echo: the log's line of it.
fn websocket(browser: &Browser, gateway: &Gateway) -> Value {
    browser.script(
        "window.said = [];\
         const socket = new WebSocket('wss://' + location.host + '/talk/ws');\
         socket.onopen = () => socket.send('grüße');\
         socket.onmessage = event => { window.said.push(event.data); socket.close(4321, 'bye'); };\
         socket.onclose = event => window.said.push(event.code);",
    );
    poll::until("the echo and the end", || {
        let said = browser.script("return window.said");
        (said.as_array().map(Vec::len) == Some(2)).then(|| {
            assert_eq!(said[0], "grüße");
            assert_eq!(said[1], 4321);
        })
    });
    let line = gateway.logged("the WebSocket", |line| line["path"] == "/talk/ws");
    assert_eq!(
        (&line["websocket"], &line["user"]),
        (&true.into(), &ALICE.name.into())
    );
    line
}
