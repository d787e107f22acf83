//! The model back-end, and what it checks of what it is sent: each request is one that a client
//! means, whole and unchanged (P3, P4), with the identity that its client proved and no other (P1,
//! P2).

use std::collections::BTreeMap;

use wire::Folded;

use super::client::{TAGS, Visitor, unchunk};
use super::request::{Request, SIGNED, Who};
use super::stream::{Got, Stream, dialled, refused};
use super::{FORGED, Random, Tally, find};

#[derive(Default)]
pub(super) struct Backends {
    conns: Vec<Conn>,
    /// The lengths of the whole answers that were given to each request.
    said: BTreeMap<usize, Vec<usize>>,
}

struct Conn {
    /// `None` once it is closed.
    stream: Option<Stream>,
    received: Vec<u8>,
    /// What has been searched for forgeries.
    searched: usize,
    /// Where the present request begins.
    at: usize,
    /// The request whose head has come, and whether its body has.
    present: Option<(usize, bool)>,
    answered: bool,
    out: Vec<u8>,
    sent: usize,
    close_behind: bool,
    /// No request may come any more.
    spoilt: bool,
}

impl Backends {
    /// The payload of answers to a request, without end.
    pub(super) fn payload(tag: usize) -> impl Iterator<Item = u8> {
        format!("answer to {tag} ").into_bytes().into_iter().cycle()
    }

    /// Whether it has given that request a whole answer of that length.
    pub(super) fn has_said(&self, tag: usize, length: usize) -> bool {
        self.said
            .get(&tag)
            .is_some_and(|said| said.contains(&length) || said.contains(&UNKNOWN))
    }

    /// Lets one connection do something.
    pub(super) fn act(&mut self, visitors: &[Visitor], random: &mut Random, tally: &mut Tally) {
        self.take_dialled();
        if self.conns.is_empty() {
            return;
        }
        let at = random.below(self.conns.len());
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        match random.below(20) {
            0..=7 => conn.receive(random),
            8..=17 => {
                if let Some((tag, length)) = conn.speak(visitors, random, tally) {
                    self.said.entry(tag).or_default().push(length);
                }
            }
            18 if random.once_in(4) => {
                conn.stream = None;
                tally.count("back-end closed");
            }
            _ => {}
        }
    }

    /// Judges what has come.
    pub(super) fn check(&mut self, visitors: &[Visitor], tally: &mut Tally) {
        self.take_dialled();
        for _ in 0..refused() {
            tally.count("dial refused");
        }
        for conn in &mut self.conns {
            conn.check(visitors, tally);
        }
    }

    fn take_dialled(&mut self) {
        self.conns.extend(dialled().into_iter().map(Conn::new));
    }
}

