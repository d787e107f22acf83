//! Model clients, and what each checks of its answers: in order, each its own request's, nothing
//! that the back-end was not asked for; and what comes through a WebSocket, byte by byte.

use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem::find;
use tokio::task::JoinHandle;

use super::backend::Backends;
use super::request::{Request, Who};
use super::site::PEER;
use super::stream::{Got, Stream};
use super::tunnel::down;
use super::{POISON, Random, Tally};
use crate::serve::{Client, serve};
use crate::worker::Worker;

pub(super) struct Visitor {
    index: usize,
    /// `None` once it has reset its connection.
    stream: Option<Stream>,
    task: JoinHandle<()>,
    requests: Vec<Request>,
    out: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// Where the next answer begins.
    at: usize,
    /// How many answers are complete.
    answered: usize,
    /// The tag of the request that became a tunnel, which begins at `at`, and what may come there.
    tunnel: Option<(usize, Vec<u8>)>,
    ended: bool,
    /// The most that it reads at once; some read nothing until they are told to.
    appetite: usize,
}

impl Visitor {
    pub(super) fn arrive(worker: &Rc<Worker>, index: usize, random: &mut Random) -> Self {
        let (ours, theirs) = Stream::pair();
        let worker = Rc::clone(worker);
        let task = tokio::task::spawn_local(async move {
            let front = Arc::clone(&worker.shared.listeners[0]);
            let client = Client::new(front, theirs, 0, PEER.parse().unwrap(), None);
            serve(&worker, client).await;
        });
        Self {
            index,
            stream: Some(ours),
            task,
            requests: Vec::new(),
            out: Vec::new(),
            sent: 0,
            received: Vec::new(),
            at: 0,
            answered: 0,
            tunnel: None,
            ended: false,
            appetite: random.pick(&[0, 300, 100_000]),
        }
    }

    /// The request with that tag, if this client has begun to send it.
    pub(super) fn request(&self, tag: usize) -> Option<&Request> {
        self.requests.iter().find(|request| request.tag == tag)
    }

    /// Whether its connection may still be good for something.
    pub(super) fn is_here(&self) -> bool {
        self.stream.is_some() && !self.ended
    }

    /// Sends a piece of what it has to say, and thinks of more when all is said.
    pub(super) fn send(&mut self, random: &mut Random, tally: &mut Tally) {
        let upgrade = || self.requests.last()?.upgrade.as_ref();
        let mut until = self.out.len();
        if let Some(upgrade) = upgrade() {
            if !upgrade.eager && self.tunnel.is_none() {
                until -= upgrade.up.len();
            }
            if self.sent == until {
                return;
            }
        } else if self.sent == until {
            let request = Request::random(self.next_tag(), random);
            self.out.extend_from_slice(&request.bytes);
            until = self.out.len();
            if let Some(upgrade) = &request.upgrade {
                self.out.extend_from_slice(&upgrade.up);
            }
            self.requests.push(request);
        }
        let left = &self.out[self.sent..until];
        let piece = &left[..random.piece(left.len())];
        match self.stream.as_mut().and_then(|stream| stream.send(piece)) {
            Some(count) => self.sent += count,
            None => {
                self.stream = None;
                tally.count("client found nobody");
            }
        }
    }

    /// Sends one plain request; its tag.
    pub(super) fn ask(&mut self) -> usize {
        let request = Request::of_alice(self.next_tag());
        let tag = request.tag;
        let stream = self.stream.as_mut().expect("it has just arrived");
        assert_eq!(stream.send(&request.bytes), Some(request.bytes.len()));
        self.requests.push(request);
        tag
    }

    /// Whether all it asked has been answered by the back-end, and nothing else came.
    pub(super) fn is_served(&self) -> bool {
        self.answered == self.requests.len() && self.received.starts_with(b"HTTP/1.1 200 OK\r\n")
    }

    pub(super) fn reset(&mut self) {
        // What was not read makes it a reset on the other side.
        self.stream = None;
    }

    pub(super) fn end_sending(&self) {
        if let Some(stream) = &self.stream {
            stream.end_sending();
        }
    }

    /// The tunnel that it is in, if both its directions live: the tag, how many bytes it has sent
    /// and how many it has got.
    pub(super) fn tunnel(&self) -> Option<(usize, usize, usize)> {
        let (tag, _) = self.tunnel.as_ref().filter(|_| self.is_here())?;
        Some((*tag, self.sent_behind(), self.received.len() - self.at))
    }

    /// From now on it takes all there is.
    pub(super) fn read_on(&mut self) {
        self.appetite = 100_000;
    }

    /// What serves it.
    pub(super) fn task(&mut self) -> &mut JoinHandle<()> {
        &mut self.task
    }

    /// Reads, and judges what it has.
    pub(super) fn check(&mut self, backends: &Backends, tally: &mut Tally) {
        let before = self.received.len().saturating_sub(POISON.len());
        if let Some(stream) = &mut self.stream
            && self.appetite > 0
        {
            self.ended |= stream.receive(&mut self.received, self.appetite) == Got::End;
        }
        assert!(
            find(&self.received[before..], POISON).is_none(),
            "nobody asked for this: {}",
            self.shown()
        );
        while self.tunnel.is_none() && self.answer(backends, tally) {}
        if let Some((tag, down)) = &self.tunnel {
            assert!(
                down.starts_with(&self.received[self.at..]),
                "other bytes in the tunnel of {tag}: {}",
                self.shown()
            );
        }
    }

