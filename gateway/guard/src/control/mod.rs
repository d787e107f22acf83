//! The conversation with the service, over a unix socket: one line of JSON each way, then the
//! connection ends. Root may ask everything; the processes in the gateway's slice, the status, and to
//! take part in the steering of QUIC.
//!
//! Who does hands over its sockets: it announces them, and sends them (`SCM_RIGHTS`) when the service
//! says `"send"`, with one byte for at most 253 of them. Then comes the answer.

mod client;
mod descriptors;
mod seat;
mod server;

pub use client::{AskError, ask, ask_join, ask_status};
pub(crate) use seat::Seat;
pub use seat::SeatError;
pub use server::Asker;
pub(crate) use server::{Question, Right, start};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::rules::Mode;
use crate::status::Status;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// End the override.
    Clear,
    /// Say which rule decides about something.
    Explain {
        /// A process id, an address, or an address and port.
        what: String,
    },
    /// Take part in the steering of QUIC.
    Join(Join),
    /// Override the mode.
    Set {
        /// With this one.
        mode: Mode,
    },
    /// Tell the status.
    Status,
}

/// A process of the gateway's that takes part in the steering of QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The number by which its connection IDs name it: the least that will do, or, if it is `fixed`,
    /// the one that IDs in use have.
    pub generation: u16,
    /// Whether it cannot have another number any more.
    pub fixed: bool,
    /// The keys of its connection IDs: the same for all processes of an address that live.
    pub keys: IdKeys,
    /// How many listening addresses it has.
    pub addresses: u16,
    /// How many workers it has. There is a socket for each, by address and worker.
    pub workers: u16,
}

impl Join {
    /// How many sockets come with it.
    pub fn sockets(&self) -> usize {
        usize::from(self.addresses) * usize::from(self.workers)
    }
}

/// The keys of connection IDs.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdKeys {
    /// By which they conceal.
    pub conceal: [u64; 2],
    /// By which they prove.
    pub prove: [u64; 2],
}

impl fmt::Debug for IdKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKeys(..)")
    }
}

/// What became of a [`Join`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The number by which connection IDs have to name the process.
    pub generation: u16,
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It was not done, and why.
    Error(String),
    /// It was done.
    Ok(Answer),
    /// It waits for what was announced.
    Send,
}

/// What was asked for. After [`Ask::Set`] and [`Ask::Clear`], the status then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The rules that decide.
    Explanation(Box<Explanation>),
    /// It takes part.
    Joined(Joined),
    /// The status.
    Status(Box<Status>),
}

#[cfg(test)]
mod tests;
