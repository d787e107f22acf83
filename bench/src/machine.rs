//! The machine that was measured on, in one line.

use std::fs;

use anyhow::{Context, Result};

/// What it is, and how busy it was.
pub fn describe() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let cpus = read("/proc/cpuinfo")?;
    let mut models = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|model| model.trim_start_matches(['\t', ' ', ':']));
    let model = models.next().unwrap_or("unknown").to_owned();
    let load = read("/proc/loadavg")?;
    Ok(format!(
        "Linux {} on {} × {model}; load average before: {}",
        read("/proc/sys/kernel/osrelease")?.trim(),
        models.count() + 1,
        load.split(' ').next().unwrap_or("unknown"),
    ))
}
