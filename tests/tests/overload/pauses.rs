//! The process stands still for a while, as in a frozen container.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Conn, HANDSHAKE, OK, Request, SWITCHING, Setup};

/// Whoever has moved before, and moves after, was not silent in between: it is the gateway that
/// did not look.
#[test]
fn a_process_that_stood_still_cuts_nobody_who_moves() {
    let over = Arc::<AtomicBool>::default();
    let backend = Backend::scripted({
        let over = Arc::clone(&over);
        move |conn| serve(conn, &over)
    });
    let setup = Setup::connect(&backend).line("limits", "body_rate = 0");
    let keys = ["body", "answer", "tunnel"];
    let gateway = keys
        .iter()
        .fold(setup, |setup, key| {
            setup.line("timeouts", &format!("{key} = \"{}ms\"", PERIOD.as_millis()))
        })
        .start();
    let [mut upload, mut answer, mut tunnel] = [(); 3].map(|()| gateway.client());
    let request = Request::new("POST", "/upload").by(&ALICE);
    upload.send(&request.field("Transfer-Encoding", "chunked").bytes());
    answer.send(&Request::get("/answer").by(&ALICE).bytes());
    tunnel.send(&Request::get("/tunnel").by(&ALICE).fields(HANDSHAKE).bytes());
    assert_eq!(tunnel.answer().status, 101);
    let moving = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::SeqCst) {
                upload.send(b"1\r\nx\r\n");
                tunnel.send(&FRAME);
                sleep(STEP);
            }
            upload.send(b"0\r\n\r\n");
            tunnel.send(&LAST_FRAME);
            (upload, tunnel)
        }
    });
    // They move before, in between, and after.
    sleep(PERIOD);
    gateway.pause();
    sleep(4 * PERIOD);
    gateway.resume();
    sleep(PERIOD);
    over.store(true, Ordering::SeqCst);
    answer.answer().expect(200);
    let (mut upload, mut tunnel) = moving.join().expect("both go on");
    upload.answer().expect(200);
    assert_eq!(tunnel.raw(ECHO.len()), ECHO);
    // The time-outs are at work: who is silent from now on is cut.
    tunnel.expect_end();
}

/// Answers byte by byte until it is over; takes the rest, and tells where it ends.
fn serve(conn: &mut Conn, over: &AtomicBool) {
    while let Some(head) = conn.head() {
        match head.target.as_str() {
            "/answer" => {
                conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                while !over.load(Ordering::SeqCst) && conn.send(b"1\r\nx\r\n") {
                    sleep(STEP);
                }
                conn.send(b"0\r\n\r\n");
            }
            "/tunnel" => {
                conn.send(SWITCHING);
                while let Some(frame) = conn.exactly(FRAME.len()) {
                    if frame == LAST_FRAME {
                        conn.send(&ECHO);
                    }
                }
                return;
            }
            _ => {
                if conn.body_of(&head).is_err() {
                    return;
                }
                conn.send(OK);
            }
        }
    }
}

/// One byte in a masked binary frame (RFC 6455 §5.2).
const FRAME: [u8; 7] = [0x82, 0x81, 0, 0, 0, 0, b'x'];
const LAST_FRAME: [u8; 7] = [0x82, 0x81, 0, 0, 0, 0, b'!'];
/// The back-end's, which masks nothing.
const ECHO: [u8; 3] = [0x82, 1, b'!'];

/// How long silence may last.
const PERIOD: Duration = Duration::from_secs(1);

/// From one byte to the next.
const STEP: Duration = Duration::from_millis(20);
