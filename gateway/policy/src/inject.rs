//! The request head as the back-end receives it: kept fields, then the gateway's own, once each.

use std::net::IpAddr;

use bytes::BytesMut;
use wire::Name;
use wire::h1::{Body, push_field, push_request_line};
use wire::text::{AddressText, Decimal};

use crate::app::Kind;
use crate::{App, Forward, Policy, Request};

/// The id under which a request is logged and that the back-end is told (`X-Correlation-Id`):
/// the client's own if it has 1–64 characters of `[A-Za-z0-9._-]`, else the process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// The client's id if it is safe to log, else `fresh`.
    pub fn choose(head: &'a wire::Head, fresh: &'a str) -> Self {
        let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let theirs = head
            .fields()
            .only(Name::XCorrelationId)
            .filter(|id| (1..=64).contains(&id.len()) && id.iter().all(safe))
            .and_then(|id| std::str::from_utf8(id).ok());
        Self(theirs.unwrap_or(fresh))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        self.0
    }
}

impl Forward {
    /// Appends the HTTP/1.1 head for the back-end, terminator included.
    ///
    /// The raw target (without the mount, where it is stripped), `Host`, the kept fields, the
    /// framing of `body`, the upgrade fields; then `X-RSC-Request` (kind connect),
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, (`-Prefix`), `Forwarded`, `X-Real-IP`, the
    /// correlation id, and the identity, each exactly once.
    pub fn write_head(
        &self,
        policy: &Policy,
        request: &Request<'_>,
        body: Body,
        id: RequestId<'_>,
        out: &mut BytesMut,
    ) {
        let (Some(app), Some(block)) = (policy.apps().get(self.app), policy.forwarded(self.app))
        else {
            // Another policy than the one that decided. An empty head is no request.
            debug_assert!(false, "app {} is unknown", self.app);
            return;
        };
        out.reserve(HEAD_ESTIMATE);
        let head = request.head;
        let path = match app.strip_mount {
            true => app.public_url.mount().strip(head.path()),
            false => None,
        };
        push_request_line(
            out,
            head.method_bytes(),
            path.unwrap_or_else(|| head.path()),
            head.query(),
        );
        push_field(out, b"Host", head.authority());
        for (index, line) in head.fields().iter().enumerate() {
            if self.kept.contains(index) {
                push_field(out, line.name, line.value);
            }
        }
        if let Some(cookie) = self.cookie.as_deref().filter(|cookie| !cookie.is_empty()) {
            push_field(out, b"Cookie", cookie);
        }
        push_framing(body, out);
        if self.websocket {
            push_field(out, b"Connection", b"Upgrade");
            push_field(out, b"Upgrade", b"websocket");
        }
        if app.kind == Kind::Connect {
            push_original_url(app, head, out);
        }
        block.push(self.client, out);
        push_field(out, b"X-Correlation-Id", id.as_str().as_bytes());
        if let Some(identity) = &self.identity {
            let name = app.identity.username.as_str().as_bytes();
            push_field(out, name, identity.username.as_str().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What an app's back-end is told of the way of its requests, and its clients of other ways, rendered
/// as far as it does not depend on the client.
#[derive(Clone, Debug)]
pub(crate) struct ForwardedBlock {
    /// `X-Forwarded-Proto`, `-Host`, `-Port` and, where the mount is stripped, `-Prefix`.
    fields: Box<str>,
    /// `Forwarded` after its `for`.
    forwarded: Box<str>,
    /// What clients are told of HTTP/3 (`Alt-Svc`).
    alt_svc: Box<str>,
}

impl ForwardedBlock {
    /// Renders the block from the app's public URL: nothing that the client sends decides.
    pub(crate) fn new(app: &App) -> Self {
        let url = &app.public_url;
        let host = url.authority();
        let mut fields = format!(
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Port: {}\r\n",
            url.port(),
        );
        let mount = url.mount().as_str();
        if app.strip_mount && !mount.is_empty() {
            fields += &format!("X-Forwarded-Prefix: {mount}\r\n");
        }
        Self {
            fields: fields.into(),
            forwarded: format!(";host=\"{host}\";proto=https\r\n").into(),
            alt_svc: format!("h3=\":{}\"; ma={ALT_SVC_SECONDS}", url.port()).into(),
        }
    }

    /// The value of `Alt-Svc` for answers that announce HTTP/3.
    pub(crate) fn alt_svc(&self) -> &str {
        &self.alt_svc
    }

    fn push(&self, client: IpAddr, out: &mut BytesMut) {
        let address = AddressText::of(client);
        push_field(out, b"X-Forwarded-For", address.as_bytes());
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"Forwarded: for=");
        // RFC 7239 §6: an IPv6 address stands in brackets, and those in quotes.
        let (before, after): (&[u8], &[u8]) = match client {
            IpAddr::V4(_) => (b"", b""),
            IpAddr::V6(_) => (b"\"[", b"]\""),
        };
        for part in [before, address.as_bytes(), after, self.forwarded.as_bytes()] {
            out.extend_from_slice(part);
        }
        push_field(out, b"X-Real-IP", address.as_bytes());
    }
}

/// The framing of the body, from what was parsed and not from what was written.
fn push_framing(body: Body, out: &mut BytesMut) {
    match body {
        Body::Chunked => push_field(out, b"Transfer-Encoding", b"chunked"),
        Body::Empty => {}
        Body::Length(length) => {
            push_field(out, b"Content-Length", Decimal::of(length).as_bytes());
        }
        Body::Zero => push_field(out, b"Content-Length", b"0"),
    }
}

/// `X-RSC-Request`: the URL that the client asked for, over which it made its signature.
fn push_original_url(app: &App, head: &wire::Head, out: &mut BytesMut) {
    out.extend_from_slice(b"X-RSC-Request: ");
    out.extend_from_slice(app.public_url.origin().as_bytes());
    out.extend_from_slice(head.path());
    if let Some(query) = head.query() {
        out.extend_from_slice(b"?");
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b"\r\n");
}

/// Room for a usual head, so that writing it grows the buffer once at most.
const HEAD_ESTIMATE: usize = 2048;

/// How long a client remembers that there is HTTP/3: a day. One that finds it gone goes on with TCP.
const ALT_SVC_SECONDS: u32 = 86_400;
