//! The answer's head as the client receives it.

use bytes::BytesMut;
use wire::h1::push_field;
use wire::{AnswerHead, Name, cookie};

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

    /// Appends the kept field lines.
    pub fn write_fields(&self, head: &AnswerHead, out: &mut BytesMut) {
        for (index, line) in head.fields().iter().enumerate() {
            if self.kept.contains(index) {
                push_field(out, line.name, line.value);
            }
        }
    }
}

impl Forward {
    /// Appends the gateway's own `Set-Cookie`, if this request begins a session.
    pub fn write_session(&self, policy: &Policy, out: &mut BytesMut) {
        let app = policy.apps().get(self.app);
        let realm = app.and_then(|app| policy.realms().get(app.realm));
        if let (Some(token), Some(realm)) = (&self.set_session, realm) {
            out.extend_from_slice(b"Set-Cookie: ");
            out.extend_from_slice(realm.cookie().as_bytes());
            out.extend_from_slice(b"=");
            out.extend_from_slice(&token.encode());
            out.extend_from_slice(b"; Path=/; Secure; HttpOnly; SameSite=Lax\r\n");
            // Whatever the back-end says of its answer, no shared cache may keep this cookie.
            push_field(out, b"Cache-Control", b"private");
        }
    }
}