impl Conn {
    fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            received: Vec::new(),
            searched: 0,
            at: 0,
            present: None,
            answered: false,
            out: Vec::new(),
            sent: 0,
            close_behind: false,
            spoilt: false,
        }
    }

    fn receive(&mut self, random: &mut Random) {
        let most = random.pick(&[1, 50, 100_000]);
        if let Some(stream) = &mut self.stream
            && stream.receive(&mut self.received, most) == Got::End
        {
            self.stream = None;
        }
    }

    /// Sends a piece of its answer, which it thinks of first. Returns the tag and length of a whole
    /// answer that is new.
    fn speak(
        &mut self,
        visitors: &[Visitor],
        random: &mut Random,
        tally: &mut Tally,
    ) -> Option<(usize, usize)> {
        let mut said = None;
        if self.sent == self.out.len() {
            if self.close_behind {
                self.stream = None;
                tally.count("back-end closed");
                return None;
            }
            let (tag, whole) = self.present.filter(|_| !self.answered)?;
            // Early answers are rare.
            if !whole && !random.once_in(10) {
                return None;
            }
            let request = find_request(visitors, tag);
            said = self.think(request, random).map(|length| (tag, length));
            self.answered = true;
        }
        let left = &self.out[self.sent..];
        // What nobody asked for comes at once with the answer: later, it could not be told from one.
        let piece = match self.spoilt {
            true => left.len(),
            false => random.piece(left.len()),
        };
        match self
            .stream
            .as_mut()
            .and_then(|stream| stream.send(&left[..piece]))
        {
            Some(count) if count == piece || !self.spoilt => self.sent += count,
            _ => self.stream = None,
        }
        said
    }

    /// Writes an answer down; its length if it is a whole one.
    fn think(&mut self, request: &Request, random: &mut Random) -> Option<usize> {
        self.out.clear();
        self.sent = 0;
        if random.once_in(8) {
            self.out
                .extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let tag = request.tag;
        let mut head = |status: &str, rest: &str| {
            let cookie = random.pick(&[
                "",
                "Set-Cookie: __Host-gateway-staff=poison\r\n",
                "Alt-Svc: poison\r\n",
            ]);
            let text = format!("HTTP/1.1 {status}\r\nX-Tag: {tag}\r\n{cookie}{rest}\r\n");
            self.out.extend_from_slice(text.as_bytes());
        };
        let length = [0, 5, 300, 12_000][(request.body.len() % 4) ^ (tag % 4)];
        let payload: Vec<u8> = Backends::payload(tag).take(length).collect();
        let no_body = request.method == "HEAD";
        let sized = format!("Content-Length: {length}\r\n");
        match (request.bytes.len() * 7 % 16) ^ (tag % 16) {
            0..=5 => head("200 OK", &sized),
            6 | 7 => {
                head("200 OK", "Transfer-Encoding: chunked\r\n");
                if !no_body {
                    for chunk in payload.chunks(1 + length / 3) {
                        self.out.extend_from_slice(
                            format!("{:x};x=poison\r\n", chunk.len()).as_bytes(),
                        );
                        self.out.extend_from_slice(chunk);
                        self.out.extend_from_slice(b"\r\n");
                    }
                    self.out
                        .extend_from_slice(b"0\r\nX-Trailer: poison\r\n\r\n");
                }
                return Some(length);
            }
            8 => {
                head("200 OK", "");
                self.close_behind = !no_body;
                if !no_body {
                    self.out.extend_from_slice(&payload);
                }
                return Some(UNKNOWN);
            }
            9 => {
                head("204 No Content", "");
                return Some(0);
            }
            10 => {
                // One that ends too early.
                head("200 OK", &format!("Content-Length: {}\r\n", length + 1));
                self.close_behind = !no_body;
                if !no_body {
                    self.out.extend_from_slice(&payload);
                }
                return None;
            }
            11 => {
                head(
                    "200 OK",
                    "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                );
                return self.spoil(b"6\r\npoison\r\n0\r\n\r\n");
            }
            12 => {
                head("200 OK", "Content-Length: 6\r\nContent-Length: 7\r\n");
                return self.spoil(b"poison");
            }
            13 => return self.spoil(b"poison\r\n\r\n"),
            14 => {
                head(
                    "101 Switching Protocols",
                    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
                );
                return self.spoil(b"poison");
            }
            _ => {
                head("200 OK", "Content-Length: 0\r\n");
                let _ = self.spoil(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
                return Some(0);
            }
        }
        if !no_body {
            self.out.extend_from_slice(&payload);
        }
        Some(length)
    }

    fn spoil(&mut self, with: &[u8]) -> Option<usize> {
        self.out.extend_from_slice(with);
        self.spoilt = true;
        None
    }

    fn check(&mut self, visitors: &[Visitor], tally: &mut Tally) {
        let from = self.searched.saturating_sub(FORGED.len());
        let fresh = &self.received[from..];
        assert!(
            find(fresh, FORGED).is_none(),
            "a client's choice reached the back-end: {}",
            self.shown()
        );
        self.searched = self.received.len();
        loop {
            if let Some((tag, true)) = self.present {
                if self.received.len() == self.at {
                    return;
                }
                assert!(
                    self.answered,
                    "more than request {tag} before its answer: {}",
                    self.shown()
                );
                assert!(
                    !self.spoilt && !self.close_behind,
                    "a spoilt connection is used again: {}",
                    self.shown()
                );
                self.present = None;
                self.answered = false;
            }
            let rest = &self.received[self.at..];
            let Some(end) = find(rest, b"\r\n\r\n") else {
                return;
            };
            let head = std::str::from_utf8(&rest[..end]).expect("clients send no other bytes");
            let (tag, framing) = check_head(head, visitors);
            let request = find_request(visitors, tag);
            let body = &rest[end + 4..];
            let (payload, whole, used) = match framing {
                Some("chunked") => unchunk(body),
                length => {
                    let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
                    assert_eq!(length, request.body.len(), "{head}");
                    let here = length.min(body.len());
                    (body[..here].to_vec(), here == length, here)
                }
            };
            assert!(request.body.starts_with(&payload), "another body: {head}");
            self.present = Some((tag, whole));
            if !whole {
                return;
            }
            assert_eq!(payload.len(), request.body.len(), "{head}");
            self.at += end + 4 + used;
            tally.count("request whole");
            match request.who {
                Who::Alice => tally.count("request of alice"),
                Who::Signed => tally.count("signed request whole"),
                _ => {}
            }
        }
    }

    fn shown(&self) -> String {
        let (out, sent) = (self.out.escape_ascii(), self.sent);
        let received = self.received[self.at..].escape_ascii();
        format!("{received}\nits last answer, of which {sent} bytes were sent: {out}")
    }
}

/// Whose request it is; and its framing, `chunked` or a length.
fn check_head<'a>(head: &'a str, visitors: &[Visitor]) -> (usize, Option<&'a str>) {
    let mut lines = head.split("\r\n");
    let start: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = start[..] else {
        panic!("no request line: {head}");
    };
    let tag = target
        .split_once("/t/")
        .expect("a target of the clients'")
        .1;
    let tag = tag.split('?').next().unwrap_or_default().parse().unwrap();
    let request = find_request(visitors, tag);
    assert_eq!((method, target), (request.method, &*request.target));
    let fields: Vec<(&str, &str)> = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .collect();
    let values = |name: &[u8]| -> Vec<&str> {
        fields
            .iter()
            .filter(|(other, _)| Folded::of(other.as_bytes()).is(name))
            .map(|(_, value)| *value)
            .collect()
    };
    // P1 and P2.
    let identity: &[&str] = if request.who == Who::Alice {
        &["alice"]
    } else {
        &[]
    };
    assert_eq!(values(b"x-auth-username"), identity, "{head}");
    for once in [
        &b"host"[..],
        b"x-rsc-request",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"forwarded",
        b"x-correlation-id",
    ] {
        assert_eq!(values(once).len(), 1, "{head}");
    }
    let key: &[&str] = if request.who == Who::Key {
        &["Key 0123456789"]
    } else {
        &[]
    };
    assert_eq!(values(b"authorization"), key, "{head}");
    assert!(values(b"cookie").is_empty(), "{head}");
    // P3.
    for line in SIGNED.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let signed: &[&str] = if request.who == Who::Signed {
            &[value]
        } else {
            &[]
        };
        assert_eq!(
            values(name.to_ascii_lowercase().as_bytes()),
            signed,
            "{head}"
        );
    }
    // P4.
    match (
        &values(b"transfer-encoding")[..],
        &values(b"content-length")[..],
    ) {
        ([], []) => (tag, None),
        ([coding @ "chunked"], []) => (tag, Some(coding)),
        ([], [length]) => (tag, Some(length)),
        _ => panic!("two framings: {head}"),
    }
}

/// The request with a tag, which must be one that may pass.
fn find_request(visitors: &[Visitor], tag: usize) -> &Request {
    let visitor = (tag / TAGS)
        .checked_sub(1)
        .and_then(|index| visitors.get(index));
    let request = visitor.and_then(|visitor| visitor.request(tag));
    let request = request.unwrap_or_else(|| panic!("request {tag} is nobody's"));
    assert!(
        !matches!(request.who, Who::Ambiguous | Who::Nobody),
        "{:?} reached the back-end",
        request.who
    );
    request
}

/// The length of an answer that ends with its connection: whoever reads it cannot tell a premature
/// end from its own (RFC 9112 §8).
const UNKNOWN: usize = usize::MAX;
