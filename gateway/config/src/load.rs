//! Reading the file and what it names.

use std::path::Path;

use toml::de::DeTable;

use crate::context::{Context, Files, Missing, line_of, read_file};
use crate::raw::Section;
use crate::{Config, ConfigError, Guard, Origin, syntax, validate};

/// See [`Config::load`].
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    load_by(path, validate::config)
}

/// See [`crate::load_guard`].
pub(crate) fn load_guard(path: &Path) -> Result<Guard, ConfigError> {
    load_by(path, validate::guard_alone)
}

/// See [`crate::check_syntax`].
pub(crate) fn check_syntax(text: &str, file: &Path) -> Result<(), ConfigError> {
    let context = Context::new(file, text, Files::Unread);
    // No configuration comes of it, since its files are not read: the faults are the outcome.
    drop(read(&context, text, validate::config));
    context.into_faults()
}

fn load_by<T>(
    path: &Path,
    validate: impl FnOnce(Section<'_>) -> Result<T, Missing>,
) -> Result<T, ConfigError> {
    let text = read_text(path)?;
    // A bare file name has the empty path as its parent, which joins to the other name alone.
    let directory = path.parent().unwrap_or(path);
    let context = Context::new(path, &text, Files::From(directory));
    let outcome = read(&context, &text, validate);
    context.finish(outcome)
}

fn read<T>(
    context: &Context<'_>,
    text: &str,
    validate: impl FnOnce(Section<'_>) -> Result<T, Missing>,
) -> Result<T, Missing> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut outcome = Ok(());
    for error in &errors {
        outcome = Err(syntax::fault(context, text, error));
    }
    // What was recovered from broken TOML would only yield follow-up faults.
    outcome?;
    validate(Section::root(context, table.get_ref()))
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let fault = |line, message: String| {
        let origin = Origin {
            file: path.to_owned(),
            line,
            key: String::new(),
        };
        ConfigError::from(origin.fault(message))
    };
    let bytes = read_file(path).map_err(|error| fault(0, format!("cannot read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
        fault(line, "not TOML: expected UTF-8".to_owned())
    })
}
