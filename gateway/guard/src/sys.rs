//! The five commands of bpf(2) on links that aya has no public call for: cgroup links cannot be
//! replaced by it, and their descriptors cannot be looked at. And tokio's readiness of a descriptor.
#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper for these commands, and AsyncFd has no safe constructor"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;

/// Attaches a program to a cgroup; the attachment ends with the last descriptor or pin of it.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    descriptor(LINK_CREATE, &[word(program), word(cgroup), attach_type, 0])
}

/// Puts another program in the place of a link's, atomically.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_UPDATE, &[word(link), word(program), 0, 0]).map(drop)
}

/// Detaches a link for good, at once, whoever holds it. EINVAL: it is no link.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_DETACH, &[word(link), 0, 0, 0]).map(drop)
}

/// Pins an object in a bpffs.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    bpf(OBJ_PIN, &named(&path, word(object))).map(drop)
}

/// Opens a pinned object.
pub(crate) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    descriptor(OBJ_GET, &named(&path, 0))
}

/// Lets the runtime in which this is called tell when it is readable.
pub(crate) fn registered(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it is one descriptor, open until it is dropped, and AsyncFd owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

fn word(descriptor: impl AsFd) -> u32 {
    descriptor.as_fd().as_raw_fd().cast_unsigned()
}

/// The attributes of `OBJ_PIN` and `OBJ_GET`: a path, a descriptor, flags. The path must outlive
/// the call.
fn named(path: &CString, descriptor: u32) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h] = (path.as_ptr() as u64).to_ne_bytes();
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        descriptor,
        0,
    ]
}

fn descriptor(command: libc::c_long, attributes: &[u32; 4]) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attributes)?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us alone. It is close-on-exec, as all of
    // bpf(2)'s are.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf(command: libc::c_long, attributes: &[u32; 4]) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are the beginning of `union bpf_attr` for each command used here, of
    // the length given, and the kernel takes the rest as zeros. Paths in them are alive and end
    // with zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(attributes),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;
