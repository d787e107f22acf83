//! A new network namespace for this thread.

#![allow(
    unsafe_code,
    reason = "unshare is unsafe for flags that are not used here"
)]

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves this thread, and no other, into a network namespace of its own.
pub(super) fn network() -> rustix::io::Result<()> {
    // SAFETY: only CLONE_FILES can make descriptors unusable for other threads; this is
    // CLONE_NEWNET alone.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}
