//! System calls, and an address, that have no safe wrapper.

#![allow(
    unsafe_code,
    reason = "setsockopt by number, filters, io_uring's submission, and addresses of packet(7)"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use socket2::{SockAddr, SockAddrStorage};

/// How an io_uring runs what it is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// In a worker thread.
    Async,
    /// At once, as far as that goes.
    Inline,
    /// From a thread that polls the queue.
    Polled,
}

/// setsockopt(2).
pub(super) fn set_option(
    socket: &impl AsFd,
    level: i32,
    name: i32,
    value: &[u8],
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: `value` is readable for `length` bytes during the call, and the kernel keeps nothing.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Among the sockets that share this one's port, gives SYNs to the first and all else to the second
/// (socket(7), SO_ATTACH_REUSEPORT_CBPF).
pub(super) fn select_by_syn(socket: &impl AsFd) -> io::Result<()> {
    let mut program = BY_SYN;
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel reads a `sock_fprog` and the instructions to which it leads, which are
    // alive during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The address of a neighbour, for packets of this Ethernet protocol through this interface.
pub(super) fn link_address(
    protocol: u16,
    interface: u32,
    neighbour: [u8; 6],
) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is an address of the system's, and all of it may be 0.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = i32::try_from(interface).map_err(io::Error::other)?;
    address.sll_halen = neighbour.len() as u8;
    for (to, from) in address.sll_addr.iter_mut().zip(neighbour) {
        *to = from;
    }
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds an address of that family and length.
    Ok(unsafe { SockAddr::new(storage, length) })
}

/// Connects by IORING_OP_CONNECT. The outer error is io_uring's, the inner one connect's; after
/// `patience` the latter is ETIME.
pub(super) fn uring_connect(
    socket: &impl AsFd,
    address: &SockAddr,
    ring: Ring,
    patience: Duration,
) -> io::Result<io::Result<()>> {
    let mut builder = IoUring::builder();
    if ring == Ring::Polled {
        builder.setup_sqpoll(100);
    }
    let mut uring: IoUring = builder.build(4)?;
    let fd = Fd(socket.as_fd().as_raw_fd());
    let mut entry = opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build();
    if ring == Ring::Async {
        entry = entry.flags(squeue::Flags::ASYNC);
    }
    let until = Instant::now() + patience;
    loop {
        // SAFETY: the kernel copies the address when it takes the entry. It has taken it when a
        // completion is there, and otherwise `uring` is dropped before `address` and `socket` can
        // be: both outlive this function.
        unsafe { uring.submission().push(&entry) }.map_err(io::Error::other)?;
        match complete(&mut uring, until)? {
            // io_uring(7): as from connect(2), that may be asked again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::EISCONN) => return Ok(Ok(())),
            connected => return Ok(connected),
        }
    }
}

/// Submits, and waits for the one completion.
fn complete(uring: &mut IoUring, until: Instant) -> io::Result<io::Result<()>> {
    loop {
        let limit = Timespec::from(until.saturating_duration_since(Instant::now()));
        let arguments = SubmitArgs::new().timespec(&limit);
        let waited = uring.submitter().submit_with_args(1, &arguments);
        if let Some(done) = uring.completion().next() {
            return Ok(match done.result() {
                0 => Ok(()),
                result => Err(io::Error::from_raw_os_error(-result)),
            });
        }
        match waited {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => return Ok(Err(error)),
            Err(error) => return Err(error),
        }
    }
}

/// For [`select_by_syn`]: the flags lie behind an IPv4 header of 20 bytes, or an IPv6 header of 40.
const BY_SYN: [libc::sock_filter; 9] = {
    const IP: u32 = libc::SKF_NET_OFF.cast_unsigned();
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    [
        instruction(LOAD_BYTE, IP, 0, 0),
        instruction(libc::BPF_ALU | libc::BPF_RSH, 4, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ, 6, 2, 0),
        instruction(LOAD_BYTE, IP + 20 + FLAGS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JA, 1, 0, 0),
        instruction(LOAD_BYTE, IP + 40 + FLAGS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JSET, SYN, 0, 1),
        instruction(libc::BPF_RET, 0, 0, 0),
        instruction(libc::BPF_RET, 1, 0, 0),
    ]
};
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;

/// An instruction of classic BPF, with what it skips if it holds and if not.
const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}
