//! Reading the file and what it names.

use std::path::Path;

use crate::{Config, ConfigError};

/// See [`Config::load`].
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let _ = path;
    todo!()
}
