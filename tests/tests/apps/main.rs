//! Real applications behind the gateway: each keeps its visitors connected, knows their true names,
//! and cannot be told another one.
//!
//! The visitors are scripts in `tests/apps` that speak each application's own protocol.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod jupyterhub;
mod radicale;
mod running;
mod shiny;
mod site;
mod streamlit;
