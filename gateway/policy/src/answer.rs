//! The answer's head as the client receives it.

use bytes::BytesMut;
use wire::h1::push_field;
use wire::{AnswerHead, FieldLine, Name, cookie};

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
        for line in self.fields(head) {
            push_field(out, line.name, line.value);
        }
    }
}

impl Forward {
    /// The gateway's own fields of the answer, by name and value: its `Set-Cookie`, if this request
    /// begins a session.
    pub fn session_fields(&self, policy: &Policy) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let app = policy.apps().get(self.app);
        let realm = app.and_then(|app| policy.realms().get(app.realm));
        let cookie = self.set_session.as_ref().zip(realm).map(|(token, realm)| {
            let parts = [realm.cookie().as_bytes(), b"=", &token.encode(), ATTRIBUTES];
            parts.concat()
        });
        cookie.into_iter().flat_map(|cookie| {
            // Whatever the back-end says of its answer, no shared cache may keep this cookie.
            [
                ("Set-Cookie", cookie),
                ("Cache-Control", b"private".to_vec()),
            ]
        })
    }

    /// Appends [`Self::session_fields`] as HTTP/1.1 has them.
    pub fn write_session(&self, policy: &Policy, out: &mut BytesMut) {
        for (name, value) in self.session_fields(policy) {
            push_field(out, name.as_bytes(), &value);
        }
    }
}

/// What a gateway cookie has beside its value.
const ATTRIBUTES: &[u8] = b"; Path=/; Secure; HttpOnly; SameSite=Lax";
