//! What every step of validation shares: the text, the faults found so far, the files it names.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::value::Text;
use crate::{ConfigError, Diagnostic, Origin};

/// One validation of one text.
pub(crate) struct Context<'a> {
    file: &'a Path,
    files: Files<'a>,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    /// Each fault with the line of this text that led to it, which is not its own line where it
    /// lies in a file that this text names.
    faults: RefCell<Vec<(usize, Diagnostic)>>,
}

/// The files that a configuration names.
pub(crate) enum Files<'a> {
    /// Are read; relative paths start at this directory.
    From(&'a Path),
    /// Are not read: only the text is checked.
    Unread,
}

/// A value that does not exist: its fault was recorded, or its file was not to be read. Only a
/// [`Context`] makes one, so that nothing can be missing without a reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing(());

impl<'a> Context<'a> {
    pub(crate) fn new(file: &'a Path, text: &str, files: Files<'a>) -> Self {
        let after_newline = |(offset, _): (usize, &str)| offset.saturating_add(1);
        Self {
            file,
            files,
            lines: std::iter::once(0)
                .chain(text.match_indices('\n').map(after_newline))
                .collect(),
            faults: RefCell::default(),
        }
    }

    /// The place of a key whose text begins at a byte offset.
    pub(crate) fn origin(&self, span: &Range<usize>, key: String) -> Origin {
        Origin {
            file: self.file.to_owned(),
            line: self.lines.partition_point(|start| *start <= span.start),
            key,
        }
    }

    /// The place of the file as a whole.
    pub(crate) fn whole(&self, key: String) -> Origin {
        Origin {
            file: self.file.to_owned(),
            line: 0,
            key,
        }
    }

    /// Records a fault.
    pub(crate) fn fault(&self, origin: &Origin, message: impl Into<String>) -> Missing {
        self.record(origin.line, origin.fault(message))
    }

    /// Records faults that lie at these lines of a file which the key at `origin` names.
    pub(crate) fn faults_inside(
        &self,
        origin: &Origin,
        file: &Path,
        faults: Vec<(usize, String)>,
    ) -> Missing {
        for (line, message) in faults {
            let inside = Origin {
                file: file.to_owned(),
                line,
                key: origin.key.clone(),
            };
            self.record(origin.line, inside.fault(message));
        }
        Missing(())
    }

    /// The path that a value names.
    pub(crate) fn path(&self, text: &Text<'_>) -> Result<PathBuf, Missing> {
        if text.as_str().is_empty() {
            return Err(self.fault(text.origin(), "expected a file's path"));
        }
        match self.files {
            Files::From(directory) => Ok(directory.join(text.as_str())),
            Files::Unread => Err(Missing(())),
        }
    }

    /// Reads the file that a value names.
    pub(crate) fn read(&self, text: &Text<'_>) -> Result<(PathBuf, Vec<u8>), Missing> {
        let path = self.path(text)?;
        match read_file(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                Err(self.fault(text.origin(), message))
            }
        }
    }

    /// The outcome, or every fault in the order of the file.
    pub(crate) fn finish<T>(self, outcome: Result<T, Missing>) -> Result<T, ConfigError> {
        let whole = self.whole(String::new());
        match (outcome, self.into_faults()) {
            (Ok(value), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error),
            (Err(Missing(())), Ok(())) => {
                debug_assert!(false, "something is missing without a fault");
                Err(whole.fault("incomplete, but no fault was found").into())
            }
        }
    }

    /// Every fault in the order of the file, if there is one.
    pub(crate) fn into_faults(self) -> Result<(), ConfigError> {
        let mut faults = self.faults.into_inner();
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|(line, _)| *line);
        Err(ConfigError {
            diagnostics: faults.into_iter().map(|(_, fault)| fault).collect(),
        })
    }

    fn record(&self, line: usize, fault: Diagnostic) -> Missing {
        self.faults.borrow_mut().push((line, fault));
        Missing(())
    }
}

/// Reads a file of reasonable size whole.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE.saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE) {
        Ok(bytes)
    } else {
        Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 16 MiB",
        ))
    }
}

/// The line of a byte offset, from 1.
pub(crate) fn line_of(bytes: &[u8], offset: usize) -> usize {
    let newlines = bytes.iter().take(offset).filter(|byte| **byte == b'\n');
    newlines.count().saturating_add(1)
}

/// The largest file that is read, in bytes: a slip such as `/dev/zero` must not eat the memory.
const MAX_FILE: u64 = 16 << 20;
