//! The answer's head as the client receives it.

use bytes::BytesMut;
use wire::h1::push_field;
use wire::{AnswerHead, FieldLine, Name, cookie};

use crate::inject::ForwardedBlock;
use crate::sanitise::remove_listed;
use crate::{Forward, Kept, Policy, Realm};

/// The field lines of an answer that go on to the client: not hop-by-hop ones or those that
/// `Connection` names, not framing, not `Alt-Svc` or `Clear-Site-Data` (which could end the
/// gateway's own session), not a `Set-Cookie` with a gateway cookie's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The field lines.
    pub kept: Kept,
    /// How many attempts to set or clear a gateway cookie, or to set `Alt-Svc`, were removed.
    pub stripped: u32,
}

impl KeptAnswer {
    /// Decides about an answer's fields.
    pub fn of(head: &AnswerHead) -> Self {
        let mut kept = Kept::default();
        let mut stripped = 0;
        for (index, line) in head.fields().iter().enumerate() {
            match line.known {
                Name::Connection
                | Name::ContentLength
                | Name::KeepAlive
                | Name::ProxyAuthenticate
                | Name::ProxyAuthorization
                | Name::ProxyConnection
                | Name::Te
                | Name::Trailer
                | Name::TransferEncoding
                | Name::Upgrade => {}
                Name::AltSvc | Name::ClearSiteData => stripped += 1,
                Name::SetCookie if Realm::owns_cookie(cookie::set_cookie_name(line.value)) => {
                    stripped += 1;
                }
                _ => kept.insert(index),
            }
        }
        // A back-end can only remove its own fields thereby: none needs protection.
        remove_listed(head.fields(), &mut kept, |_, _| false);
        Self { kept, stripped }
    }

    /// The kept field lines, in order.
    pub fn fields<'h>(&self, head: &'h AnswerHead) -> impl Iterator<Item = FieldLine<'h>> {
        let kept = self.kept;
        let lines = head.fields().iter().enumerate();
        lines.filter_map(move |(index, line)| kept.contains(index).then_some(line))
    }

    /// Appends the kept field lines as HTTP/1.1 has them.
    pub fn write_fields(&self, head: &AnswerHead, out: &mut BytesMut) {
        for (index, line) in head.fields().iter().enumerate() {
            if self.kept.contains(index) {
                push_field(out, line.name, line.value);
            }
        }
    }
}

/// The fields of an answer that are the gateway's own.
#[derive(Clone, Debug)]
pub struct OwnFields<'p> {
    /// The value of a `Set-Cookie`.
    cookie: Option<Vec<u8>>,
    /// The value of an `Alt-Svc`.
    alt_svc: Option<&'p str>,
}

impl OwnFields<'_> {
    /// The field lines, by name and value.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let cookie = self.cookie.as_deref();
        let lines = [
            cookie.map(|cookie| ("Set-Cookie", cookie)),
            // Whatever the back-end says of its answer, no shared cache may keep this cookie.
            cookie.map(|_| ("Cache-Control", &b"private"[..])),
            self.alt_svc.map(|value| ("Alt-Svc", value.as_bytes())),
        ];
        lines.into_iter().flatten()
    }

    /// Appends the field lines as HTTP/1.1 has them.
    pub fn write(&self, out: &mut BytesMut) {
        // Most answers have none.
        if self.cookie.is_none() && self.alt_svc.is_none() {
            return;
        }
        for (name, value) in self.lines() {
            push_field(out, name.as_bytes(), value);
        }
    }
}

impl Forward {
    /// The gateway's own fields of the answer: its `Set-Cookie`, if this request begins a session;
    /// and where to find the same app by HTTP/3 (RFC 7838), if the answer `announces` that.
    ///
    /// The port is that of the app's public URL: clients know no other.
    pub fn own_fields<'p>(&self, policy: &'p Policy, announces: bool) -> OwnFields<'p> {
        let cookie = self.set_session.as_ref().and_then(|token| {
            let app = policy.apps().get(self.app)?;
            let realm = policy.realms().get(app.realm)?;
            let parts = [realm.cookie().as_bytes(), b"=", &token.encode(), ATTRIBUTES];
            Some(parts.concat())
        });
        let block = announces.then(|| policy.forwarded(self.app)).flatten();
        OwnFields {
            cookie,
            alt_svc: block.map(ForwardedBlock::alt_svc),
        }
    }
}

/// What a gateway cookie has beside its value.
const ATTRIBUTES: &[u8] = b"; Path=/; Secure; HttpOnly; SameSite=Lax";
