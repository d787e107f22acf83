//! The programs of a benchmark with each other: the generator, the floor, the back-end; and the
//! whole of it against a deployment.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod http3;
mod veth;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gateway_bench::order::{Group, Order, Outcome, Protocol, READY, Request, WEBSOCKET_KEY, Work};
use gateway_bench::place::{Place, free_address};
use gateway_bench::tls::{self, Pair};
use serde_json::Value;

#[test]
fn each_kind_of_work_is_done_through_the_floor() {
    let dir = Dir::new("work");
    let place = Place::make(&dir.0).unwrap();
    let back_end = BackEnd::start(&place);
    for (link, address) in [("plain", back_end.plain), ("mutual", back_end.mutual)] {
        let floor = Floor::start(&place, address, link);
        let upload = format!("Content-Length: {BIG}\r\n");
        let upgrade = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {WEBSOCKET_KEY}\r\n"
        );
        let get = request("GET", "/bytes/200000", "", 0, 200);
        let post = request("POST", "/up", &upload, BIG, 200);
        let socket = request("GET", "/echo", &upgrade, 0, 101);
        let time = 100;
        for (requests, work, each) in [
            (
                vec![get.clone()],
                Work::Closed { milliseconds: time },
                200_000,
            ),
            (vec![post], Work::Closed { milliseconds: time }, BIG + 1),
            (
                vec![socket.clone()],
                Work::Echo {
                    milliseconds: time,
                    bytes: 300,
                },
                600,
            ),
            (
                vec![get.clone()],
                Work::Handshakes {
                    milliseconds: time,
                    resumed: false,
                },
                200_000,
            ),
            (
                vec![get.clone()],
                Work::Handshakes {
                    milliseconds: time,
                    resumed: true,
                },
                200_000,
            ),
            (
                vec![get.clone()],
                Work::Open {
                    milliseconds: time,
                    rate: 100,
                },
                200_000,
            ),
            (vec![get], Work::Hold { tunnels: false }, 0),
            (vec![socket], Work::Hold { tunnels: true }, 0),
        ] {
            let outcome = load(&order(&place, floor.address, requests, work)).unwrap();
            let what = format!("{link} {work:?}: {outcome:?}");
            assert_eq!((outcome.errors, &outcome.first_error), (0, &None), "{what}");
            assert!(outcome.done >= CONNECTIONS.into(), "{what}");
            assert_eq!(outcome.bytes, outcome.done * each, "{what}");
            let held = matches!(work, Work::Hold { .. });
            assert_eq!(outcome.latency.is_none(), held, "{what}");
        }
    }
}

#[test]
fn a_stall_shows_in_the_times_of_all_that_was_due_meanwhile() {
    let dir = Dir::new("stall");
    let place = Place::make(&dir.0).unwrap();
    // After some answers nothing comes for a while, once.
    let served = 20;
    let address = serve(&place, move |count| {
        if count == served {
            thread::sleep(Duration::from_millis(300));
        }
        200
    });
    let get = request("GET", "/", "", 0, 200);
    let mut order = order(
        &place,
        address,
        vec![get],
        Work::Open {
            milliseconds: 600,
            rate: 200,
        },
    );
    order.connections = 1;
    let outcome = load(&order).unwrap();
    assert_eq!(outcome.errors, 0, "{outcome:?}");
    assert!(outcome.done >= 118, "{outcome:?}");
    // Half of the requests were due while nothing came: a closed loop would have made one of them.
    let latency = outcome.latency.unwrap();
    assert!(latency.p99 > 250_000.0, "{latency:?}");
    assert!(latency.p50 > 1_000.0, "{latency:?}");
}

/// As with a thousand users, each of whom has a head of their own.
#[test]
fn an_order_may_be_longer_than_an_argument() {
    let dir = Dir::new("order");
    let place = Place::make(&dir.0).unwrap();
    let address = serve(&place, |_| 200);
    let fields = format!("X-Long: {}\r\n", "a".repeat(1000));
    let requests = vec![request("GET", "/", &fields, 0, 200); 300];
    let work = Work::Closed { milliseconds: 10 };
    let order = order(&place, address, requests, work);
    assert!(serde_json::to_string(&order).unwrap().len() > 128 * 1024);
    assert_eq!(load(&order).unwrap().errors, 0);
}

