//! The guard's service through its life, with its programs pinned: overrides, restarts, crashes,
//! cgroups that come and go, others who meddle, and hosts on which it cannot hold.
//!
//! Each test has a host of its own, and a bpffs in a mount namespace of its own. They need root,
//! and say so where they have to skip.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

mod cgroups;
mod faults;
mod life;
mod older;
mod overrides;
mod repair;
mod rights;
mod steering;
mod storm;
mod town;
