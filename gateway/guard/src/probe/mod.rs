//! What this kernel and host lack, by name, found before anything is attached.

mod facts;
mod findings;
mod pins;
mod ports;

use std::path::Path;

use aya::programs::ProgramType;
use aya::sys::BpfHelper;
use serde::{Deserialize, Serialize};

use crate::rules::Rules;
use facts::Facts;

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

/// Looks at the kernel, the mounts, the capabilities and the rules. `pins` `None` means that
/// nothing is to be pinned.
pub(crate) fn probe(
    rules: &Rules,
    pins: Option<&Path>,
    allow_unproven_kernel: bool,
) -> Vec<Finding> {
    findings::of(&Facts::gather(rules, pins), allow_unproven_kernel)
}

/// Whether cgroup_skb programs can ask for their network namespace (Linux 6.15 or so; by asking
/// the kernel, not by its version). If the kernel cannot be asked they are taken to be unable,
/// which only costs a program more.
pub(crate) fn has_namespace_helper() -> bool {
    let helper = BpfHelper::BPF_FUNC_get_netns_cookie;
    aya::sys::is_helper_supported(ProgramType::CgroupSkb, helper).unwrap_or(false)
}