#[test]
fn a_wrong_answer_is_told_and_no_work_begins() {
    let dir = Dir::new("wrong");
    let place = Place::make(&dir.0).unwrap();
    let address = serve(&place, |_| 503);
    let get = request("GET", "/", "", 0, 200);
    let work = Work::Closed { milliseconds: 100 };
    let error = load(&order(&place, address, vec![get], work)).unwrap_err();
    assert!(error.contains("answered 503, not 200"), "{error}");
}

#[test]
fn an_answer_that_turns_wrong_is_an_error_among_others() {
    let dir = Dir::new("turns");
    let place = Place::make(&dir.0).unwrap();
    let address = serve(&place, |count| if count % 10 == 9 { 500 } else { 200 });
    let get = request("GET", "/", "", 0, 200);
    let work = Work::Closed { milliseconds: 200 };
    let outcome = load(&order(&place, address, vec![get], work)).unwrap();
    assert!(outcome.done > 0 && outcome.errors > 0, "{outcome:?}");
    assert_eq!(outcome.first_error.unwrap(), "answered 500, not 200");
}

#[test]
fn what_is_never_answered_is_an_error_and_holds_nobody_up() {
    let dir = Dir::new("never");
    let place = Place::make(&dir.0).unwrap();
    let address = serve(&place, |count| {
        if count > CONNECTIONS {
            thread::park();
        }
        200
    });
    let get = request("GET", "/", "", 0, 200);
    let work = Work::Closed { milliseconds: 100 };
    let outcome = load(&order(&place, address, vec![get], work)).unwrap();
    assert_eq!(outcome.errors, u64::from(CONNECTIONS), "{outcome:?}");
    assert!(outcome.first_error.unwrap().contains("not answered"));
}

#[test]
fn a_deployment_is_measured_by_what_its_clients_see() {
    let dir = Dir::new("deployment");
    let place = Place::make(&dir.0.join("place")).unwrap();
    let back_end = BackEnd::start(&place);
    let floor = Floor::start(&place, back_end.plain, "plain");
    let url = format!(
        "https://alice:secret@localhost:{}/bytes/10",
        floor.address.port()
    );
    let out = bench(
        &dir,
        &place,
        &["--quick", "--scenario=tls-full", "--url", &url],
    );
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let markdown = String::from_utf8(out.stdout).unwrap();
    assert!(markdown.contains("| rate | connection/s |"), "{markdown}");
    let json = std::fs::read_to_string(dir.0.join("report.json")).unwrap();
    let findings: Vec<Value> = serde_json::from_str(&json).unwrap();
    let metrics: Vec<&str> = findings
        .iter()
        .map(|finding| {
            assert_eq!(finding["subject"], "deployment");
            assert!(finding["median"].as_f64().unwrap() > 0.0, "{finding}");
            finding["metric"].as_str().unwrap()
        })
        .collect();
    assert_eq!(
        metrics,
        ["rate", "latency_p50", "latency_p99", "latency_p999"]
    );
}

#[test]
fn what_cannot_be_measured_is_said_in_a_line() {
    let dir = Dir::new("said");
    let place = Place::make(&dir.0.join("place")).unwrap();
    let answering = |status| {
        let address = serve(&place, move |_| status);
        format!("https://localhost:{}/x", address.port())
    };
    let (url, failing) = (answering(401), answering(500));
    let nobody = format!(
        "https://{}/",
        free_address(Ipv4Addr::LOCALHOST.into()).unwrap()
    );
    for (arguments, expected) in [
        (
            &["--scenario=h1-1g"][..],
            "bench: no scenario \"h1-1g\"; there are h1-1k, ",
        ),
        (
            &["--scenario=h1-1k", "--json=/nowhere/report"],
            "bench: cannot write /nowhere/report: No such file",
        ),
        (
            &["--scenario=tls-full", "--url", &url],
            "answers 401 to /x: name and password go into the URL",
        ),
        (
            &["--scenario=h1-1k", "--url", &failing],
            "answers 500 to /x",
        ),
        (
            &["--scenario=tls-full", "--url", &nobody],
            "cannot connect to 127.0.0.1",
        ),
        (
            &["--scenario=ws-echo", "--url", &url],
            "bench: ws-echo needs the back-end of the bench",
        ),
    ] {
        let out = bench(&dir, &place, arguments);
        assert_eq!(out.status.code(), Some(1));
        let said = String::from_utf8(out.stderr).unwrap();
        let line = said.lines().last().unwrap();
        assert!(line.contains(expected), "{said}");
    }
}

