//! What `check` says of HTTP/3's memory, and what it takes.

use gateway_tests::harness::{ALICE, Backend, Http3, Request, Setup, scale};

use super::memory::{settled_peak, terms};

#[test]
fn check_counts_what_http3_allows() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend)
        .line("gateway", "workers = 4")
        .line("limits", "connections = 1000")
        .line("limits", "http3_streams = 10")
        .listener_line("http3 = true")
        .prepare();
    let finished = prepared.finish(&["check", "--offline"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (_, of_http3) = finished.stdout.split_once("  password checks: ").unwrap();
    let counts: Vec<_> = of_http3
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(" x ")?.0))
        .collect();
    assert_eq!(
        counts,
        [
            "  endpoints of HTTP/3: 4",
            "  connections of HTTP/3: 1000",
            "  requests over HTTP/3: 10000",
        ]
    );
    prepared.edit("http3 = true", "http3 = false");
    let without = prepared.finish(&["check", "--offline"]);
    assert!(!without.stdout.contains("HTTP/3"), "{without:?}");
}

/// The terms that clients of HTTP/3 can drive bound what they drive.
#[test]
fn connections_over_http3_stay_within_the_formula() {
    // It takes nothing of an upload, and answers more than anybody reads.
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.head() {
            if request.target == "/" {
                // An end of the stream that comes behind the head is a chunk.
                conn.body_of(&request).unwrap();
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                continue;
            }
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while conn.send(&[b'x'; 65536]) {}
            return;
        }
    });
    let connections = scale(80, 300);
    let prepared = Setup::connect(&backend)
        .line("gateway", "workers = 2")
        .line("limits", &format!("connections = {connections}"))
        .listener_line("http3 = true")
        .prepare();
    let terms = terms(&prepared.finish(&["check", "--offline"]));
    let gateway = prepared.start();
    let before = gateway.reset_peak_memory();
    let fixed = terms["process"] + terms["workers"] + terms["endpoints of HTTP/3"];
    assert!(before <= fixed, "{before} of {fixed} bytes at the start");

    // Each has been of use once, and is idle; what is there once for all is not theirs.
    let useful = || {
        let client = gateway.http3();
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
        client
    };
    let first: Vec<Http3> = (0..FIRST).map(|_| useful()).collect();
    settled_peak(&gateway);
    let before = gateway.reset_peak_memory();
    let clients: Vec<Http3> = (FIRST..connections).map(|_| useful()).collect();
    let idle = settled_peak(&gateway).saturating_sub(before);
    let each = idle / clients.len() as u64;
    println!("{each} bytes each that is idle");
    assert!(each < IDLE, "{each} bytes each that is idle");

    let before_load = gateway.reset_peak_memory();
    let mut streams = Vec::new();
    for client in clients.iter().take(LOADED) {
        for number in 0..STREAMS {
            let request = match number % 2 {
                0 => Request::get("/down"),
                _ => Request::new("POST", "/up"),
            };
            let mut stream = client.begin(&request.by(&ALICE));
            match number % 2 {
                0 => drop(stream.finish()),
                // Less than the client's share of the window, so that it is taken at once.
                _ => drop(stream.send_data(&[b'x'; 100_000])),
            }
            streams.push(stream);
        }
    }
    let loaded = settled_peak(&gateway);
    let each = loaded.saturating_sub(before_load) / LOADED as u64;
    // Of 128 requests that each may have.
    let requests = terms["requests over HTTP/3"] / 128 * STREAMS;
    let of_one = (terms["connections of HTTP/3"] + requests) / connections;
    println!("{each} bytes each that is loaded, of {of_one}");
    assert!(
        each <= of_one,
        "{each} of {of_one} bytes each that is loaded"
    );
    // They are a load.
    assert!(each > 1 << 20, "{each} bytes each that is loaded");
    drop(first);
}

/// Enough for both workers to have had some.
const FIRST: u64 = 16;

/// Requests at once on a connection.
const STREAMS: u64 = 8;

/// Connections that have them: each fills megabytes.
const LOADED: usize = 8;

/// An idle connection's own state, and what TCP's takes, which counts for both.
const IDLE: u64 = (64 + 12) << 10;
