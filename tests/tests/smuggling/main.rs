//! Promise P4: what could be read in two ways goes nowhere, from either side.
//!
//! Each message is sent in the middle of an otherwise good exchange, with a pipelined request
//! behind it that nobody may ever answer. Names in the tables are those of the threat corpus where
//! it has one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod answers;
mod bodies;
mod heads;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway_tests::harness::{ALICE, Backend, Broken, Gateway, OK, Request, Setup, poll};

#[test]
fn ambiguous_request_heads_are_refused() {
    let messages = heads::table();
    assert!(messages.len() >= 100, "{} messages", messages.len());
    names_are_unique(messages.iter().map(|(name, _)| *name));
    let site = Site::start();
    for (name, message) in &messages {
        let mut client = site.gateway.client();
        client.send(&fill(message)).send(&poison());
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{name}");
        client.expect_end();
        assert_eq!(
            site.backend.raw(),
            b"",
            "{name}: something reached the back-end"
        );
    }
    site.still_works();
    let refused = site
        .gateway
        .metrics()
        .sum("connect_gateway_refusals_total", &[("reason", "bad_head")]);
    assert_eq!(refused, messages.len() as f64);
}

#[test]
fn a_good_request_works_after_each_bad_one() {
    // The same, one by one, with a good request before it on the same connection and one after it
    // on another.
    let site = Site::start();
    for (name, message) in heads::table() {
        let mut client = site.gateway.client();
        client.ask(&good()).expect(200);
        client.send(&fill(&message)).send(&poison());
        assert_eq!(client.answer().status, 400, "{name}");
        client.expect_end();
        assert_eq!(site.backend.take().len(), 1, "{name}");
        site.still_works();
        assert!(!site.backend.saw(b"poison"), "{name}");
    }
}

#[test]
fn it_does_not_matter_how_a_message_is_cut() {
    // Each piece is a TLS record of its own, so the gateway parses what it has so far.
    let site = Site::start();
    for (name, message) in heads::table() {
        let message = [fill(&message), poison()].concat();
        for size in [1, 7, 61] {
            if size == 1 && message.len() > 1000 {
                continue;
            }
            let mut client = site.gateway.client();
            for piece in message.chunks(size) {
                // It may be refused, and the connection ended, before all of it is sent.
                if client.try_send(piece).is_err() {
                    break;
                }
            }
            let answer = client.answer();
            assert_eq!(answer.status, 400, "{name}, {size} at a time: {answer:?}");
            client.expect_end();
        }
    }
    assert_eq!(site.backend.raw(), b"");
    for control in heads::controls() {
        let mut client = site.gateway.client();
        for byte in fill(&control) {
            client.send(&[byte]);
        }
        client.answer().expect(200);
        site.backend.one();
    }
}

#[test]
fn the_templates_are_good_but_for_what_is_wrong_with_them() {
    // Positive control: the frame that every message of the corpus shares is accepted.
    let site = Site::start();
    for control in heads::controls() {
        let shown = String::from_utf8_lossy(&control).into_owned();
        let mut client = site.gateway.client();
        let answer = client.send(&fill(&control)).answer();
        assert_eq!(answer.status, 200, "{shown}: {answer:?}");
        site.backend.one();
    }
}

#[test]
fn broken_chunked_bodies_are_refused() {
    let messages = bodies::table();
    names_are_unique(messages.iter().map(|(name, _)| *name));
    let site = Site::start();
    for (name, body) in &messages {
        let mut client = site.gateway.client();
        let head = Request::new("POST", "/content/1/")
            .by(&ALICE)
            .field("Transfer-Encoding", "chunked");
        client.send(&head.bytes()).send(body).send(&poison());
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{name}");
        client.expect_end();
        site.still_works();
        // Its head may have gone ahead, because bodies stream; its end must never come.
        for request in site.backend.take() {
            assert!(!request.complete, "{name}: {request:#?}");
        }
        assert!(!site.backend.saw(b"poison"), "{name}");
    }
    for control in bodies::controls() {
        let shown = String::from_utf8_lossy(control);
        let head = Request::new("POST", "/content/1/")
            .by(&ALICE)
            .field("Transfer-Encoding", "chunked");
        let answer = site
            .gateway
            .client()
            .send(&head.bytes())
            .send(control)
            .answer();
        assert_eq!(answer.status, 200, "{shown}: {answer:?}");
        let received = site.backend.one();
        assert_eq!(received.body, b"hello", "{shown}");
        assert!(received.complete);
    }
}

#[test]
fn bodies_that_break_off_never_complete() {
    let site = Site::start();
    for message in [
        Request::new("POST", "/content/1/")
            .field("Content-Length", "10")
            .by(&ALICE)
            .bytes(),
        Request::new("POST", "/content/1/")
            .field("Transfer-Encoding", "chunked")
            .by(&ALICE)
            .bytes(),
    ] {
        let mut client = site.gateway.client();
        client.send(&message).send(b"5\r\nh");
        drop(client);
        let request = poll::until("the request broke off", || site.backend.take().pop());
        assert!(!request.complete, "{request:#?}");
        site.still_works();
    }
}

