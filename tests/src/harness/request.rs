//! Writing requests, good ones.

use bytes::BytesMut;
use wire::h3::HeadWriter;

use super::User;
use super::answer::Head;
use super::client::find;

/// A request under construction; [`Request::bytes`] is what goes on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    host: String,
    lines: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    /// The body came in chunks, and goes on without a length.
    chunked: bool,
}

impl Request {
    /// A GET of [`CONNECT`](super::CONNECT)'s host.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a body and its length.
    pub fn post(target: &str, body: &[u8]) -> Self {
        Self::new("POST", target).with_body(body)
    }

    /// Any method, without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: super::CONNECT.to_owned(),
            lines: Vec::new(),
            body: None,
            chunked: false,
        }
    }

    /// Another host.
    pub fn on(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// A body with its length.
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    /// One more field line.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More field lines.
    pub fn fields(mut self, lines: &[(&str, &str)]) -> Self {
        for (name, value) in lines {
            self = self.field(name, value);
        }
        self
    }

    /// Without the field lines of that name.
    pub fn without(mut self, name: &str) -> Self {
        self.lines
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Without a body and its length.
    pub fn without_body(mut self) -> Self {
        self.body = None;
        self
    }

    /// The user's password, as `Authorization: Basic`.
    pub fn by(self, user: &User) -> Self {
        self.field("Authorization", &user.basic())
    }

    /// As a navigating browser sends it.
    pub fn navigating(self) -> Self {
        self.field("Sec-Fetch-Mode", "navigate")
            .field("Accept", "text/html,application/xhtml+xml")
    }

    /// Takes a message of HTTP/1.1 apart that is whole and has no faults.
    pub(crate) fn parse(message: &[u8]) -> Self {
        let end = find(message, b"\r\n\r\n").expect("a whole head");
        let (head, body) = (&message[..end], &message[end + 4..]);
        let start = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let start = std::str::from_utf8(start).expect("a target in UTF-8");
        let head = Head::parse(head).expect("a good head");
        let mut start = start.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (start.next(), start.next(), start.next(), start.next())
        else {
            panic!("{:?}", head.start);
        };
        let mut request = Self::new(method, target);
        let mut has_length = false;
        for (name, value) in head.fields {
            match name.to_ascii_lowercase().as_str() {
                "host" => request.host = value,
                "content-length" => has_length = true,
                "transfer-encoding" => request.chunked = true,
                _ => request.lines.push((name, value)),
            }
        }
        request.body = match request.chunked {
            true => Some(unchunked(body)),
            false => has_length.then(|| body.to_vec()),
        };
        assert!(request.body.is_some() || body.is_empty(), "no framing");
        request
    }

    /// What goes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.target, self.host
        );
        for (name, value) in &self.lines {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// What goes on a stream of HTTP/3: the HEADERS frame, and the payload behind it. A handshake of
    /// HTTP/1.1 for a WebSocket becomes that of RFC 9220; `Host`, `Connection` and `Upgrade`, which it
    /// has and HTTP/3 has not, are left out.
    pub(crate) fn http3(&self) -> (BytesMut, &[u8]) {
        let mut out = BytesMut::new();
        let (method, protocol) = match self.is_handshake() {
            true => ("CONNECT", Some(&b"websocket"[..])),
            false => (self.method.as_str(), None),
        };
        let (host, target) = (self.host.as_bytes(), self.target.as_bytes());
        let mut head = HeadWriter::request(&mut out, method.as_bytes(), host, target, protocol);
        let left_out = ["Connection", "Upgrade", "Sec-WebSocket-Key"];
        for (name, value) in &self.lines {
            if protocol.is_none() || !left_out.iter().any(|out| out.eq_ignore_ascii_case(name)) {
                head.field(name.as_bytes(), value.as_bytes());
            }
        }
        if let Some(body) = self.body.as_ref().filter(|_| !self.chunked) {
            head.field(b"content-length", body.len().to_string().as_bytes());
        }
        head.finish();
        (out, self.body.as_deref().unwrap_or_default())
    }

    /// Whether it asks for a WebSocket.
    pub(crate) fn is_handshake(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|(name, _)| name.eq_ignore_ascii_case("Upgrade"))
    }

    /// Whether its answer has no body whatever the fields say.
    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// What lies in chunks.
fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = find(chunks, b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&chunks[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}

/// The 101 to [`HANDSHAKE`].
pub const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The fields of a WebSocket handshake (RFC 6455 §1.2, its sample key).
pub const HANDSHAKE: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
