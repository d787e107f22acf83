//! The directory in which links and maps are pinned: who can write there can switch the guard off.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The directory and those above it.
#[derive(Debug)]
pub(super) struct Pins {
    /// Its path.
    pub(super) path: PathBuf,
    /// The directories above it, from the root on.
    pub(super) above: Vec<io::Result<Entry>>,
    /// Itself, if it is there.
    pub(super) directory: io::Result<Option<Entry>>,
    /// Whether it is, or would be, in a BPF file system.
    pub(super) bpffs: io::Result<bool>,
}

/// Something in a file system; a symbolic link is not followed.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) kind: &'static str,
    pub(super) uid: u32,
    /// The permissions with the sticky bit.
    pub(super) mode: u32,
}

impl Pins {
    pub(super) fn look(path: &Path) -> Self {
        let mut above: Vec<_> = path.ancestors().skip(1).map(Entry::look).collect();
        above.reverse();
        let directory = match Entry::look(path) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let existing = match directory {
            Ok(Some(_)) => path,
            _ => path.parent().unwrap_or(path),
        };
        Self {
            path: path.to_path_buf(),
            above,
            directory,
            bpffs: rustix::fs::statfs(existing)
                .map(|statistics| statistics.f_type == BPFFS_MAGIC)
                .map_err(io::Error::from),
        }
    }

    /// Why others than root could change what is pinned there, if they could.
    pub(super) fn weakness(&self) -> Option<String> {
        for entry in &self.above {
            match entry {
                Ok(entry) => {
                    if let Some(weakness) = entry.weakness_above() {
                        return Some(weakness);
                    }
                }
                // Then it holds nothing either; that it is missing is said elsewhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => {
                    return Some(format!("a directory above it cannot be looked at: {error}"));
                }
            }
        }
        match &self.directory {
            Ok(directory) => directory.as_ref().and_then(Entry::weakness),
            Err(error) => Some(format!("it cannot be looked at: {error}")),
        }
    }
}

impl Entry {
    fn look(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let file_type = metadata.file_type();
        Ok(Self {
            path: path.to_path_buf(),
            kind: if file_type.is_dir() {
                DIRECTORY
            } else if file_type.is_symlink() {
                "a symbolic link"
            } else if file_type.is_socket() || file_type.is_fifo() {
                "a socket or pipe"
            } else {
                "a file"
            },
            uid: metadata.uid(),
            mode: metadata.mode() & 0o7777,
        })
    }

    /// Of the directory itself: nobody else may even look. By its mode its group does not matter: it
    /// is the one under which the guard runs.
    fn weakness(&self) -> Option<String> {
        if self.kind != DIRECTORY {
            return Some(format!("{} is {}, no directory", self.name(), self.kind));
        }
        (self.uid != 0 || self.mode != 0o700).then(|| {
            format!(
                "{} belongs to user {} with mode {:04o}, where it must be 0 and 0700",
                self.name(),
                self.uid,
                self.mode
            )
        })
    }

    /// Of a directory above: nobody else may replace what is in it. In a sticky one they may only
    /// add, which is why the last one's owner is looked at.
    fn weakness_above(&self) -> Option<String> {
        if self.kind != DIRECTORY {
            return Some(format!(
                "{} is {}; the path must lead through directories alone",
                self.name(),
                self.kind
            ));
        }
        if self.uid != 0 {
            return Some(format!(
                "{} belongs to user {}, and must belong to root",
                self.name(),
                self.uid
            ));
        }
        (self.mode & 0o022 != 0 && self.mode & STICKY == 0).then(|| {
            format!(
                "others may write to {} (mode {:04o}), and it is not sticky",
                self.name(),
                self.mode
            )
        })
    }

    fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

pub(super) const DIRECTORY: &str = "a directory";

/// linux/magic.h
const BPFFS_MAGIC: rustix::fs::FsWord = 0xcafe_4a11;

const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::process::{self, Command};

    use super::*;
    use crate::sandbox::{self, Process};

    /// A directory of root's that is removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("guard-pins-{name}-{}", process::id()));
            fs::create_dir(&path).unwrap();
            let scratch = Self(path);
            scratch.change(&scratch.0, 0o755);
            scratch
        }

        fn change(&self, path: &Path, mode: u32) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn only_what_root_alone_can_change_is_safe() {
        if !sandbox::is_root() {
            return;
        }
        let scratch = Scratch::new("safe");
        let path = scratch.0.join("pins");
        let weakness = || Pins::look(&path).weakness();
        assert_eq!(weakness(), None, "it need not exist");
        fs::create_dir(&path).unwrap();
        scratch.change(&path, 0o700);
        assert_eq!(weakness(), None);

        for mode in [0o755, 0o710, 0o1700, 0o500] {
            scratch.change(&path, mode);
            let weakness = weakness().unwrap();
            assert!(weakness.contains(&format!("{mode:04o}")), "{weakness}");
        }
        scratch.change(&path, 0o700);
        chown(&path, Some(65534), None).unwrap();
        assert!(weakness().unwrap().contains("65534"));
        chown(&path, Some(0), Some(65534)).unwrap();
        assert_eq!(weakness(), None, "its group has no rights");

        scratch.change(&scratch.0, 0o777);
        assert!(weakness().unwrap().contains("not sticky"));
        scratch.change(&scratch.0, 0o775);
        assert!(weakness().unwrap().contains("not sticky"));
        scratch.change(&scratch.0, 0o1777);
        assert_eq!(weakness(), None);
        chown(&scratch.0, Some(65534), None).unwrap();
        assert!(weakness().unwrap().contains("must belong to root"));
        chown(&scratch.0, Some(0), None).unwrap();

        let link = scratch.0.join("link");
        symlink(&path, &link).unwrap();
        let linked = Pins::look(&link).weakness().unwrap();
        assert!(linked.contains("a symbolic link"), "{linked}");
        let below_link = Pins::look(&link.join("pins")).weakness().unwrap();
        assert!(below_link.contains("a symbolic link"), "{below_link}");
        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        assert!(Pins::look(&file).weakness().unwrap().contains("a file"));
    }

    #[test]
    fn the_file_system_is_recognised() {
        if !sandbox::is_root() {
            return;
        }
        let scratch = Scratch::new("bpffs");
        let path = scratch.0.join("pins");
        assert!(!Pins::look(&path).bpffs.unwrap());
        assert!(Pins::look(&scratch.0.join("none/pins")).bpffs.is_err());
        // In a mount namespace that ends with the process.
        let script = "mount -t bpf bpf \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script])
            .arg(&scratch.0);
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "mounted");
        let root = PathBuf::from(format!("/proc/{}/root", process.id()));
        let inside = root.join(path.strip_prefix("/").unwrap());
        assert!(Pins::look(&inside).bpffs.unwrap(), "by what it would be in");
        fs::create_dir(&inside).unwrap();
        assert!(Pins::look(&inside).bpffs.unwrap());
        assert!(
            !Pins::look(&path).bpffs.unwrap(),
            "out here it is not mounted"
        );
    }
}
