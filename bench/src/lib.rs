//! `cargo xtask bench`: what the gateway costs beside others that do the same job.
//!
//! CPU time is the figure, from the kernel's own accounting of the process, because wall-clock time
//! says more about the other processes of a shared machine. The subject has a core of its own; the
//! generator and the back-end share another. Rounds alternate between the subjects, so that what
//! slows the machine down slows all of them down.
//!
//! The programs: `gateway-bench` runs a benchmark, `bench-load` is the generator where wrk cannot
//! be, `bench-back-end` is the back-end, `bench-floor` the bare proxy loop, and `guard-cost` is
//! `cargo xtask bench guard`.

mod account;
mod cable;
pub mod cli;
mod cores;
pub mod figures;
pub mod http;
pub mod http3;
mod load;
pub mod machine;
mod metric;
pub mod order;
pub mod place;
mod probe;
mod report;
mod result;
mod run;
mod scenario;
mod subject;
mod target;
pub mod tls;
