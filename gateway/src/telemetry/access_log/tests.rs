use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, Receiver};

use policy::{Lane, Stripped};

use super::*;
use crate::telemetry::{Labels, Protocol, Telemetry};

/// A telemetry without labels.
pub(super) fn telemetry() -> Arc<Telemetry> {
    Telemetry::new(&Labels {
        apps: &[],
        auth_causes: &[],
        listeners: &[],
        pools: &[],
    })
}

/// An entry that is recognised by its request id.
pub(super) fn entry(request_id: &str) -> Entry<'_> {
    Entry {
        time_micros: 0,
        request_id,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        listener: "public",
        app: None,
        lane: Lane::Denied,
        reason: None,
        user: None,
        deploy_token: None,
        method: b"GET",
        host: b"h",
        path: b"/",
        query: None,
        protocol: Protocol::H1,
        status: 200,
        bytes_in: 0,
        bytes_out: 0,
        duration_micros: 0,
        first_byte_micros: None,
        upstream: None,
        upstream_status: None,
        upstream_micros: None,
        websocket: false,
        user_agent: None,
        stripped: Stripped::default(),
        answer_stripped: 0,
        error: None,
    }
}

/// The value of a counter of dropped lines.
pub(super) fn dropped(telemetry: &Telemetry, cause: &str) -> u64 {
    let text = telemetry.render();
    let name = format!("connect_gateway_access_log_dropped_total{{cause=\"{cause}\"}} ");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&name))
        .expect("a series");
    value.parse().unwrap()
}

fn log(room: usize) -> (AccessLog, Receiver<Message>, Arc<Telemetry>) {
    let telemetry = telemetry();
    let (sender, messages) = mpsc::sync_channel(room);
    let queue = Queue {
        messages: sender,
        waiting: Arc::default(),
    };
    (
        AccessLog::new(Some(queue), telemetry.worker(0)),
        messages,
        telemetry,
    )
}

fn batch(messages: &Receiver<Message>) -> Option<Vec<u8>> {
    match messages.try_recv() {
        Ok(Message::Batch(batch)) => Some(batch),
        Ok(Message::Wake) | Err(_) => None,
    }
}

#[test]
fn the_caller_is_asked_to_flush_once() {
    let (log, messages, _telemetry) = log(4);
    assert!(log.line(&entry("a")));
    assert!(!log.line(&entry("b")), "asked already");
    assert_eq!(batch(&messages), None, "nothing is shipped before its time");
    log.flush();
    assert_eq!(lines(&batch(&messages).unwrap()), 2);
    log.flush();
    assert_eq!(batch(&messages), None, "no empty batches");
    assert!(log.line(&entry("c")), "asked anew");
}

#[test]
fn a_full_batch_is_shipped_at_once() {
    let (log, messages, _telemetry) = log(4);
    let mut written = 0;
    let full = loop {
        let _flush_is_not_needed = log.line(&entry("a"));
        written += 1;
        if let Some(batch) = batch(&messages) {
            break batch;
        }
    };
    assert_eq!(lines(&full), written);
    assert!(
        (BATCH..BATCH + 1024).contains(&full.len()),
        "{}",
        full.len()
    );
    assert!(full.ends_with(b"\n"));
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let (log, messages, telemetry) = log(1);
    for id in ["kept", "lost", "lost"] {
        assert!(log.line(&entry(id)));
        log.flush();
    }
    assert_eq!(dropped(&telemetry, "queue_full"), 2);
    let kept = String::from_utf8(batch(&messages).unwrap()).unwrap();
    assert!(
        kept.contains("kept") && lines(kept.as_bytes()) == 1,
        "{kept}"
    );
    assert!(log.line(&entry("after")));
    log.flush();
    assert!(batch(&messages).is_some(), "room again");
    drop(messages);
    assert!(log.line(&entry("lost")));
    log.flush();
    assert_eq!(dropped(&telemetry, "queue_full"), 3, "the writer has ended");
}

#[test]
fn what_waits_is_bounded_by_its_bytes() {
    let (log, messages, telemetry) = log(QUEUE);
    let mut written = 0;
    while dropped(&telemetry, "queue_full") == 0 {
        let _flush_is_not_needed = log.line(&entry("a"));
        written += 1;
    }
    let waiting: Vec<_> = std::iter::from_fn(|| batch(&messages)).collect();
    let bytes: usize = waiting.iter().map(Vec::len).sum();
    assert!(
        (MOST_WAITING - 2 * BATCH..=MOST_WAITING).contains(&bytes),
        "{bytes}"
    );
    let kept: u64 = waiting.iter().map(|batch| lines(batch)).sum();
    assert_eq!(kept + dropped(&telemetry, "queue_full"), written);

    // Small ones take no more than they have.
    let (log, messages, _telemetry) = self::log(QUEUE);
    let _asked = log.line(&entry("small"));
    log.flush();
    let small = batch(&messages).unwrap();
    assert!(small.capacity() < 2 * small.len(), "{}", small.capacity());
}

#[test]
fn the_end_of_a_worker_ships_the_rest() {
    let (log, messages, _telemetry) = log(1);
    assert!(log.line(&entry("last")));
    drop(log);
    assert_eq!(lines(&batch(&messages).unwrap()), 1);
}

#[test]
fn off_is_silent() {
    let telemetry = telemetry();
    let writer = AccessLogWriter::start(&config::AccessLog::Off, Arc::clone(&telemetry)).unwrap();
    let log = writer.worker(telemetry.worker(0));
    assert!(!log.line(&entry("a")), "no flush is needed");
    log.flush();
    writer.reopen();
    drop(log);
    writer.shutdown(std::time::Duration::ZERO).unwrap();
    assert_eq!(dropped(&telemetry, "queue_full"), 0);
}