#[test]
fn hostile_answers_become_502() {
    let answers = answers::table();
    assert!(answers.len() >= 30, "{} answers", answers.len());
    names_are_unique(answers.iter().map(|(name, _)| *name));
    let current = Arc::new(Mutex::new(Vec::new()));
    let site = Site::scripted(current.clone());
    for (name, bytes) in answers {
        *current.lock().unwrap() = bytes;
        let connections = site.backend.connections();
        let mut client = site.gateway.client();
        let answer = client.ask(&good());
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        for (_, value) in &answer.fields {
            assert!(!value.contains("poison"), "{name}: {answer:?}");
        }
        assert!(!answer.text().contains("poison"), "{name}: {answer:?}");
        // The client has done nothing wrong; its connection may live on. The back-end's may not.
        *current.lock().unwrap() = OK.to_vec();
        let answer = client.ask(&good()).expect(200);
        assert_eq!(answer.body, b"ok", "{name}");
        let requests = site.backend.take();
        let last = requests.last().expect("it came");
        assert!(
            last.connection >= connections,
            "{name}: the connection was used again"
        );
    }
    site.gateway.said(&["bad_answer"]);
}

#[test]
fn answers_that_break_in_the_body_end_the_clients_connection() {
    // The head is gone by then; what is left is never to look complete.
    let current = Arc::new(Mutex::new(Vec::new()));
    let site = Site::scripted(current.clone());
    for (name, bytes) in answers::broken_bodies() {
        *current.lock().unwrap() = bytes;
        let mut client = site.gateway.client();
        client.send(&good().bytes());
        match client.read_answer(false) {
            Err(Broken::Truncated(part)) => {
                let part = String::from_utf8_lossy(&part).into_owned();
                assert!(!part.contains("poison"), "{name}: {part}");
            }
            Ok(answer) => assert_eq!(answer.status, 502, "{name}: {answer:?}"),
            Err(Broken::Nothing) => panic!("{name}: no answer at all"),
        }
        let connections = site.backend.connections();
        *current.lock().unwrap() = OK.to_vec();
        site.gateway.ask(&good()).expect(200);
        let last = site.backend.take().pop().unwrap();
        assert!(
            last.connection >= connections,
            "{name}: the connection was used again"
        );
    }
}

#[test]
fn what_follows_an_answer_belongs_to_no_request() {
    // Response splitting: bytes beyond the announced end, in the same segment.
    let current = Arc::new(Mutex::new(Vec::new()));
    let site = Site::scripted(current.clone());
    for (name, bytes) in answers::with_extra_bytes() {
        *current.lock().unwrap() = bytes;
        let mut client = site.gateway.client();
        let request = if name.starts_with("head") {
            Request::new("HEAD", "/content/1/").by(&ALICE)
        } else {
            good()
        };
        let answer = client.ask(&request);
        assert!(
            matches!(answer.status, 200 | 204 | 304 | 502),
            "{name}: {answer:?}"
        );
        assert!(!answer.text().contains("poison"), "{name}: {answer:?}");
        *current.lock().unwrap() = OK.to_vec();
        for _ in 0..3 {
            let answer = client.ask(&good()).expect(200);
            assert_eq!(answer.body, b"ok", "{name}");
        }
        site.backend.take();
    }
}

#[test]
fn an_unasked_answer_poisons_nobody() {
    // A back-end that speaks before it is asked: what lies there when the next request comes must
    // not answer it. (What it says after that, nobody can tell from an answer.)
    let said = Arc::new(AtomicUsize::new(0));
    let count = said.clone();
    let backend = Backend::scripted(move |conn| {
        while conn.request().is_some() {
            conn.send(OK);
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 1")
        .start();
    for at in 1..=20 {
        let answer = gateway.ask(&good());
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        poll::until("it has spoken", || {
            (said.load(Ordering::SeqCst) == at).then_some(())
        });
    }
    assert_eq!(backend.connections(), 20);
}

/// A recording back-end with a gateway before it.
struct Site {
    backend: Backend,
    gateway: Gateway,
}

impl Site {
    fn start() -> Self {
        Self::before(Backend::recording())
    }

    /// A back-end that answers with whatever `answer` holds, and then closes unless that is
    /// something ordinary.
    fn scripted(answer: Arc<Mutex<Vec<u8>>>) -> Self {
        Self::before(Backend::scripted(move |conn| {
            while conn.request().is_some() {
                let bytes = answer.lock().unwrap().clone();
                let kept = bytes == OK || !bytes.ends_with(answers::CLOSE);
                let end = bytes.len() - if kept { 0 } else { answers::CLOSE.len() };
                if !conn.send(&bytes[..end]) || !kept {
                    break;
                }
            }
        }))
    }

    fn before(backend: Backend) -> Self {
        let gateway = Setup::connect(&backend)
            .line("gateway", "workers = 1")
            .line("timeouts", "answer = \"15s\"")
            .start();
        Self { backend, gateway }
    }

    /// A good request on a connection of its own is answered, and is all that the back-end got
    /// whole.
    #[track_caller]
    fn still_works(&self) {
        self.gateway.ask(&good()).expect(200);
        let mut whole: Vec<_> = self.backend.take();
        whole.retain(|request| request.complete);
        assert_eq!(whole.len(), 1, "{whole:#?}");
        assert_eq!(whole[0].target, "/content/1/");
    }
}

fn good() -> Request {
    Request::get("/content/1/").by(&ALICE)
}

/// A whole good request; behind a refused one, nobody may read it.
fn poison() -> Vec<u8> {
    Request::get("/poison").by(&ALICE).bytes()
}

/// Puts the credential into a message.
fn fill(message: &[u8]) -> Vec<u8> {
    let credential = format!("Authorization: {}", ALICE.basic());
    let Some(at) = memchr::memmem::find(message, heads::CREDENTIAL) else {
        return message.to_vec();
    };
    let rest = &message[at + heads::CREDENTIAL.len()..];
    [&message[..at], credential.as_bytes(), rest].concat()
}

fn names_are_unique<'a>(names: impl Iterator<Item = &'a str>) {
    let mut seen = HashSet::new();
    for name in names {
        assert!(seen.insert(name), "{name} stands twice");
    }
}
