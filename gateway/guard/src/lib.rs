//! The guard: in the kernel, protected endpoints accept connections from the gateway and from
//! nobody else.
//!
//! [`Guard`] owns programs, links and maps; [`service`] runs it as a process of its own, and
//! [`control`] talks to that process. Nothing here knows HTTP. docs/guard.md says what it closes
//! and what it does not.

mod cgroup;
mod diag;
mod events;
mod explain;
mod guard;
mod matching;
mod namespace;
mod object;
mod overrides;
mod probe;
mod rules;
pub mod control;
pub mod notify;
pub mod offline;
#[cfg(test)]
mod scratch;
pub mod service;
pub mod status;

pub use cgroup::{Cgroup, Hierarchy};
pub use explain::{Explanation, ExplainError, explain};
pub use guard::{Count, Guard, GuardError, LinkState, Notice, Options};
pub use object::{OBJECT_SHA256, has_object};
pub use overrides::{Override, OverrideError};
pub use probe::{Finding, Severity};
pub use rules::{Exception, Local, Mode, Network, Rules};
