//! Cgroups as a configuration names them: by path or by systemd unit.

use std::fmt;

/// A cgroup's path from the hierarchy's root: absolute, normalised, and not the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPath(Box<str>);

impl CgroupPath {
    /// The path, as `/system.slice/rstudio-connect.service`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
