//! The request head as the back-end receives it: kept fields, then the gateway's own, once each.

use bytes::BytesMut;
use wire::h1::Body;

use crate::{Forward, Policy, Request};

/// The id under which a request is logged and that the back-end is told (`X-Correlation-Id`):
/// the client's own if it has 1–64 characters of `[A-Za-z0-9._-]`, else the process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// The client's id if it is safe to log, else `fresh`.
    pub fn choose(head: &'a wire::Head, fresh: &'a str) -> Self {
        let _ = head;
        Self(fresh)
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
        let _ = (policy, request, body, id, out);
        todo!()
    }
}