    /// Judges the answer at `at`, and goes on behind it if it is complete.
    fn answer(&mut self, backends: &Backends, tally: &mut Tally) -> bool {
        let rest = &self.received[self.at..];
        let Some(end) = find(rest, b"\r\n\r\n") else {
            if self.ended && !rest.is_empty() {
                tally.count("answer cut");
                self.at = self.received.len();
            }
            return false;
        };
        let head = std::str::from_utf8(&rest[..end]).expect("the gateway writes no other bytes");
        let field = |name: &str| {
            head.split("\r\n")
                .skip(1)
                .filter_map(|line| line.split_once(": "))
                .find(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let status: u16 = head[9..12].parse().unwrap();
        let body = &rest[end + 4..];
        if status == 101 {
            let request = self.requests.get(self.answered).expect("it asked for it");
            assert!(request.upgrade.is_some(), "nobody asked for this: {head}");
            let tag = field("x-tag").map(str::parse);
            assert_eq!(tag, Some(Ok(request.tag)), "another's tunnel: {head}");
            assert!(matches!(request.who, Who::Alice | Who::Key), "{head}");
            tally.count("tunnel opened");
            self.tunnel = Some((request.tag, down(request.tag)));
            self.answered += 1;
            self.at += end + 4;
            return false;
        }
        if status < 200 {
            assert_eq!(status, 103, "{head}");
            self.at += end + 4;
            return true;
        }
        let Some(request) = self.requests.get(self.answered) else {
            panic!("an answer to nothing: {}", self.shown());
        };
        let bodiless = request.method == "HEAD" || matches!(status, 204 | 304);
        let (payload, whole, used) = if bodiless {
            (Vec::new(), true, 0)
        } else if field("transfer-encoding").is_some() {
            unchunk(body)
        } else if let Some(length) = field("content-length") {
            let length: usize = length.parse().unwrap();
            let here = length.min(body.len());
            (body[..here].to_vec(), here == length, here)
        } else {
            (body.to_vec(), false, body.len())
        };
        match field("x-tag") {
            Some(tag) => {
                assert_eq!(tag.parse(), Ok(request.tag), "another's answer: {head}");
                assert!(
                    matches!(request.who, Who::Alice | Who::Key | Who::Signed),
                    "{:?}",
                    request.who
                );
                assert!(
                    payload == Backends::payload(request.tag, payload.len()),
                    "another payload"
                );
                if whole && !bodiless {
                    assert!(
                        backends.has_said(request.tag, payload.len()),
                        "{} bytes of payload are not all",
                        payload.len()
                    );
                }
            }
            None => {
                let expected: &[u16] = match request.who {
                    Who::Ambiguous => &[400, 408],
                    Who::Nobody => &[401, 408],
                    // Limits, time-outs and the back-end's faults.
                    _ => &[408, 429, 502, 503, 504],
                };
                assert!(expected.contains(&status), "{:?}: {head}", request.who);
            }
        }
        if !whole {
            if self.ended {
                tally.count("answer cut");
                self.at = self.received.len();
            }
            return false;
        }
        tally.count(if field("x-tag").is_some() {
            "answer whole"
        } else {
            "answer of the gateway"
        });
        if request.upgrade.is_some() {
            tally.count("upgrade refused");
            if self.sent_behind() > 0 {
                tally.count("upgrade refused with bytes behind");
            }
        }
        self.answered += 1;
        self.at += end + 4 + used;
        true
    }

    fn next_tag(&self) -> usize {
        (self.index + 1) * TAGS + self.requests.len()
    }

    /// How many bytes it has sent behind its handshake.
    fn sent_behind(&self) -> usize {
        let upgrade = self.requests.last().and_then(|last| last.upgrade.as_ref());
        let behind = upgrade.map_or(0, |upgrade| upgrade.up.len());
        self.sent.saturating_sub(self.out.len() - behind)
    }

    fn shown(&self) -> String {
        self.received[self.at..].escape_ascii().to_string()
    }
}

/// Payload, whether it is complete, and how many bytes it took.
pub(super) fn unchunk(bytes: &[u8]) -> (Vec<u8>, bool, usize) {
    let mut payload = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(end) = find(&rest[..rest.len().min(20)], b"\r\n") else {
            return (payload, false, bytes.len());
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a size, without extensions");
        let data = &rest[end + 2..];
        if size == 0 {
            if data.len() < 2 {
                return (payload, false, bytes.len());
            }
            assert_eq!(&data[..2], b"\r\n", "a trailer");
            return (payload, true, at + end + 4);
        }
        payload.extend_from_slice(&data[..size.min(data.len())]);
        if data.len() < size + 2 {
            return (payload, false, bytes.len());
        }
        assert_eq!(&data[size..size + 2], b"\r\n");
        at += end + 2 + size + 2;
    }
}

/// The first tag of a client; it sends fewer requests.
pub(super) const TAGS: usize = 1000;
