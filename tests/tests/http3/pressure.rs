//! Back-pressure in a WebSocket over HTTP/3 (RFC 9220), both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway_tests::harness::bulk::MIB;
use gateway_tests::harness::{ALICE, Backend, HANDSHAKE, Request, SWITCHING, poll};

use crate::gateway;

#[test]
fn who_reads_nothing_of_a_websocket_holds_the_back_end_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(SWITCHING);
        // A binary frame (RFC 6455 §5.2), of 64 KiB.
        let frame = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[b'd'; PAYLOAD]].concat();
        while conn.send(&frame) {
            counter.fetch_add(frame.len() as u64, Ordering::SeqCst);
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let resident = gateway.reset_peak_memory();
    let mut stream = client.begin(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE));
    stream.read_answer().unwrap().expect(200);
    let sent = || sent.load(Ordering::SeqCst);
    let stalled = poll::settled("the back-end's sending", STILL, sent);
    assert!(stalled > PAYLOAD as u64, "{stalled}");
    assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
    let grown = gateway.peak_memory().saturating_sub(resident);
    assert!(grown < 8 * MIB, "{grown} bytes more memory");
    // Once it reads again, all goes on, in order.
    let mut read = Vec::new();
    while read.len() < (stalled + 8 * MIB) as usize {
        read.extend(stream.exactly(PAYLOAD));
    }
    for frame in read.chunks_exact(PAYLOAD + 10) {
        assert_eq!(frame[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert!(frame[10..].iter().all(|byte| *byte == b'd'));
    }
}

#[test]
fn a_back_end_that_reads_nothing_of_a_websocket_holds_the_client_back() {
    let go = Arc::new(AtomicBool::new(false));
    let received = Arc::new(AtomicU64::new(0));
    let (flag, counter) = (go.clone(), received.clone());
    // A masked one, whose mask changes nothing.
    let frame = [
        &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &[b'u'; PAYLOAD],
    ]
    .concat();
    let expected = frame.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(SWITCHING);
        poll::until("the back-end may read", || {
            flag.load(Ordering::SeqCst).then_some(())
        });
        while let Some(frame) = conn.exactly(expected.len()) {
            assert!(frame == expected);
            counter.fetch_add(frame.len() as u64, Ordering::SeqCst);
        }
    });
    let gateway = gateway(&backend);
    let client = gateway.http3();
    let resident = gateway.reset_peak_memory();
    let mut stream = client.begin(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE));
    stream.read_answer().unwrap().expect(200);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..FRAMES {
                stream.send_data(&frame);
                sent.fetch_add(frame.len() as u64, Ordering::SeqCst);
            }
        });
        let sent = || sent.load(Ordering::SeqCst);
        let stalled = poll::settled("the client's sending", STILL, sent);
        assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
        let grown = gateway.peak_memory().saturating_sub(resident);
        assert!(grown < 8 * MIB, "{grown} bytes more memory");
        go.store(true, Ordering::SeqCst);
    });
    let all = FRAMES * frame.len() as u64;
    poll::until("the back-end has all of it", || {
        (received.load(Ordering::SeqCst) == all).then_some(())
    });
}

const PAYLOAD: usize = 65_536;

/// 64 MiB.
const FRAMES: u64 = 1024;

const STILL: Duration = Duration::from_millis(700);
