//! Network namespaces.

use std::io;
use std::os::fd::AsFd as _;
use std::panic;
use std::path::Path;
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::LinkNameSpaceType;

use crate::sockopt;

/// The cookie of the namespace that a file names; of this thread's for `None`. It never changes
/// and is never used again.
pub(crate) fn cookie(namespace: Option<&Path>) -> io::Result<u64> {
    inside(namespace, || {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        sockopt::namespace_cookie(socket.as_fd())
    })
}

/// Runs something in the namespace that a file names, on a thread of its own, so that no thread
/// of the process ever moves; for `None` at once, in this thread's. Needs CAP_SYS_ADMIN.
/// `InvalidInput` means that the file names no network namespace.
pub(crate) fn inside<T: Send>(
    namespace: Option<&Path>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let Some(path) = namespace else {
        return work();
    };
    // NONBLOCK: a pipe at this path must not stop us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    thread::scope(|scope| {
        let moved = thread::Builder::new().spawn_scoped(scope, || {
            rustix::thread::move_into_link_name_space(
                file.as_fd(),
                Some(LinkNameSpaceType::Network),
            )?;
            work()
        })?;
        match moved.join() {
            Ok(result) => result,
            Err(payload) => panic::resume_unwind(payload),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{self, Namespace};

    #[test]
    fn this_thread_has_a_cookie() {
        let first = cookie(None).unwrap();
        assert_ne!(first, 0);
        assert_eq!(cookie(None).unwrap(), first);
    }

    #[test]
    fn each_namespace_has_its_own_cookie() {
        if !sandbox::is_root() {
            return;
        }
        let here = cookie(None).unwrap();
        let (a, b) = (Namespace::new(), Namespace::new());
        let cookie_of_a = cookie(Some(&a.path())).unwrap();
        let cookie_of_b = cookie(Some(&b.path())).unwrap();
        assert_eq!(cookie(Some(Path::new("/proc/self/ns/net"))).unwrap(), here);
        assert!(here != cookie_of_a && here != cookie_of_b && cookie_of_a != cookie_of_b);
        // Work runs where it should, and this thread has not moved.
        let inner = inside(Some(&a.path()), || cookie(None)).unwrap();
        assert_eq!(inner, cookie_of_a);
        assert_eq!(cookie(None).unwrap(), here);
    }

    #[test]
    fn what_is_no_namespace_says_so() {
        let missing = cookie(Some(Path::new("/nowhere"))).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        for path in ["/proc/version", "/proc/self/ns/uts", "/proc"] {
            let error = cookie(Some(Path::new(path))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}: {error}");
        }
    }

    #[test]
    fn a_panic_inside_comes_out() {
        if !sandbox::is_root() {
            return;
        }
        let path = Path::new("/proc/self/ns/net");
        let caught = panic::catch_unwind(|| inside::<()>(Some(path), || panic!("inside")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    }
}
