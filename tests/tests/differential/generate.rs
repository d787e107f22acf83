//! Messages, most of them good or nearly so: a grammar with the known smuggling variants among its
//! choices, then a few mutated bytes. Behind each a second message follows, so that a wrong length
//! shows.

use gateway_tests::harness::Random;

/// A request, and another behind it.
pub(crate) fn request(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    if random.once_in(40) {
        put(
            &mut out,
            random.pick(&[&b"\r\n"[..], b"\n", b" ", b"\r\n\r\n", b"\0"]),
        );
    }
    put(&mut out, usually(random, METHODS, ODD_METHODS));
    put(&mut out, usually(random, &[b" "], ODD_SPACES));
    put(&mut out, usually(random, TARGETS, ODD_TARGETS));
    put(&mut out, usually(random, &[b" "], ODD_SPACES));
    let versions: &[&[u8]] = &[b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"];
    put(&mut out, usually(random, versions, ODD_VERSIONS));
    line_end(random, &mut out);
    put(&mut out, usually(random, &[b"Host: a\r\n"], ODD_HOSTS));
    message_after(random, &mut out, REQUEST_FIELDS);
    put(&mut out, b"GET /second HTTP/1.1\r\nHost: b\r\n\r\n");
    out
}

/// An answer, and another behind it.
pub(crate) fn answer(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    if random.once_in(40) {
        put(&mut out, random.pick(&[&b"\r\n"[..], b"\n", b" ", b"x"]));
    }
    let versions: &[&[u8]] = &[b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"];
    put(&mut out, usually(random, versions, ODD_VERSIONS));
    put(&mut out, usually(random, &[b" "], ODD_SPACES));
    put(&mut out, usually(random, STATUSES, ODD_STATUSES));
    put(&mut out, usually(random, REASONS, ODD_REASONS));
    line_end(random, &mut out);
    message_after(random, &mut out, ANSWER_FIELDS);
    put(&mut out, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    out
}

/// Fields, the empty line and a body, then mutations of everything so far.
fn message_after(random: &mut Random, out: &mut Vec<u8>, fields: &[&[u8]]) {
    for _ in 0..random.below(5) {
        field(random, out, fields);
    }
    let length = random.below(12);
    match random.below(8) {
        0 | 1 => put(out, format!("Content-Length: {length}\r\n").as_bytes()),
        2 | 3 => put(out, b"Transfer-Encoding: chunked\r\n"),
        4 => put(out, random.pick(ODD_FRAMINGS)),
        _ => {}
    }
    if random.once_in(3) {
        field(random, out, fields);
    }
    line_end(random, out);
    match random.below(8) {
        0..=2 => chunks(random, out),
        3..=5 => put(out, &b"0\r\n\r\nbody!!"[..length.min(11)]),
        _ => {}
    }
    if random.once_in(3) {
        for _ in 0..1 + random.below(2) {
            mutate(random, out);
        }
    }
}

fn field(random: &mut Random, out: &mut Vec<u8>, fields: &[&[u8]]) {
    put(out, usually(random, fields, ODD_FIELDS));
}

fn chunks(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..random.below(3) {
        let size = 1 + random.below(20);
        match random.below(4) {
            0 => put(out, format!("{size:X}").as_bytes()),
            1 => put(out, format!("00{size:x}").as_bytes()),
            _ => put(out, format!("{size:x}").as_bytes()),
        }
        put(out, usually(random, &[b""], ODD_EXTENSIONS));
        line_end(random, out);
        put(out, &b"0\r\n\r\nabcdefghijklmnopqrst"[..size]);
        line_end(random, out);
    }
    put(out, usually(random, &[b"0"], ODD_LAST));
    line_end(random, out);
    if random.once_in(6) {
        field(random, out, ANSWER_FIELDS);
    }
    line_end(random, out);
}

fn line_end(random: &mut Random, out: &mut Vec<u8>) {
    put(
        out,
        match random.below(150) {
            0 => b"\n",
            1 => b"\r",
            2 => b"\r\r\n",
            3 => b" \r\n",
            4 => b"\n\r\n",
            _ => b"\r\n",
        },
    );
}

/// Inserts, removes or replaces a byte, or repeats a piece.
fn mutate(random: &mut Random, out: &mut Vec<u8>) {
    let at = random.below(out.len());
    let byte = match random.once_in(4) {
        true => (random.number() & 0xff) as u8,
        false => random.pick(b"\r\n\0\t :;,=\"\\/%#?@[]0129afAFxX+-_\x0b\x0c\x7f\x80\xff"),
    };
    match random.below(4) {
        0 => out.insert(at, byte),
        1 => drop(out.remove(at)),
        2 => out[at] = byte,
        _ => {
            let end = out.len().min(at + 1 + random.below(24));
            let piece = out[at..end].to_vec();
            let to = random.below(out.len());
            out.splice(to..to, piece);
        }
    }
}

fn usually<'a>(random: &mut Random, good: &[&'a [u8]], odd: &[&'a [u8]]) -> &'a [u8] {
    match random.once_in(25) {
        true => random.pick(odd),
        false => random.pick(good),
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

const METHODS: &[&[u8]] = &[
    b"GET", b"GET", b"HEAD", b"POST", b"POST", b"PUT", b"DELETE", b"OPTIONS",
];

const ODD_METHODS: &[&[u8]] = &[
    b"get",
    b"G(T",
    b"",
    b"PROPFIND",
    b"BREW",
    b"CONNECT",
    b"GE\tT",
    b"PRI",
    b"!#$%&'*+-.^_`|~",
];

const ODD_SPACES: &[&[u8]] = &[
    b"", b"  ", b"\t", b" \t", b"\r", b"\x0b", b"\x0c", b"\xa0", b"\n",
];

const TARGETS: &[&[u8]] = &[
    b"/",
    b"/a/b",
    b"/a%20b",
    b"/a?b=c",
    b"/?",
    b"/x?filter=account_id:7",
    b"/a;b=c//d",
    b"/~a:@!$&'()*+,=",
    b"http://a/x",
    b"https://A/?y",
    b"http://a",
];

const ODD_TARGETS: &[&[u8]] = &[
    b"",
    b"*",
    b"a",
    b"/a#b",
    b"/a?b#c",
    b"/\\",
    b"/\"<>{}|^`",
    b"/%",
    b"/%zz",
    b"/%00",
    b"/\xff\xfe",
    b"/?\xe9",
    b"/?\"<>{}|^`\\%z",
    b"a:443",
    b"http://b/",
    b"http://u@a/",
    b"http:///",
    b"ftp://a/",
    b"//a/b",
    b"/a\x7fb",
    b"/a\x01b",
    b"/../x",
    b"http://a:80/",
    b"HTTP://a/",
];

const ODD_VERSIONS: &[&[u8]] = &[
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/1",
    b"http/1.1",
    b"HTTP/01.1",
    b"HTTP/1.10",
    b"HTTP/1.1x",
    b"ICY",
    b"",
    b"HTTP/11",
    b"HTTP /1.1",
    b"RTSP/1.0",
];

const ODD_HOSTS: &[&[u8]] = &[
    b"",
    b"Host: a\r\nHost: a\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Host:\r\n",
    b"Host: a, b\r\n",
    b"Host: a/b\r\n",
    b"Host: u@a\r\n",
    b"host:\ta \r\n",
    b"Host : a\r\n",
    b"Host: a:80\r\n",
    b"Host: [::1]:80\r\n",
    b"Host: a\xff\r\n",
    b"Host: a b\r\n",
    b"Host: %61\r\n",
    b" Host: a\r\n",
    b"Host: a:x\r\n",
];

const REQUEST_FIELDS: &[&[u8]] = &[
    b"X-A: b\r\n",
    b"x-empty:\r\n",
    b"X-Tab:\tv\t\r\n",
    b"X-Spaces:   v w   \r\n",
    b"X-High: \xe9\xff\r\n",
    b"Cookie: a=b; c=\"d\"\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close, x-a\r\n",
    b"!#$%&'*+-.^_`|~: v\r\n",
    b"Expect: 100-continue\r\n",
    b"X_Under: v\r\n",
    b"Accept: */*\r\n",
    b"TE: trailers\r\n",
    b"X-Q: \"a\\\"b\"\r\n",
    b"Trailer: x-a\r\n",
];

const ANSWER_FIELDS: &[&[u8]] = &[
    b"X-A: b\r\n",
    b"x-empty:\r\n",
    b"X-Tab:\tv\t\r\n",
    b"X-Spaces:   v w   \r\n",
    b"X-High: \xe9\xff\r\n",
    b"Set-Cookie: a=b; Path=/\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close, x-a\r\n",
    b"!#$%&'*+-.^_`|~: v\r\n",
    b"X_Under: v\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
];

const ODD_FIELDS: &[&[u8]] = &[
    b"X-A : b\r\n",
    b" X-A: b\r\n",
    b"X-A: b\r\n c\r\n",
    b"X-A: b\r\n\tc\r\n",
    b"X-A\r\n",
    b": b\r\n",
    b"X(A: b\r\n",
    b"X-A: b\0c\r\n",
    b"X-A: b\x01c\r\n",
    b"X-A: b\x7fc\r\n",
    b"X-A: b\rc\r\n",
    b"X-A: b\nX-B: c\r\n",
    b"X-A: b\r\r\n",
    b"X\xe9: b\r\n",
    b"X-A: b\x0b\r\n",
    b"\"X\": b\r\n",
    b"X-A:\x0bb\r\n",
    b"Connection: a b\r\n",
    b"Connection: ,\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
    b"Proxy-Connection: close\r\n",
];

const ODD_FRAMINGS: &[&[u8]] = &[
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 5, 6\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: -5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 5 \r\n",
    b"Content-Length: 5 5\r\n",
    b"Content-Length: 05\r\n",
    b"Content-Length:\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length: 5;\r\n",
    b"Content-Length: 18446744073709551621\r\n",
    b"Content-Length: 9223372036854775808\r\n",
    b"Content-Length: 9223372036854775807\r\n",
    b"Content-Length: \"5\"\r\n",
    b"Content-Length: 5\x0b\r\n",
    b"content_length: 5\r\n",
    b"Transfer-Encoding: Chunked\r\n",
    b"Transfer-Encoding:chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunkedx\r\n",
    b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: \r\n chunked\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding: chunked\x00\r\n",
    b"Transfer\xadEncoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"Content-Length: 5\nTransfer-Encoding: chunked\r\n",
];

const ODD_EXTENSIONS: &[&[u8]] = &[
    b";a",
    b";a=b",
    b"; a=\"b;c\"",
    b" ;a",
    b" ",
    b"\t",
    b";",
    b";a\nb",
    b";a\0b",
    b";\xff",
    b"x",
    b"g",
    b";a\rb",
];

const ODD_LAST: &[&[u8]] = &[
    b"00",
    b"0;a",
    b"",
    b"-0",
    b"+0",
    b"0x0",
    b" 0",
    b"0 ",
    b"g",
    b"00000000000000000",
    b"10000000000000000",
    b"ffffffffffffffff",
    b"8000000000000000",
    b"7fffffffffffffff",
];

const STATUSES: &[&[u8]] = &[
    b"200", b"200", b"200", b"404", b"503", b"302", b"204", b"304",
];

const ODD_STATUSES: &[&[u8]] = &[
    b"100", b"101", b"103", b"199", b"099", b"000", b"600", b"999", b"20", b"2000", b"+20", b"2x0",
    b"", b" 200", b"-200",
];

const REASONS: &[&[u8]] = &[b" OK", b" Not Found", b" ", b" \xe9t\xe9"];

const ODD_REASONS: &[&[u8]] = &[
    b"", b"OK", b" a\0b", b" a\x7f", b" a\rb", b"\tOK", b"  OK", b" OK  ", b" a\x01",
];
