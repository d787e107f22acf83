//! Faults in a configuration, each with its place.

use std::fmt;
use std::path::PathBuf;

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The key's path, as `app[0].public_url`.
    pub key: String,
}

impl Origin {
    /// A fault at this place.
    pub fn fault(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            origin: self.clone(),
            message: message.into(),
        }
    }
}

/// One fault: what is wrong at which key, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub origin: Origin,
    /// What, and what was expected instead.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin.file.display())?;
        if self.origin.line > 0 {
            write!(f, ":{}", self.origin.line)?;
        }
        if !self.origin.key.is_empty() {
            write!(f, ": {}", self.origin.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every fault that was found; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl From<Diagnostic> for ConfigError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostics: vec![diagnostic],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
