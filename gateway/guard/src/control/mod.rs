//! The conversation with the service, over a unix socket: one line of JSON each way, then the
//! connection ends. Root may ask everything; the processes in the gateway's slice, the status.

mod client;
mod seat;
mod server;

pub use client::{AskError, ask, ask_status};
pub(crate) use seat::Seat;
pub use seat::SeatError;
pub use server::Asker;
pub(crate) use server::{Question, Right, serve};

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
    /// Override the mode.
    Set {
        /// With this one.
        mode: Mode,
    },
    /// Tell the status.
    Status,
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It was not done, and why.
    Error(String),
    /// It was done.
    Ok(Answer),
}

/// What was asked for. After [`Ask::Set`] and [`Ask::Clear`], the status then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The rules that decide.
    Explanation(Box<Explanation>),
    /// The status.
    Status(Box<Status>),
}

#[cfg(test)]
mod tests;
