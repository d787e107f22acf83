//! Floods: what is sent without end, and brings nothing on, ends with its code.

use gateway_tests::harness::{ALICE, Backend, CONNECT, Gateway, Http3, Request, poll, scale};

use crate::bystander::attacked;
use crate::{
    EXCESSIVE_LOAD, FRAME_UNEXPECTED, ID_ERROR, QPACK_DECODER_STREAM_ERROR,
    QPACK_ENCODER_STREAM_ERROR, gateway, setup,
};

#[test]
fn requests_that_are_given_up_end_their_connection() {
    type Form = fn(&Http3) -> Option<()>;
    let forms: [(&str, Form); 4] = [
        ("HEADERS, then both directions reset", |client| {
            client.try_begin(&Request::get("/").by(&ALICE))?.cancel();
            Some(())
        }),
        ("a whole request whose answer is stopped", |client| {
            let mut stream = client.try_begin(&Request::get("/").by(&ALICE))?;
            stream.send.finish().ok()?;
            stream.stop();
            Some(())
        }),
        ("half a head, then reset", |client| {
            let mut stream = client.try_open()?;
            stream.try_send_raw(&[0x01, 0x40]).ok()?;
            stream.cancel();
            Some(())
        }),
        // CVE-2025-8671 in HTTP/3's words: the gateway is made to break the request off.
        ("a body that is longer than was said", |client| {
            let request = Request::new("POST", "/").by(&ALICE);
            let mut stream = client.try_begin(&request.field("Content-Length", "1"))?;
            // Of the two DATA frames the second is one too many.
            stream.try_send_raw(&[0, 1, b'a', 0, 1, b'b']).ok()?;
            Some(())
        }),
    ];
    for (name, form) in forms {
        let backend = Backend::recording();
        let gateway = one_worker(&backend);
        attacked(&gateway, || {
            for _ in 0..scale(2, 20) {
                let client = gateway.http3();
                let mut begun = 0;
                while begun < MANY && client.connection().close_reason().is_none() {
                    if form(&client).is_none() {
                        break;
                    }
                    begun += 1;
                }
                assert_eq!(client.closed(), EXCESSIVE_LOAD, "{name}, {begun} times");
            }
        });
        let labels = [("direction", "out"), ("code", "H3_EXCESSIVE_LOAD")];
        gateway.counted("connect_gateway_http3_resets_total", &labels, 2.0);
    }
}

#[test]
fn who_is_answered_as_often_may_give_up() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let client = gateway.http3();
    for _ in 0..300 {
        client.begin(&Request::get("/")).cancel();
        client.ask(&Request::get("/")).expect(401);
    }
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn frames_that_bring_nothing_on_end_their_connection() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    let unknown = [&[0x21, 0x44, 0x00][..], &[0; 0x400]].concat();
    // Type, length, payload (RFC 9114 §7.1).
    let frames: [(&str, &[u8]); 3] = [
        ("DATA without a byte", &[0x00, 0x00]),
        ("unknown without a byte", &[0x21, 0x00]),
        ("unknown", &unknown),
    ];
    attacked(&gateway, || {
        for (name, frame) in frames {
            let client = gateway.http3();
            let mut stream = client.begin(&Request::new("POST", "/").by(&ALICE));
            flood(name, || stream.try_send_raw(&frame.repeat(1000)).is_ok());
            assert_eq!(client.closed(), EXCESSIVE_LOAD, "{name}");
        }
        // Before the head there can be no DATA.
        for (name, frame) in &frames[1..] {
            let client = gateway.http3();
            let mut stream = client.open();
            flood(name, || stream.try_send_raw(&frame.repeat(1000)).is_ok());
            assert_eq!(client.closed(), EXCESSIVE_LOAD, "{name} before the head");
        }
    });
    // Some of each are in order.
    let client = gateway.http3();
    let mut stream = client.begin(&Request::new("POST", "/some").by(&ALICE));
    for (_, frame) in frames {
        stream.send_raw(&frame.repeat(10));
    }
    stream.send_data(b"body").finish();
    stream.read_answer().unwrap().expect(200);
    let received = backend.take();
    let received = received.iter().find(|request| request.target == "/some");
    assert_eq!(received.unwrap().body, b"body");
}

