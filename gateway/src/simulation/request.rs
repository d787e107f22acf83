//! What clients send.

use super::tunnel::Upgrade;
use super::{Random, fill};

/// One request as a client means it.
pub(super) struct Request {
    /// Told to the back-end in the target, and by it in its answer.
    pub(super) tag: usize,
    pub(super) who: Who,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
    /// What goes on the wire.
    pub(super) bytes: Vec<u8>,
    /// If it is a WebSocket handshake.
    pub(super) upgrade: Option<Upgrade>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Alice,
    /// Signed as `rsconnect` does.
    Signed,
    /// With an API key of the back-end's.
    Key,
    Nobody,
    /// Not a request in two readings of it: it goes nowhere, whoever sends it.
    Ambiguous,
}

impl Request {
    pub(super) fn of_alice(tag: usize) -> Self {
        let target = format!("/t/{tag}");
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: connect.test\r\n{ALICE}\r\n");
        Self {
            tag,
            who: Who::Alice,
            method: "GET",
            target,
            body: Vec::new(),
            bytes: bytes.into_bytes(),
            upgrade: None,
        }
    }

    pub(super) fn random(tag: usize, random: &mut Random) -> Self {
        let who = random.pick(&[
            Who::Alice,
            Who::Alice,
            Who::Alice,
            Who::Alice,
            Who::Signed,
            Who::Key,
            Who::Nobody,
            Who::Ambiguous,
        ]);
        let method = random.pick(&["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT"]);
        let query = random.pick(&["", "?x=1", "?filter=account_id:7&%zz"]);
        let target = match who {
            Who::Signed | Who::Key => format!("/__api__/t/{tag}{query}"),
            _ => format!("/t/{tag}{query}"),
        };
        let version = if random.once_in(10) { "1.0" } else { "1.1" };
        let upgrades = method == "GET"
            && version == "1.1"
            && matches!(who, Who::Alice | Who::Key | Who::Nobody)
            && random.once_in(2);
        let mut head = format!("{method} {target} HTTP/{version}\r\nHost: connect.test\r\n");
        for _ in 0..random.below(3) {
            head += random.pick(FORGERIES);
        }
        head += match who {
            Who::Alice => ALICE,
            Who::Signed => SIGNED,
            Who::Key => "Authorization: Key 0123456789\r\n",
            Who::Nobody => "",
            Who::Ambiguous => random.pick(AMBIGUOUS),
        };
        for _ in 0..random.below(2) {
            head += random.pick(FORGERIES);
        }
        if upgrades {
            head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
            head += &format!("Sec-WebSocket-Key: {KEY}\r\n");
        }
        let length = match method {
            "POST" | "PUT" => random.pick(&[0, 10, 300, 40_000]),
            _ => 0,
        };
        let pattern =
            format!("{tag} GET /t/0 HTTP/1.1\r\nHost: connect.test\r\n{ALICE}\r\n0\r\n\r\n");
        let body = fill(&pattern, length);
        let mut bytes;
        if length > 0 && version == "1.1" && who != Who::Ambiguous && random.once_in(2) {
            head += "Transfer-Encoding: chunked\r\n\r\n";
            bytes = head.into_bytes();
            chunks(&body, &mut bytes, random);
        } else {
            if length > 0 || !upgrades && random.once_in(8) {
                head += &format!("Content-Length: {length}\r\n");
            }
            bytes = (head + "\r\n").into_bytes();
            bytes.extend_from_slice(&body);
        }
        let upgrade = upgrades.then(|| Upgrade::random(tag, &pattern, random));
        Self {
            tag,
            who,
            method,
            target,
            body,
            bytes,
            upgrade,
        }
    }
}

fn chunks(mut body: &[u8], out: &mut Vec<u8>, random: &mut Random) {
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(random.piece(body.len()));
        let extension = if random.once_in(4) { ";x=forged" } else { "" };
        out.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        body = rest;
    }
    out.extend_from_slice(b"0\r\n");
    if random.once_in(2) {
        out.extend_from_slice(b"X-Auth-Username: forged\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

const ALICE: &str = "Authorization: Basic YWxpY2U6d29uZGVyLWxhbmQtNzM5MQ==\r\n";

/// A WebSocket's nonce (RFC 6455 §4.1).
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The triple and its date, as one piece: no other field comes between.
pub(super) const SIGNED: &str = "X-Auth-Token: Tdeadbeefdeadbeefdeadbeefdeadbeef\r\n\
    X-Auth-Signature: c2lnbmF0dXJl\r\n\
    X-Content-Checksum: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\
    Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n";

const FORGERIES: &[&str] = &[
    "X-Auth-Username: forged\r\n",
    "x_auth_username: forged\r\n",
    "X.Auth.Username: forged\r\n",
    "x-auth--username: forged\r\n",
    "-X-Auth-Username-: forged\r\n",
    "X-RSC-Request: https://forged/\r\n",
    "X-Forwarded-For: forged\r\n",
    "X-Forwarded-Host: forged\r\n",
    "Forwarded: for=forged\r\n",
    "Cookie: __Host-gateway-staff=forged\r\n",
    "Connection: X-Auth-Username, X-Correlation-Id, X-RSC-Request\r\n",
    "Connection: keep-alive\r\n",
    "X-Harmless: yes\r\n",
];

const AMBIGUOUS: &[&str] = &[
    "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    "Content-Length: 3\r\nContent-Length: 4\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Host: other.test\r\n",
    "X: y\r\n z\r\n",
    "X: y\nX-Auth-Username: forged\r\n",
    "X: y\rX-Auth-Username: forged\r\n",
    "X\0: y\r\n",
    "No colon\r\n",
];
