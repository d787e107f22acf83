//! The guard: in the kernel, protected endpoints accept connections from the gateway and from
//! nobody else.
//!
//! [`Guard`] owns programs, links and maps; [`service`] runs it as a process of its own, and
//! [`control`] talks to that process. Nothing here knows HTTP. docs/guard.md says what it closes
//! and what it does not.

mod baseline;
mod cgroup;
pub mod control;
mod cut;
mod diag;
mod error;
mod events;
mod explain;
mod guard;
mod link;
mod maps;
mod matching;
mod namespace;
pub mod notify;
mod object;
pub mod offline;
mod overrides;
mod pins;
mod probe;
mod programs;
mod rules;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod scratch;
pub mod service;
mod sockopt;
pub mod status;
mod steering;
mod surroundings;
mod sys;
mod tables;

pub use baseline::{Baseline, Runs};
pub use cgroup::{Cgroup, Hierarchy};
pub use error::GuardError;
pub use explain::{ExplainError, Explanation, NoSubject, Subject, explain};
pub use gateway_ebpf::abi::{Program, Reason, Steered};
pub use guard::{Count, Guard, LinkState, Notice, Options};
pub use object::{OBJECT_SHA256, has_object};
pub use overrides::{Override, OverrideError};
pub use probe::{Finding, Severity};
pub use rules::{Exception, Local, Mode, Network, Rules};
pub use steering::SteeringError;
