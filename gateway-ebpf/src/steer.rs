//! `sk_reuseport`: brings each QUIC datagram to the worker that has its connection.
//!
//! The program belongs to all sockets of one listening address (`SO_REUSEPORT`). It chooses among
//! those that the service has put into `SOCKETS`; the kernel sees to it that no other address's can
//! be chosen, and takes out what is closed. Who is not in there gets nothing while one of those is.

use core::mem::MaybeUninit;
use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{bpf_sock, sk_action};
use aya_ebpf::helpers::generated::{bpf_sk_select_reuseport, bpf_skb_load_bytes};
use aya_ebpf::macros::sk_reuseport;
use aya_ebpf::programs::SkReuseportContext;
use gateway_ebpf::abi::{Endpoint, Group, Steered};
use gateway_ebpf::steering::{self, HEAD};

use crate::maps::{GROUPS, SOCKETS, STEERED, raw};

/// Chooses a socket. Where it chooses none, the kernel does.
#[sk_reuseport]
pub fn steer(context: SkReuseportContext) -> u32 {
    let steered = match group(&context) {
        Some(group) => steering::steer(group, head(&context), context.hash(), |place| {
            select(&context, place)
        }),
        None => Steered::Unsteered,
    };
    if let Some(count) = STEERED.get_ptr_mut(steered as u32) {
        // SAFETY: this CPU's own; programs of one CPU do not interrupt each other here.
        unsafe { *count += 1 };
    }
    sk_action::SK_PASS
}

/// What is known of the address that the sockets are bound to.
#[inline(always)]
fn group(context: &SkReuseportContext) -> Option<&'static Group> {
    // SAFETY: the context is valid as long as the program runs, and so is its socket.
    let socket: *mut bpf_sock = unsafe { (*context.md).__bindgen_anon_3.sk };
    if socket.is_null() {
        return None;
    }
    // SAFETY: a socket that the kernel gave. The verifier wants each field to be read as such.
    let (family, port, v4, v6) = unsafe {
        (
            ptr::read_volatile(&raw const (*socket).family),
            ptr::read_volatile(&raw const (*socket).src_port),
            ptr::read_volatile(&raw const (*socket).src_ip4),
            [
                ptr::read_volatile(&raw const (*socket).src_ip6[0]),
                ptr::read_volatile(&raw const (*socket).src_ip6[1]),
                ptr::read_volatile(&raw const (*socket).src_ip6[2]),
                ptr::read_volatile(&raw const (*socket).src_ip6[3]),
            ],
        )
    };
    let words = match family {
        AF_INET => [0, 0, V4_MAPPED.to_be(), v4],
        _ => v6,
    };
    let endpoint = Endpoint {
        address: octets(words),
        port: port as u16,
        padding: 0,
    };
    // SAFETY: an entry that is replaced meanwhile is read as it was, or as what takes its place:
    // a mixture leads to a socket of the same address at worst.
    unsafe { GROUPS.get(&endpoint) }
}

#[inline(always)]
fn octets([a, b, c, d]: [u32; 4]) -> [u8; 16] {
    let low = u64::from(a) | u64::from(b) << 32;
    let high = u64::from(c) | u64::from(d) << 32;
    (u128::from(low) | u128::from(high) << 64).to_ne_bytes()
}

/// The beginning of the datagram's payload, behind UDP's header, wherever the kernel has it.
#[inline(always)]
fn head(context: &SkReuseportContext) -> Option<[u8; HEAD]> {
    let mut head = MaybeUninit::<[u8; HEAD]>::uninit();
    // SAFETY: the helper writes as many bytes as it is told.
    let result = unsafe {
        bpf_skb_load_bytes(
            context.as_ptr(),
            UDP_HEADER,
            head.as_mut_ptr().cast(),
            HEAD as u32,
        )
    };
    // SAFETY: it has written all of them.
    (result == 0).then(|| unsafe { head.assume_init() })
}

/// Gives the datagram to the socket at a place. False if there is none, or one of another address.
#[inline(always)]
fn select(context: &SkReuseportContext, mut place: u32) -> bool {
    // SAFETY: a map of that type, and a key of its size that lives during the call.
    let result =
        unsafe { bpf_sk_select_reuseport(context.md, raw(&SOCKETS), (&raw mut place).cast(), 0) };
    result == 0
}

const AF_INET: u32 = 2;
/// The third word of an IPv4 address as IPv6 has it (RFC 4291, section 2.5.5.2).
const V4_MAPPED: u32 = 0xffff;
const UDP_HEADER: u32 = 8;
