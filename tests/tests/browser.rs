//! A Shiny app in a real browser, through the gateway: log in, see one's name, use the WebSocket.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use gateway_tests::double::{Double, Options};
use gateway_tests::harness::{
    ALICE, App, Browser, CONNECT, Dir, GENERIC, Gateway, Pool, Setup, free_address, poll, python,
    workspace,
};

#[test]
fn a_shiny_app_knows_its_visitor_and_works_over_its_websocket() {
    let shiny = Shiny::start();
    let gateway = Setup::new()
        .pool(Pool::plain("shiny", shiny.address))
        .app(App::generic("shiny"))
        .start();
    let browser = browser(&gateway, GENERIC);
    browser.open(&format!(
        "https://{}:{}@{GENERIC}/",
        ALICE.name, ALICE.password
    ));

    let shown = |what: &str| poll::until(what, || browser.text().contains(what).then_some(()));
    shown("Shiny sees you as alice");
    browser.script(
        "const word = document.getElementById('word');\
         word.value = 'wonderland';\
         word.dispatchEvent(new Event('input', {bubbles: true}));\
         word.dispatchEvent(new Event('change', {bubbles: true}));",
    );
    shown("echo: wonderland");

    // It was a WebSocket, opened with the session's cookie alone.
    let connected = browser.script("return Shiny.shinyapp.isConnected()");
    assert_eq!(connected, true);
    gateway.counted("connect_gateway_tunnels_open", &[], 1.0);
    let session = browser
        .cookies()
        .into_iter()
        .find(|cookie| cookie["name"] == "__Host-gateway-staff");
    let session = session.expect("the session's cookie");
    assert_eq!(
        (&session["httpOnly"], &session["secure"]),
        (&true.into(), &true.into())
    );
    assert_eq!(session["sameSite"], "Lax");
    assert_eq!(
        browser.script("return document.cookie.includes('gateway')"),
        false
    );
    drop(browser);
    let line = gateway.logged("the WebSocket", |line| line["websocket"] == true);
    assert_eq!(
        (line["user"].as_str(), line["status"].as_u64()),
        (Some("alice"), Some(101))
    );
}

#[test]
fn a_visitor_without_a_login_sees_the_gateways_page_and_no_app() {
    let shiny = Shiny::start();
    let gateway = Setup::new()
        .pool(Pool::plain("shiny", shiny.address))
        .app(App::generic("shiny"))
        .start();
    let browser = browser(&gateway, GENERIC);
    browser.open(&format!("https://{}:wrong@{GENERIC}/", ALICE.name));
    let text = browser.text();
    assert!(!text.contains("Shiny sees you"), "{text}");
    gateway.logged("the refusal", |line| line["reason"] == "wrong_credential");
    // The same browser, with the right password.
    browser.open(&format!(
        "https://{}:{}@{GENERIC}/",
        ALICE.name, ALICE.password
    ));
    poll::until("the app shows", || {
        browser
            .text()
            .contains("Shiny sees you as alice")
            .then_some(())
    });
}

#[test]
fn a_browser_cannot_name_itself_to_connect() {
    let double = Double::start(&Options::default()).unwrap();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", double.connect.unwrap()))
        .app(App::connect())
        .start();
    let browser = browser(&gateway, CONNECT);
    browser.open(&format!(
        "https://{}:{}@{CONNECT}/",
        ALICE.name, ALICE.password
    ));
    poll::until("the page shows", || {
        browser
            .text()
            .contains("Connect sees you as alice")
            .then_some(())
    });
    // A script on the page, as hosted content is, with all that a script may do.
    let page = browser.script(
        "const request = new XMLHttpRequest();\
         request.open('GET', '/', false);\
         request.setRequestHeader('X-Auth-Username', 'admin');\
         request.setRequestHeader('X_Auth_Username', 'admin');\
         request.send();\
         return request.responseText;",
    );
    let page = page.as_str().unwrap();
    assert!(page.contains("alice") && !page.contains("admin"), "{page}");
}

fn browser(gateway: &Gateway, host: &str) -> Browser {
    Browser::start(host, gateway.address(), &gateway.prepared.leaf)
}

/// `shiny_app.py` under uvicorn.
struct Shiny {
    child: Child,
    address: SocketAddr,
    _dir: Dir,
}

impl Shiny {
    fn start() -> Self {
        let dir = Dir::new();
        let address = free_address();
        let log = File::create(dir.path().join("shiny.log")).unwrap();
        let mut child = Command::new(python())
            .args(["-m", "shiny", "run", "--host", "127.0.0.1", "--port"])
            .arg(address.port().to_string())
            .arg(workspace().join("tests/clients/shiny_app.py"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        poll::until("Shiny listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("Shiny ended with {status}: {}", dir.read("shiny.log"));
            }
            TcpStream::connect(address).ok()
        });
        Self {
            child,
            address,
            _dir: dir,
        }
    }
}

impl Drop for Shiny {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
