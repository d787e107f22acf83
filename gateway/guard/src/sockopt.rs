//! The one socket option that has no safe call.

#![allow(
    unsafe_code,
    reason = "no crate wraps SO_NETNS_COOKIE in a safe function"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// The cookie of a socket's network namespace (`SO_NETNS_COOKIE`, Linux 5.14).
pub(crate) fn namespace_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the pointers are to live variables of this function, the second tells the size of
    // the first's, and the kernel writes no more than that. The descriptor is open: it is borrowed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cookie)
}
