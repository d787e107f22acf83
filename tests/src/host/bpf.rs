//! What another root process can do to pinned links (bpf(2)).

#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a program is attached to, of those that tests put programs of their own in the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `cgroup/connect4`.
    Connect4,
    /// `cgroup_skb/ingress`.
    Ingress,
}

/// Detaches what is pinned there. The pin stays.
pub fn detach(pin: &Path) -> io::Result<()> {
    let link = pinned(pin)?;
    bpf(LINK_DETACH, &[word(&link)]).map(drop)
}

/// Puts a program that lets everything pass in the place of the one that is pinned there.
pub fn replace(pin: &Path, hook: Hook) -> io::Result<()> {
    let link = pinned(pin)?;
    let program = let_pass(hook)?;
    bpf(LINK_UPDATE, &[word(&link), word(&program), 0, 0]).map(drop)
}

fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    descriptor(OBJ_GET, &[low, high, 0, 0])
}

/// `return 1`.
fn let_pass(hook: Hook) -> io::Result<OwnedFd> {
    // BPF_ALU64 | BPF_MOV | BPF_K to r0, then BPF_JMP | BPF_EXIT.
    let instructions: [u64; 2] = [0x1_0000_00b7, 0x95];
    let license = c"GPL";
    // enum bpf_prog_type and enum bpf_attach_type of linux/bpf.h.
    let (program_type, attach_type) = match hook {
        Hook::Connect4 => (18, 10),
        Hook::Ingress => (8, 0),
    };
    let [code_low, code_high] = halves(instructions.as_ptr() as u64);
    let [license_low, license_high] = halves(license.as_ptr() as u64);
    let count = instructions.len() as u32;
    let mut attributes = [0; 18];
    attributes[..6].copy_from_slice(&[
        program_type,
        count,
        code_low,
        code_high,
        license_low,
        license_high,
    ]);
    // Between: the verifier's log, the kernel's version, flags, a name of 16 bytes, an interface.
    attributes[17] = attach_type;
    descriptor(PROG_LOAD, &attributes)
}

fn word(descriptor: &OwnedFd) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
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
    let descriptor = i32::try_from(bpf(command, attributes)?).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn bpf(command: libc::c_long, attributes: &[u32]) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are the beginning of `union bpf_attr` for each command used here, of
    // the length given; what pointers in them lead to is alive during the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(attributes),
        )
    };
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

const PROG_LOAD: libc::c_long = 5;
const OBJ_GET: libc::c_long = 7;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;
