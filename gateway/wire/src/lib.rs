//! Sans-io HTTP codecs: bytes in, values out, and back.
//!
//! Both protocol versions meet in one [`Head`]: owned bytes plus a table of spans, so that a head
//! costs no allocation per field and borrows nothing. Nothing here knows sockets, clocks or
//! policy. Every parser is strict: what it accepts has one meaning (promise P4), and heads are
//! re-serialised from parsed values only.

#![forbid(unsafe_code)]

pub mod authority;
pub mod authorization;
pub mod cookie;
pub mod fold;
mod grammar;
pub mod h1;
pub mod h3;
pub mod head;
mod proxy_protocol;
pub mod text;
pub mod websocket;

pub use authority::Authority;
pub use fold::Folded;
pub use head::{AnswerHead, Field, FieldLine, Fields, Head, Method, Name, Span, Version};
pub use proxy_protocol::{ProxyError, ProxyHeader};
