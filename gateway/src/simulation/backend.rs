//! The model back-end, and what it checks of what it is sent: each request is one that a client
//! means, whole and unchanged (P3, P4), with the identity that its client proved and no other (P1,
//! P2).

use std::collections::BTreeMap;

use memchr::memmem::find;
use wire::Folded;

use super::client::{TAGS, Visitor, unchunk};
use super::request::{KEY, Request, SIGNED, Who};
use super::site::IN_FLIGHT;
use super::stream::{Got, Stream, dialled, refused};
use super::tunnel::down;
use super::{FORGED, Random, Tally, fill};

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
    /// How many bytes of `out` are a 101 with its head; behind them is the tunnel.
    switched: Option<usize>,
    out: Vec<u8>,
    sent: usize,
    close_behind: bool,
    /// No request may come any more.
    spoilt: bool,
}

impl Backends {
    /// So many bytes of payload, of whatever is said to a request.
    pub(super) fn payload(tag: usize, length: usize) -> Vec<u8> {
        fill(&format!("answer to {tag} "), length)
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
        let alive = self.conns.iter_mut().filter(|conn| conn.stream.is_some());
        let mut alive: Vec<&mut Conn> = alive.collect();
        if alive.is_empty() {
            return;
        }
        let conn = alive.swap_remove(random.below(alive.len()));
        if random.once_in(80) {
            conn.stream = None;
            tally.count("back-end closed");
            return;
        }
        // Usually, but not always, it does what is next.
        let listens = match conn.present {
            Some((_, true)) => random.once_in(8),
            _ => !random.once_in(8),
        };
        if listens {
            conn.receive(random.pick(&[1, 50, 100_000, 100_000]));
        } else if let Some((tag, length)) = conn.speak(visitors, random, tally) {
            self.said.entry(tag).or_default().push(length);
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
        let busy = || self.conns.iter().filter(|conn| conn.is_busy());
        assert!(
            busy().count() <= IN_FLIGHT
                || busy().filter(|conn| conn.is_open()).count() <= IN_FLIGHT,
            "more requests at once than the pool takes"
        );
    }

    /// Takes all that has come; how many bytes it has ever got.
    pub(super) fn receive_all(&mut self) -> usize {
        self.take_dialled();
        for conn in &mut self.conns {
            conn.receive(100_000);
        }
        self.conns.iter().map(|conn| conn.received.len()).sum()
    }

    /// Of the tunnels whose back-end lives: the tag, how many bytes it has got and sent.
    pub(super) fn tunnels(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.conns.iter().filter_map(|conn| {
            let (tag, _) = conn.present.filter(|_| conn.stream.is_some())?;
            let sent = conn.sent.checked_sub(conn.switched?)?;
            Some((tag, conn.received.len() - conn.at, sent))
        })
    }

    /// Answers, plainly, each of those requests that has come whole; how many that were.
    pub(super) fn serve(&mut self, tags: &[usize]) -> usize {
        let mut served = 0;
        for conn in &mut self.conns {
            if let Some((tag, true)) = conn.present
                && tags.contains(&tag)
                && !conn.answered
                && let Some(stream) = &mut conn.stream
            {
                let answer =
                    format!("HTTP/1.1 200 OK\r\nX-Tag: {tag}\r\nContent-Length: 0\r\n\r\n");
                assert_eq!(stream.send(answer.as_bytes()), Some(answer.len()));
                conn.answered = true;
                self.said.entry(tag).or_default().push(0);
                served += 1;
            }
        }
        served
    }

    /// Closes all its connections.
    pub(super) fn close(&mut self) {
        for conn in &mut self.conns {
            conn.stream = None;
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
            switched: None,
            out: Vec::new(),
            sent: 0,
            close_behind: false,
            spoilt: false,
        }
    }

    fn receive(&mut self, most: usize) {
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
            if self.is_idle() {
                if random.once_in(4) {
                    tally.count("answer to nothing");
                    self.out = UNASKED.to_vec();
                    self.sent = 0;
                    self.spoilt = true;
                }
            } else {
                let (tag, whole) = self.present.filter(|_| !self.answered)?;
                // Early answers are rare.
                if !whole && !random.once_in(10) {
                    return None;
                }
                let request = find_request(visitors, tag);
                said = self.think(request, random).map(|length| (tag, length));
                self.answered = true;
            }
        }
        let left = &self.out[self.sent..];
        // What nobody asked for comes at once, with the answer or while the gateway has sent no next
        // request: later, it could not be told from an answer.
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
        if request.upgrade.is_some() && !random.once_in(4) {
            let head = format!("HTTP/1.1 101 Switching Protocols\r\nX-Tag: {tag}\r\n{SWITCH}\r\n");
            self.out.extend_from_slice(head.as_bytes());
            self.switched = Some(self.out.len());
            self.out.extend_from_slice(&down(tag));
            self.close_behind = random.once_in(4);
            return None;
        }
        let mut head = |status: &str, rest: &str| {
            let cookie = random.pick(&[
                "",
                "Set-Cookie: __Host-gateway-staff=poison\r\n",
                "Alt-Svc: poison\r\n",
            ]);
            let text = format!("HTTP/1.1 {status}\r\nX-Tag: {tag}\r\n{cookie}{rest}\r\n");
            self.out.extend_from_slice(text.as_bytes());
        };
        let length = [300, 40_000, 40_000, 40_000][(request.body.len() % 4) ^ (tag % 4)];
        let payload = Backends::payload(tag, length);
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
            14 if request.upgrade.is_none() => {
                head("101 Switching Protocols", SWITCH);
                return self.spoil(b"poison");
            }
            _ => {
                head("200 OK", "Content-Length: 0\r\n");
                let _ = self.spoil(UNASKED);
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
                let here = &self.received[self.at..];
                if here.is_empty() {
                    return;
                }
                if let Some(head) = self.switched {
                    assert!(self.sent >= head, "bytes for a tunnel before there is one");
                    let upgrade = find_request(visitors, tag).upgrade.as_ref();
                    assert!(
                        upgrade.is_some_and(|upgrade| upgrade.up.starts_with(here)),
                        "other bytes in the tunnel of {tag}: {}",
                        self.shown()
                    );
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

    /// Whether a request takes a place here, as far as the back-end can tell: it has begun, and
    /// its answer is not written. A tunnel takes none.
    fn is_busy(&self) -> bool {
        let idle = self.present.is_none() && self.received.len() == self.at;
        let written = self.switched.unwrap_or(self.out.len());
        !(self.stream.is_none() || idle || self.answered && self.sent >= written)
    }

    /// Whether its answer is written and no next request is on its way.
    fn is_idle(&self) -> bool {
        let answered = self.answered && self.switched.is_none() && !self.spoilt;
        let read_out = |stream: &Stream| stream.is_read_out();
        answered
            && self.present.is_some_and(|(_, whole)| whole)
            && self.received.len() == self.at
            && self.stream.as_ref().is_some_and(read_out)
    }

    /// Whether the gateway has not closed it.
    fn is_open(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| !stream.is_closed())
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
    for (name, value) in [
        (&b"upgrade"[..], "websocket"),
        (b"sec-websocket-version", "13"),
        (b"sec-websocket-key", KEY),
    ] {
        let expected: Vec<&str> = request.upgrade.iter().map(|_| value).collect();
        assert_eq!(values(name), expected, "{head}");
    }
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

/// An answer that is none.
const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// What a 101 must hold (RFC 6455 §4.2.2).
const SWITCH: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

/// The length of an answer that ends with its connection: whoever reads it cannot tell a premature
/// end from its own (RFC 9112 §8).
const UNKNOWN: usize = usize::MAX;
