//! The answer's head as the client receives it.

use bytes::BytesMut;
use wire::AnswerHead;

use crate::{Forward, Kept, Policy};

/// The field lines of an answer that go on to the client: not hop-by-hop ones or those that
/// `Connection` names, not framing, not `Alt-Svc`, not a `Set-Cookie` with a gateway cookie's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The field lines.
    pub kept: Kept,
    /// How many attempts to set a gateway cookie or `Alt-Svc` were removed.
    pub stripped: u32,
}

impl KeptAnswer {
    /// Decides about an answer's fields.
    pub fn of(head: &AnswerHead) -> Self {
        let _ = head;
        todo!()
    }

    /// Appends the kept field lines.
    pub fn write_fields(&self, head: &AnswerHead, out: &mut BytesMut) {
        let _ = (head, out);
        todo!()
    }
}

impl Forward {
    /// Appends the gateway's own `Set-Cookie`, if this request begins a session.
    pub fn write_session(&self, policy: &Policy, out: &mut BytesMut) {
        let _ = (policy, out);
        todo!()
    }
}
