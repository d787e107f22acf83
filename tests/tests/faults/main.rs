//! What fails between the gateway and its two neighbours, at each phase of a request: each fault
//! has one outcome for the client, for the log and for the metrics. `docs/failure-modes.md` lists
//! them all.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod back_end_leg;
mod client_leg;
mod clients;
mod connecting;
mod early;
mod modes;
mod resolver;
mod site;
