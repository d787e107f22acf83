//! What this kernel and host lack, by name, found before anything is attached.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// Something that an operator must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name: part of the command line's API.
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it means here, and what to do.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The guard cannot hold.
    Fault,
    /// The guard holds, with less comfort or more refusals than one may expect.
    Warning,
}

/// Looks at the kernel, the mounts, the capabilities and the rules.
pub(crate) fn probe(rules: &Rules, pins: Option<&Path>, allow_unproven_kernel: bool) -> Vec<Finding> {
    let _ = (rules, pins, allow_unproven_kernel);
    todo!()
}

/// Whether cgroup_skb programs can ask for their network namespace (Linux 6.15 or so; by asking
/// the kernel, not by its version).
pub(crate) fn has_namespace_helper() -> bool {
    todo!()
}
