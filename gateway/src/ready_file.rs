//! The file that says where a process serves, once it does.

use std::io;
use std::path::Path;

use serde_json::Value;

/// Writes it whole or not at all: a reader never sees half of it.
pub(crate) fn write(path: &Path, facts: &Value) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, facts.to_string())?;
    std::fs::rename(&partial, path)
}
