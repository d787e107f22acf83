//! slowhttptest (Debian's) attacks, with a legitimate client beside it that notices nothing.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, App, Backend, Client, Conn, Gateway, OK, Pool, Request, Setup, free_address, poll,
    scale, tool,
};

#[test]
fn slow_heads() {
    attacked(&["-H", "-i", "1", "-x", "24"]);
}

#[test]
fn slow_bodies() {
    attacked(&["-B", "-i", "1", "-s", "8192", "-x", "10"]);
}

#[test]
fn slow_readers() {
    attacked(&[
        "-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3",
    ]);
}

#[test]
fn many_ranges() {
    attacked(&["-R", "-a", "10", "-b", "3000"]);
}

/// Runs the attack, and asks all the while: over a connection that is kept, and over new ones.
fn attacked(mode: &[&str]) {
    // One at a time: each is to be borne, and four at once are another.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let backend = Backend::scripted(answer);
    // Fewer slots than the attack has connections, which need no login.
    let in_flight = format!("in_flight = {}", scale(100, 1024));
    let pool = Pool::plain("connect", backend.address()).line(&in_flight);
    let address = free_address();
    let url = format!("https://localhost:{}/", address.port());
    let open_app = App::new("open", "generic", &url, "staff", "connect")
        .line("aliases = [\"localhost\"]")
        .lane("anonymous = [\"/open\"]");
    let gateway = Setup::new()
        .listen(address)
        .line("limits", "connections_per_address = 8192")
        .line("limits", "body_window = \"3s\"")
        .line("timeouts", "head = \"3s\"")
        .line("timeouts", "body = \"3s\"")
        .pool(pool)
        .app(App::connect())
        .app(open_app)
        .start();
    let connections = scale(200, 2000);
    let client = || gateway.client_over(gateway.tcp_from("127.0.0.2"));
    let mut kept = client();
    let warm = ask(&mut kept);
    let mut attack = Attack::start(&gateway, mode, connections);
    poll::until("the attack is under way", || {
        (taken(&gateway) > connections as f64 / 4.0).then_some(())
    });
    let (mut slowest, mut control, mut count, mut most) = (warm, Duration::ZERO, 0, 0.0_f64);
    while attack.runs() {
        slowest = slowest.max(ask(&mut kept));
        slowest = slowest.max(ask(&mut client()));
        // The same without the gateway: what the machine itself makes us wait.
        control = control.max(ask(&mut Client::plain(backend.address())));
        most = most.max(open(&gateway));
        count += 2;
    }
    println!(
        "{count} requests beside {most} connections; the slowest took {slowest:?}, without the \
         gateway {control:?}"
    );
    assert!(count >= 10, "{count} requests");
    assert!(slowest < LIMIT + control, "{slowest:?}");
    // What is slow is cut, so that nothing is left.
    poll::until("the attacker's connections are gone", || {
        (open(&gateway) <= 1.0).then_some(())
    });
}

/// How long a legitimate request takes.
fn ask(client: &mut Client) -> Duration {
    let started = Instant::now();
    client
        .ask(&Request::get("/legitimate").by(&ALICE))
        .expect(200);
    started.elapsed()
}

/// A large answer to whoever attacks, a small one to others.
fn answer(conn: &mut Conn) {
    let large = vec![b'x'; 256 * 1024];
    while let Some(request) = conn.head() {
        let length = request
            .field("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if conn.exactly(length).is_none() {
            return;
        }
        if !request.target.starts_with("/open") {
            conn.send(OK);
            continue;
        }
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len()).as_bytes());
        if request.method != "HEAD" {
            conn.send(&large);
        }
    }
}

fn taken(gateway: &Gateway) -> f64 {
    gateway
        .metrics()
        .sum("connect_gateway_connections_total", &[])
}

fn open(gateway: &Gateway) -> f64 {
    gateway
        .metrics()
        .sum("connect_gateway_connections_open", &[])
}

/// slowhttptest as a process; killed when dropped.
struct Attack(Child);

impl Attack {
    fn start(gateway: &Gateway, mode: &[&str], connections: usize) -> Self {
        let url = format!("https://localhost:{}/open", gateway.address().port());
        // Kept with the gateway's logs if the test fails.
        let said = File::create(gateway.prepared.dir.path().join("slowhttptest")).unwrap();
        let child = Command::new(tool("slowhttptest"))
            .args(mode)
            .args(["-u", &url, "-c", &connections.to_string()])
            // All connections within a second or four.
            .args(["-r", &scale(200, 500).to_string()])
            .args(["-l", &scale(5, 20).to_string(), "-p", "1"])
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("slowhttptest starts");
        Self(child)
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// No legitimate request takes longer.
const LIMIT: Duration = Duration::from_secs(1);
