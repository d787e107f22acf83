//! HTTP/3 (RFC 9114) with static QPACK (RFC 9204), extended CONNECT for WebSocket (RFC 9220) and
//! priorities (RFC 9218), both ways, without sockets.
//!
//! Bytes arrive in pieces, as [`Bytes`](bytes::Bytes) of which each reader takes from the front
//! what it can; payload comes out as slices of them. After an [`Error`] a reader is of no more use.

mod answer;
mod control;
mod count;
mod error;
mod frame;
mod message;
mod priority;
mod qpack;
mod request;
mod section;
mod settings;
mod streams;
#[cfg(test)]
mod testing;
mod varint;
mod write;

pub use answer::parse_answer;
pub use control::{Control, ControlStream};
pub use count::DataCount;
pub use error::{Code, Error, SectionError};
pub use frame::{push_data_header, push_goaway};
pub use message::{Event, Message};
pub use priority::Priority;
pub use qpack::{DecoderStream, EncoderStream};
pub use request::{Request, parse_request};
pub use section::{MAX_CRUMBS, check_trailers};
pub use settings::Settings;
pub use streams::{PeerStreams, StreamKind, StreamType};
pub use write::HeadWriter;

/// The end of a connection that an endpoint is. The rules differ for what each may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Reads what a server sent.
    Client,
    /// Reads what a client sent.
    Server,
}
