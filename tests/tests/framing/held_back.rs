//! What was received goes on, also where the receiver had no room for it at first.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use gateway_tests::harness::{ALICE, Authority, Backend, OK, Request, Setup, Socket, accept, poll};

#[test]
fn nothing_of_an_answer_is_held_back() {
    let (asked, ports) = channel();
    let (told, total) = channel();
    let (ports, told) = (Mutex::new(ports), Mutex::new(told));
    let room = Mutex::new(None);
    let backend = Backend::scripted(move |conn| {
        conn.request();
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (from, to) = ports
            .lock()
            .unwrap()
            .recv_timeout(poll::patience())
            .unwrap();
        let mut room = room.lock().unwrap();
        let sent = fill(from, to, &mut room, |bytes| assert!(conn.send(bytes)));
        drop(room);
        told.lock().unwrap().send(sent).unwrap();
        // It sends no more, and does not end either.
        conn.read_out();
    });
    let gateway = Setup::connect(&backend).start();
    let ask = || {
        let mut client = gateway.client();
        client.send(&Request::get("/x").by(&ALICE).bytes());
        let ports = (gateway.address().port(), client.port());
        asked.send(ports).unwrap();
        let sent: usize = total.recv_timeout(poll::patience()).unwrap();
        (client, sent)
    };
    drop(ask());
    let (mut client, sent) = ask();
    assert_eq!(client.answer_head().status, 200);
    let mut received = 0;
    while received < sent {
        received += client.chunk().len();
    }
    assert_eq!(received, sent);
}

#[test]
fn nothing_of_an_upload_is_held_back() {
    let ca = Authority::new("back-end CA");
    let (asked, ports) = channel();
    let (told, total) = channel::<usize>();
    let (asked, total) = (Mutex::new(asked), Mutex::new(total));
    let backend = Backend::scripted_tls(accept(&ca.server(&["127.0.0.1"])), move |conn| {
        conn.head();
        asked.lock().unwrap().send(conn.ports()).unwrap();
        let sent = total
            .lock()
            .unwrap()
            .recv_timeout(poll::patience())
            .unwrap();
        let mut received = 0;
        while received < sent {
            received += conn.chunk().expect("the upload goes on").len();
        }
        assert_eq!(received, sent);
        conn.send(OK);
    });
    let gateway = Setup::connect_tls(&backend, &ca).start();
    let mut room = None;
    for _ in 0..2 {
        let mut client = gateway.client();
        let request = Request::new("POST", "/x").by(&ALICE);
        client.send(&request.field("Transfer-Encoding", "chunked").bytes());
        let (to, from) = ports.recv_timeout(poll::patience()).unwrap();
        let sent = fill(from, to, &mut room, |bytes| {
            client.send(bytes);
        });
        told.send(sent).unwrap();
        // The back-end answers as soon as it has all that was sent; the body does not end.
        client.answer().expect(200);
    }
}

/// Sends until the kernel has no more room for what the gateway passes on, and nobody reads it;
/// returns how much payload was sent. The first call measures the `room`, roughly. The second
/// takes single bursts to the end.
#[track_caller]
fn fill(from: u16, to: u16, room: &mut Option<usize>, mut send: impl FnMut(&[u8])) -> usize {
    let held = || Socket::in_flight(from, to);
    let passed_on = |least: u64| {
        let sent = Instant::now();
        while held() < least {
            if sent.elapsed() > STUCK {
                return false;
            }
        }
        true
    };
    // So many chunks that the gateway writes them as soon as it has decoded them, and then finds
    // nothing more to decode.
    let burst = [&b"1f4\r\n"[..], &[b'x'; SIZE], b"\r\n"]
        .concat()
        .repeat(CHUNKS);
    let many = burst.repeat(MANY);
    let Some(room) = *room else {
        let mut sent = 0;
        loop {
            send(&many);
            sent += CHUNKS * SIZE * MANY;
            if !passed_on(sent as u64) {
                *room = Some(sent);
                return sent;
            }
        }
    };
    let mut bursts = room / (CHUNKS * SIZE) - 3 * MANY;
    send(&burst.repeat(bursts));
    // What each burst is on the wire, to the byte: the same for all.
    let [before, after] = [(); 2].map(|()| {
        send(&burst);
        bursts += 1;
        poll::settled("the burst", ACKNOWLEDGED, held)
    });
    let mut all = after;
    loop {
        send(&burst);
        bursts += 1;
        all += after - before;
        if !passed_on(all) {
            return bursts * CHUNKS * SIZE;
        }
    }
}

const CHUNKS: usize = 10;
const SIZE: usize = 500;

/// So many bursts at once fill the room quickly.
const MANY: usize = 20;

/// Longer than an acknowledgement is delayed; until it comes, bytes count at both ends.
const ACKNOWLEDGED: Duration = Duration::from_millis(100);

/// Far longer than the gateway takes to pass a burst on.
const STUCK: Duration = Duration::from_millis(200);