fn order(place: &Place, address: SocketAddr, requests: Vec<Request>, work: Work) -> Order {
    Order {
        address,
        name: "localhost".to_owned(),
        ca: place.path("ca.pem"),
        group: Group::X25519,
        requests,
        connections: CONNECTIONS,
        streams: 1,
        protocol: Protocol::H1,
        work,
    }
}

fn request(method: &str, path: &str, fields: &str, body: u64, expect: u16) -> Request {
    Request {
        head: format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        body,
        expect,
    }
}

/// Runs the generator; an error is what it said.
fn load(order: &Order) -> Result<Outcome, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bench-load"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    writeln!(stdin, "{}", serde_json::to_string(order).unwrap()).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    if line.trim_end() == READY {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    serde_json::from_str(&line).map_err(|_| said)
}

/// Runs a benchmark.
fn bench(dir: &Dir, place: &Place, arguments: &[&str]) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_bench-load"))
        .parent()
        .unwrap();
    bench_command(dir, programs)
        .args(arguments)
        .env("SSL_CERT_FILE", place.path("ca.pem"))
        .output()
        .unwrap()
}

/// A benchmark of the programs in a directory.
fn bench_command(dir: &Dir, programs: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway-bench"));
    command
        .arg("--programs")
        .arg(programs)
        .arg("--scenarios")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"))
        .arg("--out")
        .arg(&dir.0);
    command
}

struct BackEnd {
    child: Child,
    plain: SocketAddr,
    mutual: SocketAddr,
}

impl BackEnd {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-back-end"))
            .arg(place.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let addresses: Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| addresses[key].as_str().unwrap().parse().unwrap();
        Self {
            child,
            plain: address("plain"),
            mutual: address("mutual"),
        }
    }
}

struct Floor {
    child: Child,
    address: SocketAddr,
}

impl Floor {
    fn start(place: &Place, back_end: SocketAddr, link: &str) -> Self {
        let address = free_address(Ipv4Addr::LOCALHOST.into()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bench-floor"))
            .args([address.to_string(), back_end.to_string()])
            .arg(place.directory())
            .arg(link)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "no floor");
            thread::sleep(Duration::from_millis(5));
        }
        Self { child, address }
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Both end with their standard input.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    let status = child.wait().unwrap();
    assert!(thread::panicking() || status.success(), "{status}");
}

/// A server that serves as long as the test runs; the status depends on how many answers there
/// were.
fn serve(place: &Place, status: impl Fn(u32) -> u16 + Send + Sync + 'static) -> SocketAddr {
    let tls = Arc::new(tls::server(&Pair::of(place.directory(), "server")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let status = Arc::new(status);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let io = rustls::StreamOwned::new(session, stream.unwrap());
            let (count, status) = (Arc::clone(&count), Arc::clone(&status));
            thread::spawn(move || answer_all(io, || status(count.fetch_add(1, Relaxed))));
        }
    });
    address
}

fn answer_all(
    mut io: rustls::StreamOwned<rustls::ServerConnection, TcpStream>,
    status: impl Fn() -> u16,
) {
    let mut received = Vec::new();
    let mut part = [0; 4096];
    while let Ok(len @ 1..) = io.read(&mut part) {
        received.extend_from_slice(&part[..len]);
        if received.ends_with(b"\r\n\r\n") {
            received.clear();
            let answer = format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", status());
            if io.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A directory of the test's own.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("gateway-bench-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const CONNECTIONS: u32 = 3;
const BIG: u64 = 300_000;
