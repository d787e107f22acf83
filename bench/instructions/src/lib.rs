//! The way of a request in stages, for `cargo xtask bench instructions` to count.
//!
//! Each stage calls the gateway's own parts as `gateway/src/serve` calls them, in its order and
//! with its memory: buffers and tables that an earlier request has left. What is not here is what
//! has to do with sockets and time, and the access log.
//!
//! A package of its own, because what is built to count instructions is built as a release is, and
//! needs nothing of what the other benchmarks need.

#![forbid(unsafe_code)]

mod ends;
mod messages;
mod way;

pub use way::{Visit, Way};
