//! Independent libraries, as clients and as servers: they understand each other through the
//! gateway, and no byte between them changes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use gateway_tests::harness::{ALICE, App, CONNECT, Pool, Setup, python, scale, workspace};

#[test]
fn three_libraries_talk_through_the_gateway_and_no_byte_changes() {
    let endings = scale(2, 4);
    let setup = Setup::new();
    let mut script = Command::new(python())
        .arg(workspace().join("tests/clients/websocket_libraries.py"))
        .env("WS_HOST", CONNECT)
        .env("WS_AUTHORIZATION", ALICE.basic())
        .env("WS_ENDINGS", endings.to_string())
        .env("CONNECT_CA", setup.path().join("ca.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(script.stdout.take().unwrap());
    let mut port = String::new();
    says.read_line(&mut port).unwrap();
    let Ok(port) = port.trim().parse::<u16>() else {
        let output = script.wait_with_output().unwrap();
        panic!("{port:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let gateway = setup
        .pool(Pool::plain("connect", ([127, 0, 0, 1], port).into()))
        // A period in which everything is over: this changes the way that frames take.
        .app(App::connect().line("websocket_ping = \"1h\""))
        .start();
    writeln!(script.stdin.take().unwrap(), "{}", gateway.address().port()).unwrap();
    // Three clients, three servers, with and without compression.
    let connections = 3 * 3 * 2 * endings;
    let mut said = String::new();
    std::io::Read::read_to_string(&mut says, &mut said).unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(
        output.status.success()
            && said.contains(&format!("UNCHANGED in {connections} connections")),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let closed = [("reason", "closed")];
    gateway.counted(
        "connect_gateway_tunnels_ended_total",
        &closed,
        f64::from(connections),
    );
}
