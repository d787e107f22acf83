use std::io;
use std::sync::{Arc, Mutex};

use gateway_ebpf::packet::mapped;
use serde_json::{Value, json};

use super::*;
use crate::rules::Local;

#[test]
fn a_refused_process_is_named() {
    let event = Event {
        cgroup: 77,
        pid: 4242,
        uid: 997,
        program: Program::Connect4 as u8,
        reason: Reason::NotGateway as u8,
        enforced: 1,
        destination: mapped([127, 0, 0, 1]),
        destination_port: 3939,
        command: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        ..Event::default()
    };
    let line = logged(&Record::new(&event, &rules(), Some("/system.slice/x"), 3));
    assert_eq!(
        line,
        json!({
            "level": "WARN",
            "message": "refused",
            "program": "connect4",
            "reason": "not_gateway",
            "enforced": true,
            "endpoint": "*:3939",
            "destination": "127.0.0.1:3939",
            "pid": 4242,
            "uid": 997,
            "command": "curl",
            "cgroup": "/system.slice/x",
            "cgroup_id": 77,
            "suppressed": 3,
        })
    );
}

#[test]
fn a_refused_packet_names_its_source_and_no_process() {
    let event = Event {
        interface: 2,
        program: Program::Ingress as u8,
        reason: Reason::NotListed as u8,
        enforced: 0,
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).octets(),
        destination: Ipv6Addr::LOCALHOST.octets(),
        source_port: 50_000,
        destination_port: 80,
        command: *b"innocent\0\0\0\0\0\0\0\0",
        ..Event::default()
    };
    let line = logged(&Record::new(&event, &rules(), None, 0));
    assert_eq!(
        line,
        json!({
            "level": "WARN",
            "message": "would refuse",
            "program": "ingress",
            "reason": "not_listed",
            "enforced": false,
            "destination": "[::1]:80",
            "source": "[2001:db8::9]:50000",
            "interface": 2,
            "suppressed": 0,
        })
    );
}

#[test]
fn what_the_kernel_should_not_say_is_no_panic() {
    let event = Event {
        program: 255,
        reason: 255,
        enforced: 255,
        ..Event::default()
    };
    let record = Record::new(&event, &rules(), None, u64::MAX);
    assert_eq!((record.program, record.reason), ("unknown", "unknown"));
}

#[test]
fn hostile_names_cannot_write_lines() {
    for (name, written) in [
        (*b"a\nb\"\x1b[31m\0\0\0\0\0\0\0", r#"a\nb\"\x1b[31m"#),
        (*b"0123456789abcdef", "0123456789abcdef"),
        (*b"\0hidden\0\0\0\0\0\0\0\0\0", ""),
        // U+202E turns the rest of a line around.
        (*b"\xe2\x80\xaegnp.exe\0\0\0\0\0\0", r"\xe2\x80\xaegnp.exe"),
        ([0xff; 16], &r"\xff".repeat(16)),
    ] {
        assert_eq!(command(&name), written);
    }
}

#[test]
fn a_flood_is_ten_lines_a_second_and_a_count() {
    let mut limiter = Limiter::default();
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let admitted = (0..1000).filter_map(|_| limiter.admit(0, 0, at(0)));
    assert_eq!(admitted.collect::<Vec<_>>(), [0; 10]);
    assert_eq!(limiter.admit(0, 0, at(999)), None);
    assert_eq!(limiter.total, 991);
    assert_eq!(limiter.admit(0, 0, at(1000)), Some(991));
    assert_eq!(limiter.admit(0, 0, at(1000)), Some(0), "it is counted once");
    assert_eq!(limiter.total, 991, "the sum of all stays");
}

#[test]
fn kinds_do_not_starve_each_other() {
    let mut limiter = Limiter::default();
    let now = Instant::now();
    for _ in 0..100 {
        limiter.admit(0, 0, now);
    }
    assert_eq!(limiter.admit(0, 1, now), Some(0));
    assert_eq!(limiter.admit(1, 0, now), Some(0));
    assert_eq!(limiter.admit(0, 0, now), None);
}

/// The clock is read by the caller; events of one batch carry one time, and may be late.
#[test]
fn a_clock_that_stands_or_goes_back_admits_no_more() {
    let mut limiter = Limiter::default();
    let start = Instant::now();
    let later = start + Duration::from_millis(500);
    for _ in 0..10 {
        assert!(limiter.admit(0, 0, later).is_some());
    }
    assert_eq!(limiter.admit(0, 0, start), None);
    assert_eq!(limiter.admit(0, 0, later), None);
}

fn rules() -> Rules {
    Rules {
        slice: "/connect.slice/connect-gateway.slice".into(),
        locals: vec![Local {
            address: None,
            port: 3939,
            service: "/system.slice/rstudio-connect.service".into(),
            uid: None,
            namespace: None,
            reserve: true,
            allow_from: Vec::new(),
        }],
        remotes: Vec::new(),
        exceptions: Vec::new(),
    }
}

/// The line as the process writes it, without its time.
fn logged(record: &Record) -> Value {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer({
            let sink = sink.clone();
            move || sink.clone()
        })
        .finish();
    tracing::subscriber::with_default(subscriber, || record.write());
    let bytes = sink.0.lock().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
