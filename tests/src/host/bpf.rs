//! What another root process can do with BPF (bpf(2)): to pinned links, and to a network namespace.

#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
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

/// Opens what is pinned there, which keeps it even when its pin is gone.
pub fn hold(pin: &Path) -> io::Result<OwnedFd> {
    pinned(pin)
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

/// Gives what comes to a port of a network namespace to a listening socket, whatever its own port,
/// until the descriptor is closed.
pub fn steer(port: u16, listener: &impl AsFd, namespace: &impl AsFd) -> io::Result<OwnedFd> {
    // BPF_MAP_TYPE_SOCKMAP, with one element.
    let map = descriptor(MAP_CREATE, &[15, 4, 4, 1])?;
    let (key, value) = (0_u32, word(listener));
    let [key_low, key_high] = halves((&raw const key) as u64);
    let [value_low, value_high] = halves((&raw const value) as u64);
    let element = [
        word(&map),
        0,
        key_low,
        key_high,
        value_low,
        value_high,
        0,
        0,
    ];
    bpf(MAP_UPDATE_ELEM, &element)?;
    let program = load(SK_LOOKUP, &steering(u32::from(port), word(&map)))?;
    let attached = [word(&program), word(namespace), SK_LOOKUP.1, 0];
    descriptor(LINK_CREATE, &attached)
}

/// Whether this kernel lets `cgroup_skb` programs ask for the network namespace of a packet.
pub fn packets_tell_their_namespace() -> io::Result<bool> {
    let ask = [
        CALL | immediate(GET_NETNS_COOKIE),
        MOVE | immediate(1),
        EXIT,
    ];
    match load(CGROUP_SKB_INGRESS, &ask) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    descriptor(OBJ_GET, &[low, high, 0, 0])
}

/// `return 1`.
fn let_pass(hook: Hook) -> io::Result<OwnedFd> {
    let hook = match hook {
        Hook::Connect4 => (18, 10),
        Hook::Ingress => CGROUP_SKB_INGRESS,
    };
    load(hook, &[MOVE | immediate(1), EXIT])
}

/// If the packet goes to this port, assigns the map's only element to it. See linux/bpf.h: each
/// line is one `struct bpf_insn`, loading a map's address is two.
fn steering(port: u32, map: u32) -> [u64; 19] {
    [
        COPY | to(6) | from(1),
        // `local_port` of `struct bpf_sk_lookup`.
        LOAD_WORD | to(2) | from(1) | offset(60),
        JUMP_UNLESS_EQUAL | to(2) | offset(14) | immediate(port),
        STORE_WORD | to(10) | offset(-4),
        COPY | to(2) | from(10),
        ADD | to(2) | immediate(-4_i32 as u32),
        LOAD_MAP | to(1) | immediate(map),
        0,
        CALL | immediate(MAP_LOOKUP_ELEM),
        JUMP_IF_EQUAL | to(0) | offset(7),
        COPY | to(7) | from(0),
        COPY | to(1) | from(6),
        COPY | to(2) | from(7),
        MOVE | to(3),
        CALL | immediate(SK_ASSIGN),
        COPY | to(1) | from(7),
        CALL | immediate(SK_RELEASE),
        MOVE | immediate(1),
        EXIT,
    ]
}

const fn to(register: u64) -> u64 {
    register << 8
}

const fn from(register: u64) -> u64 {
    register << 12
}

const fn offset(offset: i16) -> u64 {
    (offset as u16 as u64) << 16
}

const fn immediate(value: u32) -> u64 {
    (value as u64) << 32
}

/// A program of these `enum bpf_prog_type` and `enum bpf_attach_type`.
fn load((program_type, attach_type): (u32, u32), instructions: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
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

fn word(descriptor: &impl AsFd) -> u32 {
    descriptor.as_fd().as_raw_fd().cast_unsigned()
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

// enum bpf_cmd.
const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const OBJ_GET: libc::c_long = 7;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;

/// enum bpf_prog_type and enum bpf_attach_type.
const CGROUP_SKB_INGRESS: (u32, u32) = (8, 0);
/// enum bpf_prog_type and enum bpf_attach_type.
const SK_LOOKUP: (u32, u32) = (30, 36);

// Helpers.
const MAP_LOOKUP_ELEM: u32 = 1;
const SK_RELEASE: u32 = 86;
const GET_NETNS_COOKIE: u32 = 122;
const SK_ASSIGN: u32 = 124;

// Instructions: BPF_ALU64 | BPF_ADD | BPF_K, and so on.
const ADD: u64 = 0x07;
const JUMP_IF_EQUAL: u64 = 0x15;
/// From BPF_PSEUDO_MAP_FD.
const LOAD_MAP: u64 = 0x18 | from(1);
const JUMP_UNLESS_EQUAL: u64 = 0x55;
const LOAD_WORD: u64 = 0x61;
const STORE_WORD: u64 = 0x62;
const CALL: u64 = 0x85;
const EXIT: u64 = 0x95;
const MOVE: u64 = 0xb7;
const COPY: u64 = 0xbf;