#[test]
fn floods_of_what_is_said_of_a_connection_end_it() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    let settings = |count: u8| {
        let lines = (0..count).flat_map(|number| [0x40 | 1, number, 0]);
        let payload: Vec<u8> = lines.collect();
        let length = payload.len() as u16 | 0x4000;
        [&[0x00, 0x04][..], &length.to_be_bytes(), &payload].concat()
    };
    let begun: &[u8] = &[0x00, 0x04, 0x00];
    let priority: &[u8] = &[0x80, 0x0f, 0x07, 0x00, 0x04, 0x00, b'u', b'=', b'1'];
    // What a stream begins with, and what follows again and again.
    let cases: [(&str, &[u8], &[u8], u64); 12] = [
        ("settings", &settings(100), &[], EXCESSIVE_LOAD),
        (
            "a SETTINGS frame without end",
            &[0x00, 0x04, 0x80, 0x10, 0x00, 0x00],
            &[0x41, 0x00, 0x00],
            EXCESSIVE_LOAD,
        ),
        ("SETTINGS", begun, &[0x04, 0x00], FRAME_UNEXPECTED),
        ("PRIORITY_UPDATE", begun, priority, EXCESSIVE_LOAD),
        ("GOAWAY", begun, &[0x07, 0x01, 0x00], EXCESSIVE_LOAD),
        ("MAX_PUSH_ID", begun, &[0x0d, 0x01, 0x05], EXCESSIVE_LOAD),
        ("CANCEL_PUSH", begun, &[0x03, 0x01, 0x00], ID_ERROR),
        ("unknown frames", begun, &[0x21, 0x00], EXCESSIVE_LOAD),
        (
            "an unknown frame without end",
            &[0x00, 0x04, 0x00, 0x21, 0xc0, 0, 1, 0, 0, 0, 0, 0],
            &[0],
            EXCESSIVE_LOAD,
        ),
        ("capacities of 0", &[0x02], &[0x20], EXCESSIVE_LOAD),
        (
            "insertions",
            &[0x02],
            &[0x41, b'a', 0x01, b'b'],
            QPACK_ENCODER_STREAM_ERROR,
        ),
        (
            "acknowledgements",
            &[0x03],
            &[0x80],
            QPACK_DECODER_STREAM_ERROR,
        ),
    ];
    attacked(&gateway, || {
        for (name, begin, again, code) in cases {
            let client = quiet(&gateway);
            let mut stream = client.say(begin);
            let again = again.repeat(1000);
            flood(name, || {
                !again.is_empty() && client.write(&mut stream, &again).is_ok()
            });
            assert_eq!(client.closed(), code, "{name}");
        }
    });
    // 64 settings are in order, and so is a client that wants each answer in another order.
    let client = quiet(&gateway);
    let mut control = client.say(&settings(64));
    for _ in 0..1000 {
        client.write(&mut control, priority).unwrap();
        client.ask(&Request::get("/")).expect(401);
    }
}

#[test]
fn streams_of_no_use_end_their_connection() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    // A reserved type (RFC 9114 §6.2.3); no type at all.
    for (name, bytes) in [("reserved", &[0x21, 1, 2, 3][..]), ("typeless", &[])] {
        attacked(&gateway, || {
            for _ in 0..scale(2, 20) {
                let client = gateway.http3();
                let mut opened = 0;
                while opened < MANY && client.try_say(bytes) {
                    opened += 1;
                }
                assert_eq!(client.closed(), EXCESSIVE_LOAD, "{name}, {opened} times");
            }
        });
        // Who also asks for something may have some each time.
        let client = gateway.http3();
        for _ in 0..10 {
            for _ in 0..20 {
                assert!(client.try_say(bytes));
            }
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
        }
    }
}

/// A gateway of one worker, which an attack and everybody else share.
pub(crate) fn one_worker(backend: &Backend) -> Gateway {
    setup(backend).line("gateway", "workers = 1").start()
}

/// A client that has said nothing.
fn quiet(gateway: &Gateway) -> Http3 {
    Http3::quiet(gateway.address(), gateway.http3_tls(), CONNECT).unwrap()
}

/// Sends until nothing more is taken.
#[track_caller]
fn flood(name: &str, mut more: impl FnMut() -> bool) {
    poll::until(&format!("the flood is ended: {name}"), || {
        (!more()).then_some(())
    });
}

/// More than any bound.
const MANY: u32 = 5000;
