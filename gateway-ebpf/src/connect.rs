//! Refuses early, and knows who asks: a local process outside the gateway's slice gets EPERM at
//! once. Comfort, not the boundary: another program of root's can override it.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock_addr};
use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_netns_cookie, bpf_sk_storage_get,
};
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use gateway_ebpf::abi::{Ancestor, Endpoint, Event, Program, Reason, Service, Settings};
use gateway_ebpf::packet::mapped;

use crate::maps::{self, ADDRESSES, EXCEPTED, REMOTES, is_remote_port, raw, service_place};
use crate::skb::is_excepted;
use crate::verdict::{PASS, REFUSE, pass, refuse_process, settings};

/// Decides on a connect to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn connect4(context: SockAddrContext) -> i32 {
    if !concerns(context.sock_addr) {
        return PASS;
    }
    decide(&context, Program::Connect4, address_v4(context.sock_addr))
}

/// Decides on a connect to an IPv6 address, v4-mapped ones included.
#[cgroup_sock_addr(connect6)]
pub fn connect6(context: SockAddrContext) -> i32 {
    if !concerns(context.sock_addr) {
        return PASS;
    }
    decide(&context, Program::Connect6, address_v6(context.sock_addr))
}

/// Whether it is about TCP, and a port that some endpoint has.
#[inline(always)]
fn concerns(address: *mut bpf_sock_addr) -> bool {
    let port = port(address);
    is_tcp(address) && (service_place(port).is_some() || is_remote_port(port))
}

#[inline(always)]
fn decide(context: &SockAddrContext, program: Program, address: [u8; 16]) -> i32 {
    let Some(settings) = settings() else {
        return REFUSE;
    };
    let enforce = settings.enforce != 0;
    // First, and without a look at the address: the gateway may go everywhere.
    if current_is_in(&settings.gateway) {
        return pass(program, Reason::Gateway, enforce);
    }
    let endpoint = Endpoint {
        address,
        port: port(context.sock_addr),
        padding: 0,
    };
    let service = service(context, endpoint.port);
    let is_concerned = is_remote(&endpoint) || service.is_some_and(|it| is_at(it, &endpoint));
    if !is_concerned && service.is_none() {
        return PASS;
    }
    // Also where the address is for `ingress` to judge: it reads the note.
    if is_exception(context, settings) {
        return pass(program, Reason::Exception, enforce);
    }
    if !is_concerned {
        return PASS;
    }
    let event = Event {
        destination: endpoint.address,
        destination_port: endpoint.port,
        ..Event::default()
    };
    refuse_process(event, program, Reason::NotGateway, enforce)
}

#[inline(always)]
fn is_remote(endpoint: &Endpoint) -> bool {
    // The set costs a few nanoseconds, the map a hundred more where it is not in the caches.
    // SAFETY: only its presence counts.
    is_remote_port(endpoint.port) && unsafe { REMOTES.get(endpoint) }.is_some()
}

/// The service that has this port in the caller's namespace.
#[inline(always)]
fn service(context: &SockAddrContext, port: u16) -> Option<&'static Service> {
    let service = maps::service(port)?;
    // SAFETY: the context is valid as long as the program runs.
    let namespace = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    (namespace == service.namespace).then_some(service)
}

/// Whether an address is one by which the service is reached, as far as that is known here.
#[inline(always)]
fn is_at(service: &Service, endpoint: &Endpoint) -> bool {
    is_unspecified(&endpoint.address)
        || service.flags & Service::ANY_ADDRESS != 0 && is_loopback(&endpoint.address)
        // SAFETY: only its presence counts.
        || unsafe { ADDRESSES.get(endpoint) }.is_some()
}

#[inline(always)]
fn is_exception(context: &SockAddrContext, settings: &Settings) -> bool {
    for exception in &settings.exceptions {
        if exception.id == 0 {
            break;
        }
        if current_is_in(exception) {
            return true;
        }
    }
    let uid = bpf_get_current_uid_gid() as u32;
    let excepted = is_excepted(uid, settings);
    if excepted {
        note_exception(context, uid);
    }
    excepted
}

/// The packet programs cannot ask who owns a socket: they read this note.
#[inline(always)]
fn note_exception(context: &SockAddrContext, uid: u32) {
    let mut value = uid;
    // SAFETY: the context's own socket, which is never null here, and a map of u32. Without memory
    // for the note the packets are refused.
    let note = unsafe {
        bpf_sk_storage_get(
            raw(&EXCEPTED),
            (*context.sock_addr).__bindgen_anon_1.sk.cast(),
            (&raw mut value).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    }
    .cast::<u32>();
    if !note.is_null() {
        // SAFETY: the map's value; an older note is overwritten.
        unsafe { *note = uid };
    }
}

/// Whether the current process is in a cgroup or in one below it.
#[inline(always)]
pub fn current_is_in(cgroup: &Ancestor) -> bool {
    // SAFETY: a helper without pointers.
    let id = unsafe { bpf_get_current_ancestor_cgroup_id(cgroup.level as i32) };
    id != 0 && id == cgroup.id
}

/// 127.0.0.0/8, `::1` and the v4-mapped form. Which other addresses are this host's is not known
/// here, and a service of the same port elsewhere is nobody's concern: `ingress` decides there.
#[inline(always)]
fn is_loopback(address: &[u8; 16]) -> bool {
    let mut v4 = *address;
    v4[13..].fill(0);
    v4 == mapped([127, 0, 0, 0]) || *address == V6_LOOPBACK
}

/// 0.0.0.0, `::` and their v4-mapped form, by which a process reaches its own host.
#[inline(always)]
pub fn is_unspecified(address: &[u8; 16]) -> bool {
    *address == [0; 16] || *address == mapped([0; 4])
}

/// Whether it is a TCP socket, or one of MPTCP, whose connections are TCP's.
#[inline(always)]
pub fn is_tcp(address: *mut bpf_sock_addr) -> bool {
    // SAFETY: the context is valid as long as the program runs.
    unsafe {
        (*address).type_ == SOCK_STREAM
            && matches!((*address).protocol, IPPROTO_TCP | IPPROTO_MPTCP)
    }
}

/// The port that the caller named, in host order.
#[inline(always)]
pub fn port(address: *mut bpf_sock_addr) -> u16 {
    // SAFETY: the context is valid as long as the program runs.
    u16::from_be(unsafe { (*address).user_port } as u16)
}

/// The address that the caller named.
#[inline(always)]
pub fn address_v4(address: *mut bpf_sock_addr) -> [u8; 16] {
    // SAFETY: the context is valid as long as the program runs.
    mapped(unsafe { (*address).user_ip4 }.to_ne_bytes())
}

/// The address that the caller named.
#[inline(always)]
pub fn address_v6(address: *mut bpf_sock_addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    for i in 0..4 {
        // SAFETY: the context is valid as long as the program runs. Volatile keeps the loads as
        // they are: the verifier wants them to be of 4 or 8 bytes.
        let word = unsafe { core::ptr::read_volatile(&raw const (*address).user_ip6[i]) };
        bytes[i * 4..i * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

const V6_LOOPBACK: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SOCK_STREAM: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_MPTCP: u32 = 262;
