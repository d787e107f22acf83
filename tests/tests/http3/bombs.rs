//! Field sections that are more when they are decoded than they look, or that nobody can decode.

use std::pin::pin;
use std::task::{Context, Waker};

use gateway_tests::harness::{ALICE, Backend, CONNECT, Http3, Request, poll, scale};

use crate::QPACK_DECOMPRESSION_FAILED;
use crate::bystander::attacked;
use crate::floods::one_worker;

#[test]
fn large_sections_are_refused() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    // RFC 9204 §4.5.2: entries of the static table, of one byte and of two (Appendix A).
    let short = [&good()[..], &[0xc0 | 62; 60_000]].concat();
    let long = [&good()[..], &[0xff, 85 - 63].repeat(30_000)].concat();
    let crumbs = [&good()[..], &[0xc0 | 5; 600]].concat();
    // §4.5.6, and a value of zeroes: 5 bits each (RFC 7541 Appendix B).
    let mut huffman = [&good()[..], &[0x21, b'a']].concat();
    huffman.extend(integer(0x80, 7, 60_000));
    huffman.extend([0; 60_000]);
    let lines = [&good()[..], &[0x21, b'a', 0].repeat(1000)].concat();
    let plain = [
        &good()[..],
        &[0x21, b'a'],
        &integer(0, 7, 65_400),
        &[b'a'; 65_400],
    ]
    .concat();
    let sections = [
        ("short references", short),
        ("long references", long),
        ("crumbs of cookies", crumbs),
        ("Huffman", huffman),
        ("lines", lines),
        ("one field", plain),
    ];
    for (name, section) in &sections {
        attacked(&gateway, || {
            let client = gateway.http3();
            for _ in 0..scale(10, 500) {
                assert_eq!(send(&client, section), 431, "{name}");
            }
            // Nobody is sent away for it: a browser with too many cookies does so, too.
            client.ask(&Request::get("/").by(&ALICE)).expect(200);
        });
    }
    // What is within the bounds is served: 100 crumbs, and 20 KiB that were 13.
    let client = gateway.http3();
    let mut some = [&good()[..], &[0xc0 | 5; 100], &[0x21, b'a']].concat();
    some.extend(integer(0x80, 7, 12_800));
    some.extend([0; 12_800]);
    assert_eq!(send(&client, &some), 401);
}

#[test]
fn a_section_is_refused_by_the_length_that_it_says() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    attacked(&gateway, || {
        let client = gateway.http3();
        for length in [1 << 20, 1 << 30, 1 << 40, (1 << 62) - 1_u64] {
            let mut stream = client.open();
            let length = (length | 0b11 << 62).to_be_bytes();
            stream.send_raw(&[&[0x01], &length[..]].concat());
            stream.read_answer().unwrap().expect_json(431);
        }
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    });
}

#[test]
fn sections_that_are_held_back_are_bounded() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    attacked(&gateway, || {
        let client = gateway.http3();
        // All that it may have at once, each but for the last byte.
        let streams: Vec<_> = (0..128)
            .map(|_| {
                let mut stream = client.open();
                stream.send_raw(&frame(60_000)).send_raw(&[0; 59_999]);
                stream
            })
            .collect();
        poll::until("the gateway has all of them", || {
            let seen = gateway
                .metrics()
                .sum("connect_gateway_http3_streams_total", &[]);
            // The bystander's are counted, too.
            (seen > 128.0).then_some(())
        });
        // There is no more until one is over.
        let next = pin!(client.connection().open_bi());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(next.poll(&mut cx).is_pending());
        drop(streams);
    });
}

#[test]
fn what_cannot_be_decoded_ends_its_connection() {
    let backend = Backend::recording();
    let gateway = one_worker(&backend);
    let sections: [(&str, &[u8]); 10] = [
        ("nothing", &[]),
        ("half a prefix", &[0x00]),
        ("a table with entries", &[0x02, 0x00, 0x80]),
        ("a base below 0", &[0x00, 0x80]),
        ("an entry of the dynamic table", &[0x00, 0x00, 0x80]),
        ("an entry behind the base", &[0x00, 0x00, 0x10]),
        (
            "a name of the dynamic table",
            &[0x00, 0x00, 0x40, 0x01, b'a'],
        ),
        ("no entry of the static table", &[0x00, 0x00, 0xff, 0x24]),
        (
            "an integer without end",
            &[
                0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ],
        ),
        (
            "a value that is cut off",
            &[0x00, 0x00, 0x21, b'a', 0x7e, b'b'],
        ),
    ];
    attacked(&gateway, || {
        for (name, section) in sections {
            let client = gateway.http3();
            let mut stream = client.open();
            stream.send_raw(&frame(section.len())).send_raw(section);
            assert_eq!(client.closed(), QPACK_DECOMPRESSION_FAILED, "{name}");
        }
    });
    assert_reached_by_nobody_else(&backend);
}

/// Sends a request with that field section; the answer's status.
fn send(client: &Http3, section: &[u8]) -> u16 {
    let mut stream = client.open();
    stream.send_raw(&frame(section.len())).send_raw(section);
    // The gateway may have answered already, and read no further.
    let _ended = stream.send.finish();
    stream.read_answer().expect("an answer").status
}

/// The head of a HEADERS frame of that length.
fn frame(length: usize) -> Vec<u8> {
    let length = 0x8000_0000 | length as u32;
    [&[0x01][..], &length.to_be_bytes()].concat()
}

/// The beginning of a section that is a good request: the prefix, `GET`, `https`, the path `/`, and the
/// authority.
fn good() -> Vec<u8> {
    let start = [
        0x00,
        0x00,
        0xc0 | 17,
        0xc0 | 23,
        0xc0 | 1,
        0x50,
        CONNECT.len() as u8,
    ];
    [&start[..], CONNECT.as_bytes()].concat()
}

/// An integer behind `flags`, with a prefix of so many bits (RFC 9204 §4.1.1).
fn integer(flags: u8, bits: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![flags | value as u8];
    }
    let mut bytes = vec![flags | most as u8];
    value -= most;
    while value >= 128 {
        bytes.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The bystander's requests came, and no others.
fn assert_reached_by_nobody_else(backend: &Backend) {
    for request in backend.take() {
        assert_eq!(request.target, "/");
        assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
    }
}
