//! Slow readers, on answers and in tunnels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, HANDSHAKE, Request, SWITCHING, Setup, poll};

#[test]
fn a_slow_reader_holds_the_back_end_back() {
    for websocket in [false, true] {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let backend = Backend::scripted(move |conn| {
            if conn.head().is_none() {
                return;
            }
            conn.send(if websocket {
                SWITCHING
            } else {
                b"HTTP/1.1 200 OK\r\n\r\n"
            });
            let part = vec![b'x'; 65536];
            while conn.send(&part) {
                counter.fetch_add(part.len() as u64, Ordering::SeqCst);
            }
        });
        let gateway = Setup::connect(&backend).start();
        let resident = gateway.reset_peak_memory();
        let mut client = gateway.client();
        let request = Request::get("/flood").by(&ALICE);
        let request = if websocket {
            request.fields(HANDSHAKE)
        } else {
            request
        };
        client.send(&request.bytes());
        client.answer_head();
        // Kernel buffers on four sockets fill; then everything stands still.
        let stalled = poll::settled("the back-end's writing", Duration::from_millis(700), || {
            sent.load(Ordering::SeqCst)
        });
        assert!(stalled < 32 * MIB, "{stalled} bytes went nowhere");
        let grown = gateway.peak_memory().saturating_sub(resident);
        assert!(grown < 4 * MIB, "{grown} bytes more memory");
        // Reading on sets everything going again.
        client.skip(stalled);
        poll::until("the back-end goes on", || {
            (sent.load(Ordering::SeqCst) > stalled + MIB)
                .then_some(())
                .or_else(|| {
                    client.skip(MIB);
                    None
                })
        });
    }
}

#[test]
fn write_stall_reaped() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = gone.clone();
    let backend = Backend::scripted(move |conn| {
        if conn.head().is_none() {
            return;
        }
        conn.send(b"HTTP/1.1 200 OK\r\n\r\n");
        while conn.send(&[b'x'; 65536]) {}
        flag.store(true, Ordering::SeqCst);
    });
    let gateway = Setup::connect(&backend)
        .line("timeouts", "body = \"1s\"")
        .start();
    let mut client = gateway.client();
    client.send(&Request::get("/flood").by(&ALICE).bytes());
    client.answer_head();
    poll::until("the stalled connection is given up", || {
        gone.load(Ordering::SeqCst).then_some(())
    });
    gateway.logged("the stall", |line| {
        line["path"] == "/flood" && line["error"].is_string()
    });
}

const MIB: u64 = 1024 * 1024;
