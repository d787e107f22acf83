//! The override: a mode that the command line put in the place of the configured one, in a file
//! that survives restarts and reboots.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::rules::Mode;

/// What an operator chose by the command line, until `guard --clear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The mode.
    pub mode: Mode,
    /// Since when, in seconds since 1970.
    pub since_unix: u64,
}

/// The file that keeps the override. It and its directory must belong to the user of this process
/// (root) and be writable by nobody else: who writes it switches the guard off.
#[derive(Clone, Debug)]
pub(crate) struct OverrideFile(PathBuf);

impl Override {
    /// This mode, from now on.
    pub fn now(mode: Mode) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            mode,
            // A clock before 1970 is wrong anyway; the time is only for people.
            since_unix: since.map_or(0, |since| since.as_secs()),
        }
    }
}

impl OverrideFile {
    /// The file at this path, which need not exist.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads the override; `None` if there is none.
    pub(crate) fn read(&self) -> Result<Option<Override>, OverrideError> {
        let opened = OpenOptions::new()
            .read(true)
            // A link could lead anywhere; opening a FIFO would wait for its writer.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&self.0);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("cannot be read")(error)),
        };
        self.check(&file, &self.0)?;
        self.check_directory()?;
        let mut text = String::new();
        file.take(MAX_LENGTH)
            .read_to_string(&mut text)
            .map_err(self.io("cannot be read"))?;
        match serde_json::from_str(&text) {
            Ok(found) => Ok(Some(found)),
            Err(error) => Err(self.io("cannot be read")(error.into())),
        }
    }

    /// Writes an override in the place of any other: whole or not at all, and on the disk when
    /// this returns. A missing directory is made.
    pub(crate) fn write(&self, new: &Override) -> Result<(), OverrideError> {
        let fault = self.io("cannot be written");
        let directory = self.directory();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(&fault)?;
        self.check_directory()?;
        let mut partial = self.0.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        remove_if_present(&partial).map_err(&fault)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(&fault)?;
        let text = serde_json::to_string(new).map_err(|error| fault(error.into()))?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&partial, &self.0))
            .and_then(|()| File::open(directory)?.sync_all());
        written.map_err(&fault)
    }

    /// Ends the override. False if there was none.
    pub(crate) fn remove(&self) -> Result<bool, OverrideError> {
        let fault = self.io("cannot be removed");
        if !remove_if_present(&self.0).map_err(&fault)? {
            return Ok(false);
        }
        File::open(self.directory())
            .and_then(|directory| directory.sync_all())
            .map_err(&fault)?;
        Ok(true)
    }

    fn check_directory(&self) -> Result<(), OverrideError> {
        let directory = self.directory();
        let opened = File::open(directory).map_err(self.io("cannot be read"))?;
        self.check(&opened, directory)
    }

    fn check(&self, file: &File, path: &Path) -> Result<(), OverrideError> {
        let metadata = file.metadata().map_err(self.io("cannot be read"))?;
        if metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0 {
            return Ok(());
        }
        Err(OverrideError::Unsafe {
            path: path.to_owned(),
            uid: metadata.uid(),
            mode: metadata.mode() & 0o7777,
        })
    }

    fn directory(&self) -> &Path {
        match self.0.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    fn io(&self, what: &'static str) -> impl Fn(io::Error) -> OverrideError {
        let path = self.0.clone();
        move |source| OverrideError::Io {
            path: path.clone(),
            what,
            source,
        }
    }
}

/// Why the override cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// The file system, or the file's content.
    #[error("{} {what}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error(
        "{} belongs to user {uid} and has mode {mode:o}; \
         expected that only the guard's user can write it", path.display()
    )]
    Unsafe {
        /// The file, or its directory.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
}

fn remove_if_present(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// More than any override needs, in bytes.
const MAX_LENGTH: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::scratch::Scratch;

    const DETACHED: Override = Override {
        mode: Mode::Detach,
        since_unix: 1_795_000_000,
    };

    #[test]
    fn what_is_written_is_read_until_it_is_removed() {
        let scratch = Scratch::new();
        let path = scratch.path().join("made/for/it/override.json");
        let file = OverrideFile::at(&path);
        assert_eq!(file.read().unwrap(), None);
        assert!(!file.remove().unwrap());

        file.write(&DETACHED).unwrap();
        assert_eq!(file.read().unwrap(), Some(DETACHED));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"mode\":\"detach\",\"since_unix\":1795000000}\n");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);

        let other = Override::now(Mode::Audit);
        file.write(&other).unwrap();
        assert_eq!(file.read().unwrap(), Some(other));
        assert!(file.remove().unwrap());
        assert_eq!(file.read().unwrap(), None);
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
    }

    /// A crash between the temporary file and its renaming must not block the next override.
    #[test]
    fn a_left_over_partial_file_is_replaced_and_links_are_not_followed() {
        let scratch = Scratch::new();
        let path = scratch.path().join("override.json");
        let victim = scratch.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, scratch.path().join("override.json.partial")).unwrap();
        let file = OverrideFile::at(&path);
        file.write(&DETACHED).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(file.read().unwrap(), Some(DETACHED));
    }

    #[test]
    fn a_file_that_others_could_have_written_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.path().join("override.json");
        let file = OverrideFile::at(&path);
        file.write(&DETACHED).unwrap();
        for bits in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
            let refused = file.read();
            assert!(
                matches!(refused, Err(OverrideError::Unsafe { mode, .. }) if mode == bits),
                "{bits:o}: {refused:?}"
            );
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(file.read().unwrap(), Some(DETACHED), "the positive control");

        // Whoever may write the directory may put another file there.
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(file.read(), Err(OverrideError::Unsafe { .. })));
        assert!(matches!(
            file.write(&DETACHED),
            Err(OverrideError::Unsafe { .. })
        ));
    }

    #[test]
    fn foreign_files_are_refused() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let scratch = Scratch::new();
        let path = scratch.path().join("override.json");
        let file = OverrideFile::at(&path);
        file.write(&DETACHED).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let refused = file.read();
        assert!(
            matches!(refused, Err(OverrideError::Unsafe { uid: 65534, .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn what_is_no_override_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.path().join("override.json");
        let file = OverrideFile::at(&path);
        for text in [
            "",
            "{}",
            "{\"mode\":\"off\",\"since_unix\":1}",
            "{\"mode\":\"detach\"}",
            "\0\0\0\0",
            "{\"mode\":\"detach\",\"since_unix\":1}x",
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(
                matches!(file.read(), Err(OverrideError::Io { .. })),
                "{text}"
            );
        }
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(
            matches!(file.read(), Err(OverrideError::Io { .. })),
            "a link"
        );
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }
}
