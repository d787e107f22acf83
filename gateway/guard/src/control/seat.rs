//! The place where the service answers: a socket, and a lock beside it that one process holds.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

/// The right to be the service, for as long as it lives: also across a crash, since the kernel
/// gives the lock back.
#[derive(Debug)]
pub(crate) struct Seat {
    socket: PathBuf,
    /// The group of the socket's directory.
    group: u32,
    /// Never read: open, it holds the lock.
    _lock: File,
}

/// Why the place cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A living process has it.
    #[error("another process holds {}", path.display())]
    Taken {
        /// The lock.
        path: PathBuf,
    },
    /// Others could put a socket of their own there.
    #[error(
        "{} belongs to user {uid} and has mode {mode:o}; \
         expected that only the guard's user can write it", path.display()
    )]
    Unsafe {
        /// The socket's directory.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
}

impl Seat {
    /// Takes the place at a socket's path. A missing directory is made.
    pub(crate) fn take(socket: &Path) -> Result<Self, SeatError> {
        let directory = match socket.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            // The gateway reaches the socket by its group; strangers do not.
            .mode(0o750)
            .create(directory)
            .map_err(at(directory))?;
        let metadata = std::fs::metadata(directory).map_err(at(directory))?;
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(SeatError::Unsafe {
                path: directory.to_owned(),
                uid: metadata.uid(),
                mode: metadata.mode() & 0o7777,
            });
        }
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            // Who can open it can lock it.
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                socket: socket.to_owned(),
                group: metadata.gid(),
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(SeatError::Taken { path }),
            Err(error) => Err(at(&path)(error.into())),
        }
    }

    /// Listens, in the place of a predecessor's socket. The kernel lets root connect, and the group
    /// of the socket's directory: strangers cannot take a place in its queue. What each may ask is
    /// decided by who it is.
    pub(crate) fn listen(&self) -> Result<UnixListener, SeatError> {
        let fault = at(&self.socket);
        self.remove_socket()?;
        let listener = UnixListener::bind(&self.socket).map_err(&fault)?;
        chown(&self.socket, None, Some(self.group)).map_err(&fault)?;
        std::fs::set_permissions(&self.socket, Permissions::from_mode(0o660)).map_err(&fault)?;
        listener.set_nonblocking(true).map_err(&fault)?;
        Ok(listener)
    }

    /// Removes the socket, if there is one. Anything else in its place is left alone, and an error.
    pub(crate) fn remove_socket(&self) -> Result<(), SeatError> {
        let fault = at(&self.socket);
        let found = match std::fs::symlink_metadata(&self.socket) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault(error)),
        };
        if !found.file_type().is_socket() {
            let kind = io::ErrorKind::AlreadyExists;
            return Err(fault(io::Error::new(kind, "it exists and is no socket")));
        }
        std::fs::remove_file(&self.socket).map_err(fault)
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> SeatError {
    let path = path.to_owned();
    move |source| SeatError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn one_process_has_the_seat() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("run/guard.sock");
        let first = Seat::take(&socket).unwrap();
        assert!(matches!(Seat::take(&socket), Err(SeatError::Taken { .. })));
        drop(first);
        Seat::take(&socket).unwrap();
    }

    #[test]
    fn a_dead_predecessors_socket_is_replaced() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("guard.sock");
        let seat = Seat::take(&socket).unwrap();
        drop(seat.listen().unwrap());
        assert!(UnixStream::connect(&socket).is_err(), "nobody listens");
        let listener = seat.listen().unwrap();
        UnixStream::connect(&socket).unwrap();
        let mode = fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "nobody but its group");
        drop(listener);
        seat.remove_socket().unwrap();
        assert!(!socket.exists());
        seat.remove_socket().unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("guard.sock");
        fs::write(&socket, "precious").unwrap();
        let seat = Seat::take(&socket).unwrap();
        let refused = seat.listen().unwrap_err();
        assert!(refused.to_string().contains("is no socket"), "{refused}");
        assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    }

    #[test]
    fn the_group_of_the_directory_reaches_the_socket() {
        if !geteuid().is_root() {
            return;
        }
        let scratch = Scratch::new();
        chown(scratch.path(), None, Some(60_400)).unwrap();
        let socket = scratch.path().join("guard.sock");
        let _listener = Seat::take(&socket).unwrap().listen().unwrap();
        let found = fs::metadata(&socket).unwrap();
        assert_eq!((found.uid(), found.gid()), (0, 60_400));
    }

    /// Whoever may write the directory could answer in the service's place.
    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = Seat::take(&scratch.path().join("guard.sock"));
        assert!(
            matches!(refused, Err(SeatError::Unsafe { mode: 0o777, .. })),
            "{refused:?}"
        );
    }
}
