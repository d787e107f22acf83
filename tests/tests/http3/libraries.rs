//! An independent library, as a client.

use std::process::Command;

use gateway_tests::double::{Double, Options};
use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, Gateway, Pool, Setup, python, workspace,
};

use crate::gateway;

#[test]
fn aioquic_is_served() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let length = request.body.len();
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            if request.method != "HEAD" {
                conn.send(&request.body);
            }
        }
    });
    run(&gateway(&backend), "http3.py", "exchanges");
    let requests = backend.take();
    assert_eq!(requests.len(), 104);
    for request in requests {
        assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
    }
}

#[test]
fn aioquic_talks_over_a_websocket() {
    let double = Double::start(&Options::default()).unwrap();
    let gateway = Setup::new()
        .listener_line("http3 = true")
        .pool(Pool::plain("connect", double.connect.unwrap()))
        .app(App::connect())
        .start();
    run(&gateway, "http3.py", "websocket");
    let ended = "connect_gateway_tunnels_ended_total";
    gateway.counted(ended, &[("reason", "closed")], 1.0);
}

/// Runs a script of `tests/clients`, which does something of what it can.
#[track_caller]
pub(crate) fn run(gateway: &Gateway, script: &str, what: &str) {
    let output = Command::new(python())
        .arg(workspace().join("tests/clients").join(script))
        .env("H3_WHAT", what)
        .env("H3_HOST", CONNECT)
        .env("H3_PORT", gateway.address().port().to_string())
        .env("H3_AUTHORIZATION", ALICE.basic())
        .env("CONNECT_CA", gateway.ca_file())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("SERVED over HTTP/3"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
