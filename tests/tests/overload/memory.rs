//! What `check` says of memory, and what a loaded gateway takes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use gateway_tests::harness::{
    ALICE, Authority, Backend, Client, Finished, Gateway, HANDSHAKE, Request, Setup, accept, poll,
    scale,
};

#[test]
fn check_says_what_the_configuration_allows() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend)
        .line("gateway", "workers = 4")
        .line("gateway", "max_head = \"16KiB\"")
        .line("limits", "connections = 1000")
        .prepare();
    let finished = prepared.finish(&["check", "--offline"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let shape: Vec<_> = finished.stdout.lines().map(without_sizes).collect();
    assert_eq!(shape.join("\n"), include_str!("memory.txt").trim_end());

    // It is the sum, rounded up, and follows the keys that it names.
    let total = |finished: &Finished| {
        let (_, rest) = finished.stdout.split_once("memory: at most ").unwrap();
        let (mebibytes, _) = rest.split_once(" MiB").unwrap();
        mebibytes.parse::<u64>().unwrap()
    };
    let before = terms(&finished);
    let sum: u64 = before.values().sum();
    assert_eq!(total(&finished), sum.div_ceil(1 << 20));
    prepared.edit("max_head = \"16KiB\"", "max_head = \"32KiB\"");
    let finished = prepared.finish(&["check", "--offline"]);
    let after = terms(&finished);
    let grown = after["their traffic"] - before["their traffic"];
    assert_eq!(grown, 6 * (16 << 10) * 1000);
    assert_eq!(total(&finished), (sum + grown).div_ceil(1 << 20));
}

/// The terms that connections can drive bound what they drive.
#[test]
fn loaded_connections_stay_within_the_formula() {
    // It takes no bytes of an upload, and answers more than anybody reads.
    let ca = Authority::new("back-end CA");
    let tls = accept(&ca.server(&["127.0.0.1"]));
    let backend = Backend::scripted_tls(tls, |conn| {
        let Some(request) = conn.head() else { return };
        if request.target.starts_with("/ws") {
            conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        } else {
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        }
        // A WebSocket's frame, and payload like any other.
        let mut frame = vec![0x82, 126, 0xff, 0xff];
        frame.resize(4 + 0xffff, 0);
        while conn.send(&frame) {}
    });
    let connections = scale(60, 600);
    let prepared = Setup::connect_tls(&backend, &ca)
        .line("gateway", "workers = 2")
        .line("gateway", "max_head = \"64KiB\"")
        .line("limits", &format!("connections = {connections}"))
        .line(
            "limits",
            &format!("connections_per_address = {connections}"),
        )
        .prepare();
    let terms = terms(&prepared.finish(&["check", "--offline"]));
    let gateway = prepared.start();
    let before = gateway.reset_peak_memory();
    assert!(
        before <= terms["process"] + terms["workers"],
        "{before} bytes at the start"
    );

    let uploads = connections.min(UPLOADS);
    let others = connections - uploads;
    let mut clients: Vec<_> = (0..others).map(|_| gateway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let large = "x".repeat(40_000);
        match number % 3 {
            0 => {
                let request = Request::get("/down").by(&ALICE).field("X-Large", &large);
                client.send(&request.bytes());
            }
            1 => {
                // No end of the head.
                let request = Request::get("/half").field("X-Large", &large).bytes();
                client.send(&request[..request.len() - 2]);
            }
            _ => {
                let request = Request::get("/ws").by(&ALICE).fields(HANDSHAKE);
                client.send(&request.bytes());
            }
        }
    }
    let lighter = settled_peak(&gateway);
    let _uploading: Vec<_> = (0..uploads).map(|_| uploading(&gateway)).collect();
    let taken = settled_peak(&gateway);
    let bound: u64 = [
        "process",
        "workers",
        "access log",
        "connections",
        "their traffic",
        "their addresses",
        "resting back-end connections",
    ]
    .iter()
    .map(|what| terms[*what])
    .sum();
    println!(
        "{others} connections: {before} bytes, then {lighter}; \
         {uploads} uploads: {taken}; at most {bound}"
    );
    assert!(taken <= bound, "{taken} bytes of {bound}");
    // They are a load: without their own term the formula would not hold.
    let each = lighter.saturating_sub(before) / others as u64;
    assert!(each > 20_000, "{each} bytes each");
    // Both directions' buffers, and those of TLS on both legs: least with records of our own, and less
    // what the heap had left from the others.
    let each = taken.saturating_sub(lighter) / uploads as u64;
    let traffic = terms["their traffic"] / connections as u64;
    assert!(each > 250_000, "{each} bytes each upload");
    assert!(each <= traffic, "{each} bytes each upload, of {traffic}");
}

/// Nobody has said who they are yet: a hello that never ends is held a few times, whoever judges it.
#[test]
fn unfinished_handshakes_stay_within_the_formula() {
    let connections = scale(100, 1000);
    for records in ["own", "stock"] {
        for content in [16_000, 100] {
            let backend = Backend::recording();
            let prepared = Setup::connect(&backend)
                .line("gateway", "workers = 2")
                .line("gateway", &format!("tls_records = {records:?}"))
                .line(
                    "limits",
                    &format!("connections_per_address = {}", connections + 1),
                )
                .line("timeouts", "head = \"10m\"")
                .prepare();
            let terms = terms(&prepared.finish(&["check", "--offline"]));
            let gateway = prepared.start();
            gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
            let before = gateway.reset_peak_memory();
            let hello = endless_hello(content);
            let clients: Vec<_> = (0..connections)
                .map(|_| {
                    let mut tcp = gateway.tcp_from("127.0.0.1");
                    tcp.write_all(&hello).unwrap();
                    tcp
                })
                .collect();
            let taken = settled_peak(&gateway).saturating_sub(before);
            let each = taken / connections as u64;
            println!("{records}, records of {content}: {each} bytes each");
            // It is held: else the bound would say nothing.
            assert!(each > hello.len() as u64, "{each} bytes each");
            assert!(each <= 4 * 0xffff, "{each} bytes each");
            let all = terms["workers"] + terms["connections"] + terms["their traffic"];
            assert!(taken <= all, "{taken} of {all} bytes");
            // They wait, and others are served.
            for mut tcp in clients {
                tcp.set_nonblocking(true).unwrap();
                let error = tcp.read(&mut [0]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                // A byte more is too much.
                tcp.set_nonblocking(false).unwrap();
                tcp.write_all(&[22]).unwrap();
                let end = tcp.read(&mut [0]);
                assert!(matches!(end, Ok(0)), "{end:?}");
            }
            gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
        }
    }
}

/// A hello that is longer than what comes of it, in records with so much content. A byte more would be
/// too much.
fn endless_hello(content: usize) -> Vec<u8> {
    let mut rest: &[u8] = &[&[1, 0, 0xff, 0xf0][..], &[0; 0xffff]].concat();
    let mut hello = Vec::new();
    while hello.len() < 0xfffe {
        let length = content.min(0xfffe - hello.len() - 5);
        let (part, behind) = rest.split_at(length);
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        hello.extend_from_slice(&[22, 3, 1, high, low]);
        hello.extend_from_slice(part);
        rest = behind;
    }
    hello
}

/// A client that reads nothing of its answer, and whose upload nobody takes any more.
fn uploading(gateway: &Gateway) -> Client {
    let tcp = gateway.tcp_from("127.0.0.1");
    let socket = tcp.try_clone().unwrap();
    let mut client = gateway.client_over(tcp);
    let head = Request::new("POST", "/up")
        .by(&ALICE)
        .field("X-Large", &"x".repeat(40_000))
        .field("Content-Length", "1000000000");
    client.send(&head.bytes());
    // Buffers of the kernel are filled as well: these are many times ours.
    socket.set_write_timeout(Some(FULL)).unwrap();
    loop {
        if let Err(error) = client.try_send(&[0; 64 << 10]) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            return client;
        }
    }
}

/// The most memory it has taken, once all that will be buffered is.
pub(super) fn settled_peak(gateway: &Gateway) -> u64 {
    let still = Duration::from_millis(500);
    poll::settled("the gateway's memory", still, || gateway.peak_memory())
}

/// `  what: COUNT x EACH bytes = … MiB`
pub(super) fn terms(finished: &Finished) -> BTreeMap<String, u64> {
    let term = |line: &str| {
        let (what, product) = line.strip_prefix("  ")?.split_once(": ")?;
        let (factors, _) = product.split_once(" bytes = ")?;
        let (count, each) = factors.split_once(" x ")?;
        let product = count.parse::<u64>().ok()? * each.parse::<u64>().ok()?;
        Some((what.to_owned(), product))
    };
    let terms: BTreeMap<_, _> = finished.stdout.lines().filter_map(term).collect();
    assert!(terms.len() >= 13, "{finished:?}");
    terms
}

/// Sizes of types differ from build to build.
fn without_sizes(line: &str) -> String {
    let hide = |text: &str| -> String {
        let words = text.split(' ').map(|word| match word.parse::<u64>() {
            Ok(_) => "#",
            Err(_) => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    match line.split_once(" x ") {
        Some((count, rest)) => format!("{count} x {}", hide(rest)),
        None if line.starts_with("memory: ") => hide(line),
        None => line.to_owned(),
    }
}

/// Few: each fills megabytes of the kernel's.
const UPLOADS: usize = 8;

/// A connection that takes nothing for so long is full.
const FULL: Duration = Duration::from_millis(200);
