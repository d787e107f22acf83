//! Promises P1 and P2 and the published mistakes of others: nobody names themselves.
//!
//! Test names are those of the threat corpus where it has one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod credentials;
mod names;
mod origin;
mod site;
mod smuggled;
