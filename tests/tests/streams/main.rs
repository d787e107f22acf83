//! Long streams: server-sent events, and the transports of SockJS one by one, as Shiny's pages use
//! them. Each piece arrives by itself before the next is sent, and silence beyond every other
//! time-out is borne; but not the end of the visitor's session.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod sessions;

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, Backend, Client, Gateway, HANDSHAKE, Request, SWITCHING, Setup, poll,
};

/// How a transport brings a session's messages down.
struct Transport {
    name: &'static str,
    method: &'static str,
    /// What follows `/app/__sockjs__/n=1/000/session/`.
    target: &'static str,
    content_type: &'static str,
    way: Way,
    /// SockJS's frames (open, messages, heartbeat, close), wrapped as the transport does.
    pieces: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One answer for each piece.
    Poll,
    /// One answer in chunks.
    Stream,
    WebSocket,
}

const EVENTS: Transport = Transport {
    name: "server-sent events",
    method: "GET",
    target: "events",
    content_type: "text/event-stream",
    way: Way::Stream,
    pieces: &[
        "retry: 1000\n\n",
        "data: 1\n\n",
        ": still there\n\n",
        "id: 2\ndata: 2\n\n",
    ],
};

const EVENTSOURCE: Transport = Transport {
    name: "eventsource",
    method: "GET",
    target: "eventsource",
    content_type: "text/event-stream; charset=UTF-8",
    way: Way::Stream,
    pieces: &[
        "\r\n",
        "data: o\r\n\r\n",
        "data: a[\"0#0|m|{}\"]\r\n\r\n",
        "data: h\r\n\r\n",
        "data: c[3000,\"Go away!\"]\r\n\r\n",
    ],
};

const HTMLFILE: Transport = Transport {
    name: "iframe-htmlfile",
    method: "GET",
    target: "htmlfile?c=_jp.a",
    content_type: "text/html; charset=UTF-8",
    way: Way::Stream,
    pieces: &[
        "<!doctype html>\n<html><head></head><body><script>document.domain = document.domain;\
        var c = parent._jp.a; c.start(); function p(d) {c.message(d);}</script>\r\n\r\n",
        "<script>\np(\"o\");\n</script>\r\n",
        "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n",
        "<script>\np(\"h\");\n</script>\r\n",
    ],
};

const JSONP: Transport = Transport {
    name: "jsonp-polling",
    method: "GET",
    target: "jsonp?c=_jp.a",
    content_type: "application/javascript; charset=UTF-8",
    way: Way::Poll,
    pieces: &[
        "/**/_jp.a(\"o\");\r\n",
        "/**/_jp.a(\"a[\\\"x\\\"]\");\r\n",
        "/**/_jp.a(\"h\");\r\n",
    ],
};

const WEBSOCKET: Transport = Transport {
    name: "websocket",
    method: "GET",
    target: "websocket",
    content_type: "",
    way: Way::WebSocket,
    pieces: &["o", "a[\"0#0|m|{}\"]", "h", "c[3000,\"Go away!\"]"],
};

const XHR: Transport = Transport {
    name: "xhr-polling",
    method: "POST",
    target: "xhr",
    content_type: "application/javascript; charset=UTF-8",
    way: Way::Poll,
    pieces: &["o\n", "a[\"0#0|m|{}\"]\n", "h\n", "c[3000,\"Go away!\"]\n"],
};

const XHR_STREAMING: Transport = Transport {
    name: "xhr-streaming",
    method: "POST",
    target: "xhr_streaming",
    content_type: "application/javascript; charset=UTF-8",
    way: Way::Stream,
    pieces: &[
        // A prelude of 2 KiB, so that old browsers begin to read.
        PRELUDE,
        "o\n",
        "a[\"0#0|m|{}\"]\n",
        "h\n",
        "c[3000,\"Go away!\"]\n",
    ],
};

/// 2 KiB and a line break.
const PRELUDE: &str = {
    const BYTES: [u8; 2049] = {
        let mut bytes = [b'h'; 2049];
        bytes[2048] = b'\n';
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("ASCII"),
    }
};

#[test]
fn server_sent_events_pass_one_by_one() {
    passes_piece_by_piece(&EVENTS);
}

#[test]
fn sockjs_websocket_passes_piece_by_piece() {
    passes_piece_by_piece(&WEBSOCKET);
}

#[test]
fn sockjs_xhr_streaming_passes_piece_by_piece() {
    passes_piece_by_piece(&XHR_STREAMING);
}

#[test]
fn sockjs_eventsource_passes_piece_by_piece() {
    passes_piece_by_piece(&EVENTSOURCE);
}

#[test]
fn sockjs_htmlfile_passes_piece_by_piece() {
    passes_piece_by_piece(&HTMLFILE);
}

#[test]
fn sockjs_xhr_polling_waits_and_answers() {
    passes_piece_by_piece(&XHR);
}

#[test]
fn sockjs_jsonp_polling_waits_and_answers() {
    passes_piece_by_piece(&JSONP);
}

#[test]
fn messages_go_up_while_a_stream_comes_down() {
    let (go, gate) = channel();
    let backend = sockjs(&XHR_STREAMING, gate);
    let gateway = patient(&backend).start();
    let mut stream = ask(&gateway, &XHR_STREAMING, 0);
    assert_eq!(stream.answer_head().status, 200);
    let mut sender = gateway.client();
    for piece in XHR_STREAMING.pieces {
        // Small and frequent, over a connection that is kept.
        let send = Request::post("/app/__sockjs__/n=1/000/session/xhr_send", b"[\"x\"]");
        sender.ask(&send.by(&ALICE)).expect(204);
        go.send(()).unwrap();
        assert_eq!(stream.chunk(), piece.as_bytes());
    }
    assert_eq!(stream.chunk(), b"");
    let sent = backend.take();
    let sent = sent.iter().filter(|one| one.body == b"[\"x\"]");
    assert_eq!(sent.count(), XHR_STREAMING.pieces.len());
}

