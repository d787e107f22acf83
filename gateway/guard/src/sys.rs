//! The commands of bpf(2) that aya has no public call for: it cannot replace cgroup links, nor look
//! up which sockets an array has. And tokio's readiness of a descriptor.
#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper for these commands, and AsyncFd has no safe constructor"
)]

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

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

/// Puts a socket into an array of sockets whose values are 8 bytes long.
pub(crate) fn put_socket(
    map: BorrowedFd<'_>,
    place: u32,
    socket: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut value = u64::from(word(socket));
    bpf(MAP_UPDATE_ELEM, &element(map, &place, &raw mut value)).map(drop)
}

/// The cookie of the socket at a place of such an array; `None` if there is none.
pub(crate) fn socket_at(map: BorrowedFd<'_>, place: u32) -> io::Result<Option<u64>> {
    // The kernel writes it: the cell says so to the compiler.
    let cookie = Cell::new(0u64);
    let attributes = element(map, &place, cookie.as_ptr());
    match bpf(MAP_LOOKUP_ELEM, &attributes) {
        Ok(_) => Ok(Some(cookie.get())),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the socket at a place out of an array of sockets, if there is one.
pub(crate) fn remove_socket(map: BorrowedFd<'_>, place: u32) -> io::Result<()> {
    match bpf(MAP_DELETE_ELEM, &element(map, &place, ptr::null_mut())) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
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
    let [low, high] = halves(path.as_ptr() as u64);
    [low, high, descriptor, 0]
}

/// The attributes of the commands on elements of maps: a map, a pointer to a key, one to a value,
/// flags. Both must outlive the call.
fn element(map: BorrowedFd<'_>, key: &u32, value: *mut u64) -> [u32; 8] {
    let [key_low, key_high] = halves(ptr::from_ref(key) as u64);
    let [low, high] = halves(value as u64);
    [word(map), 0, key_low, key_high, low, high, 0, 0]
}

/// A pointer as two words of the attributes.
fn halves(pointer: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = pointer.to_ne_bytes();
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ]
}

fn descriptor(command: libc::c_long, attributes: &[u32]) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attributes)?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us alone. It is close-on-exec, as all of
    // bpf(2)'s are.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf(command: libc::c_long, attributes: &[u32]) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are the beginning of `union bpf_attr` for each command used here, of
    // the length given, and the kernel takes the rest as zeros. Paths in them are alive and end
    // with zero; keys and values are alive and as long as the maps say.
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

const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;
