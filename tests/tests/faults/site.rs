//! A back-end that answers in every framing, the gateway before it, and a relay between them that
//! can be told to fail.

use std::time::Duration;

use gateway_tests::harness::{
    ALICE, App, Backend, Broken, Client, Conn, Gateway, OK, Pool, Request, Setup,
};
use gateway_tests::relay::{Fault, Order, Relay, Way};
use serde_json::Value;

/// What stands on the way of each test. Dropped in this order.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) relay: Relay,
    pub(crate) backend: Backend,
}

impl Site {
    /// With time-outs that strike nobody.
    pub(crate) fn start() -> Self {
        Self::with(|setup| setup)
    }

    /// With short time-outs.
    pub(crate) fn impatient() -> Self {
        Self::with(impatient)
    }

    fn with(change: fn(Setup) -> Setup) -> Self {
        let backend = Backend::scripted(serve);
        let relay = Relay::to(backend.address());
        let setup = Setup::new()
            .line("gateway", "workers = 1")
            .pool(Pool::plain("connect", relay.address()))
            .app(App::connect());
        Self {
            gateway: change(setup).start(),
            relay,
            backend,
        }
    }

    /// The access log's line of that target.
    #[track_caller]
    pub(crate) fn line(&self, target: &str) -> Value {
        self.gateway.logged(target, |line| line["path"] == target)
    }

    /// How many failures of back-ends were counted, by that cause.
    pub(crate) fn failures(&self, cause: &str) -> f64 {
        let labels = [("cause", cause)];
        let metrics = self.gateway.metrics();
        metrics.sum("connect_gateway_upstream_errors_total", &labels)
    }

    /// The next request is answered, on a back-end connection of its own: what failed before is
    /// not used again, and harmed nobody.
    #[track_caller]
    pub(crate) fn still_works(&self) {
        let before = self.relay.connections();
        self.relay.next(&[]);
        let answer = self.gateway.ask(&get("/once"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(
            self.relay.connections(),
            before + 1,
            "a connection that had failed was used again"
        );
    }
}

/// Two sites: what is ended by a time-out needs one that is soon over; nothing else may meet one,
/// however slow the machine is.
pub(crate) struct Sites {
    patient: Site,
    impatient: Site,
}

impl Sites {
    pub(crate) fn start() -> Self {
        Self {
            patient: Site::start(),
            impatient: Site::impatient(),
        }
    }

    /// The one to try this fault at.
    pub(crate) fn under(&self, fault: Fault) -> &Site {
        match is_silent(fault) {
            true => &self.impatient,
            false => &self.patient,
        }
    }
}

/// Whether only a time-out can end what that fault has struck.
pub(crate) fn is_silent(fault: Fault) -> bool {
    matches!(fault, Fault::Lose | Fault::Stall(_))
}

/// Everything that waits does so briefly.
pub(crate) fn impatient(setup: Setup) -> Setup {
    setup.line(
        "timeouts",
        "connect = \"1s\"\nhead = \"1s\"\nbody = \"1s\"\nanswer = \"1s\"\n\
         tunnel = \"1s\"",
    )
}

/// What a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// A whole answer.
    Answer(u16),
    /// An answer that shows that it is not whole.
    Part,
    /// No answer.
    Nothing,
}

/// Reads an answer. What came of the body must be the beginning of [`body`], all of it if the
/// answer looks whole.
#[track_caller]
pub(crate) fn got(client: &mut Client) -> Got {
    match client.read_answer(false) {
        Ok(answer) if answer.status == 200 => {
            assert!(
                answer.body == body() || answer.body == b"ok",
                "{} bytes look like a whole answer",
                answer.body.len()
            );
            Got::Answer(200)
        }
        Ok(answer) => {
            // All others are the gateway's own.
            let status = answer.status;
            Got::Answer(answer.expect_json(status).status)
        }
        Err(Broken::Nothing) => Got::Nothing,
        Err(Broken::Truncated(part)) => {
            assert!(body().starts_with(&part), "other bytes than were sent");
            Got::Part
        }
    }
}

/// A request of a visitor.
pub(crate) fn get(target: &str) -> Request {
    Request::get(target).by(&ALICE)
}

/// One fault.
pub(crate) fn order(way: Way, after: u64, fault: Fault) -> Order {
    Order { way, after, fault }
}

/// Longer than every time-out of [`impatient`] may take to be noticed.
pub(crate) const LONG: Duration = Duration::from_secs(15);

/// What all answers of the back-end hold.
pub(crate) fn body() -> Vec<u8> {
    (0..BODY)
        .map(|at| b'a' + u8::try_from(at % 23).unwrap())
        .collect()
}

/// Its length.
pub(crate) const BODY: usize = 3000;

/// The head of the back-end's answer in that framing: `length`, `chunked` or `close`.
pub(crate) fn head(framing: &str) -> String {
    match framing {
        "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"),
        "chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "close" => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        other => panic!("no framing: {other}"),
    }
}

/// Answers by the first segment of the path:
///
/// - a framing: [`body`] in that framing;
/// - `half`: the half of it, until close, but the connection stays;
/// - `upload`: "ok" once the whole body is there;
/// - `ws`: 101, then every byte comes back;
/// - `once`: "ok", and the connection ends.
pub(crate) fn serve(conn: &mut Conn) {
    while let Some(head) = read_head(conn) {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let first = target.split('/').nth(1).unwrap_or_default();
        let goes_on = match first {
            "length" | "chunked" | "close" => answer(conn, first),
            "half" => {
                conn.send(&[b"HTTP/1.1 200 OK\r\n\r\n", &body()[..BODY / 2]].concat());
                // Until somebody else ends it.
                conn.read_out();
                false
            }
            "upload" => read_body(conn, &head) && conn.send(OK),
            "ws" => {
                conn.send(SWITCHING);
                while let Some(byte) = conn.exactly(1) {
                    conn.send(&byte);
                }
                false
            }
            "once" => {
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                false
            }
            other => panic!("no such thing: {other}"),
        };
        if !goes_on {
            return;
        }
    }
}

fn answer(conn: &mut Conn, framing: &str) -> bool {
    let mut bytes = head(framing).into_bytes();
    if framing == "chunked" {
        for chunk in body().chunks(1000) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        bytes.extend_from_slice(&body());
    }
    conn.send(&bytes) && framing != "close"
}

/// A head as text; none if the connection ends before it is whole. (The harness's own reader takes
/// half a head for a failed test.)
fn read_head(conn: &mut Conn) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(conn.exactly(1)?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Whether the body came whole.
fn read_body(conn: &mut Conn, head: &str) -> bool {
    if let Some((_, rest)) = head.split_once("\r\nContent-Length: ") {
        let length = rest.split("\r\n").next().unwrap_or_default();
        return conn.skip(length.parse().unwrap());
    }
    loop {
        match conn.chunk() {
            Some(chunk) if chunk.is_empty() => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

/// RFC 6455 §1.3, for the sample key.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