#[test]
fn a_silent_stream_ends_when_the_document_says() {
    for (transport, line) in [
        (&XHR_STREAMING, "answer = \"1s\""),
        (&EVENTS, "answer = \"1s\""),
        (&XHR, "answer = \"1s\""),
        (&WEBSOCKET, "tunnel = \"1s\""),
    ] {
        let (go, gate) = channel();
        let backend = sockjs(transport, gate);
        let gateway = Setup::connect(&backend).line("timeouts", line).start();
        let mut client = ask(&gateway, transport, 0);
        let begun = Instant::now();
        match transport.way {
            Way::Poll => {
                client.answer().expect_json(504);
            }
            way => {
                client.answer_head();
                go.send(()).unwrap();
                let first = match way {
                    Way::WebSocket => client.raw(3).len(),
                    _ => client.chunk().len(),
                };
                assert!(first > 0);
                client.expect_end();
            }
        }
        let name = transport.name;
        assert!(
            begun.elapsed() > Duration::from_millis(950),
            "{name}: too soon"
        );
        drop(go);
    }
}

/// The next piece is sent only after the client has seen the one before it; between two of them
/// nothing moves for longer than every time-out that is not meant for streams.
#[track_caller]
fn passes_piece_by_piece(transport: &'static Transport) {
    let (go, gate): (Sender<()>, _) = channel();
    let backend = sockjs(transport, gate);
    let gateway = patient(&backend).start();
    let mut client = ask(&gateway, transport, 0);
    if transport.way != Way::Poll {
        let head = client.answer_head();
        let status = if transport.way == Way::WebSocket {
            101
        } else {
            200
        };
        assert_eq!(head.status, status, "the head waits for nothing");
    }
    for (index, piece) in transport.pieces.iter().enumerate() {
        if transport.way == Way::Poll && index > 0 {
            client.send(&request(transport, index).bytes());
        }
        if index == 1 {
            assert!(client.is_silent(SILENCE), "{}", transport.name);
        }
        go.send(()).unwrap();
        let got = match transport.way {
            Way::Poll => client.answer().expect(200).body.clone(),
            Way::Stream => client.chunk(),
            Way::WebSocket => client.raw(frame(piece).len()),
        };
        let expected = match transport.way {
            Way::WebSocket => frame(piece),
            Way::Poll | Way::Stream => piece.as_bytes().to_vec(),
        };
        assert_eq!(got, expected, "{}", transport.name);
    }
    if transport.way == Way::Stream {
        assert_eq!(client.chunk(), b"");
    }
}

/// Everything that is not meant for streams is short.
fn patient(backend: &Backend) -> Setup {
    let setup = Setup::connect(backend).line("limits", "body_window = \"500ms\"");
    ["head", "idle", "body", "pool"]
        .iter()
        .fold(setup, |setup, key| {
            setup.line("timeouts", &format!("{key} = \"500ms\""))
        })
}

/// A back-end that speaks one transport; each piece waits for a word at the gate.
fn sockjs(transport: &'static Transport, gate: Receiver<()>) -> Backend {
    let gate = Mutex::new(gate);
    // False when the test wants no more.
    let wait = move || match gate.lock().unwrap().recv_timeout(poll::patience()) {
        Ok(()) => true,
        Err(RecvTimeoutError::Disconnected) => false,
        Err(RecvTimeoutError::Timeout) => panic!("the client does not see each piece"),
    };
    Backend::scripted(move |conn| {
        while let Some(request) = conn.request() {
            if request.target.ends_with("/xhr_send") {
                conn.send(b"HTTP/1.1 204 No Content\r\n\r\n");
                continue;
            }
            let content_type = transport.content_type;
            match transport.way {
                Way::Poll => {
                    let (_, index) = request.target.split_once("t=").unwrap();
                    let piece = transport.pieces[index.parse::<usize>().unwrap()];
                    if !wait() {
                        return;
                    }
                    let length = piece.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\
                        Content-Length: {length}\r\n\r\n{piece}"
                    );
                    conn.send(answer.as_bytes());
                }
                Way::Stream => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\
                        Transfer-Encoding: chunked\r\n\r\n"
                    );
                    conn.send(head.as_bytes());
                    for piece in transport.pieces {
                        if !wait() {
                            return;
                        }
                        conn.send(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
                    }
                    conn.send(b"0\r\n\r\n");
                }
                Way::WebSocket => {
                    conn.send(SWITCHING);
                    for piece in transport.pieces {
                        if !wait() {
                            return;
                        }
                        conn.send(&frame(piece));
                    }
                    conn.read_out();
                    return;
                }
            }
        }
    })
}

fn ask(gateway: &Gateway, transport: &Transport, index: usize) -> Client {
    let mut client = gateway.client();
    client.send(&request(transport, index).bytes());
    client
}

fn request(transport: &Transport, index: usize) -> Request {
    let and = if transport.target.contains('?') {
        '&'
    } else {
        '?'
    };
    let target = transport.target;
    let target = format!("/app/__sockjs__/n=1/000/session/{target}{and}t={index}");
    let request = match transport.method {
        "POST" => Request::post(&target, b""),
        method => Request::new(method, &target),
    };
    match transport.way {
        Way::WebSocket => request.by(&ALICE).fields(HANDSHAKE),
        Way::Poll | Way::Stream => request.by(&ALICE),
    }
}

/// A text frame of a server.
fn frame(text: &str) -> Vec<u8> {
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

/// Longer than two periods of every short time-out: silence is noticed after one to two.
const SILENCE: Duration = Duration::from_millis(1700);
