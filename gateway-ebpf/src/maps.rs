//! The maps, and what the loader sets before the programs are loaded.

use core::ffi::c_void;
use core::hint::black_box;
use core::ptr;

use aya_ebpf::bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, bpf_map_type};
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf, SkStorage};
use aya_ebpf::macros::btf_map;
use gateway_ebpf::abi::{
    Endpoint, Event, Group, MAX_ALLOWED, MAX_ENDPOINTS, MAX_GROUPS, MAX_SOCKETS, RING_BYTES,
    Service, Settings, Source, Steered, VERDICTS as PLACES,
};
use gateway_ebpf::quick::{Places, Ports, place};

/// The only entry holds what concerns every endpoint.
#[btf_map]
pub static SETTINGS: Array<Settings, 1> = Array::new();

/// For each port 0, or 1 more than the place in `SERVICES` of the service that has it.
#[btf_map]
pub static LOCAL_PORTS: Array<Places, 1> = Array::new();

/// The ports of remote endpoints, for the first look.
#[btf_map]
pub static REMOTE_PORTS: Array<Ports, 1> = Array::new();

/// Protected local ports. A program may see half of a change: the id of a cgroup or namespace is
/// 8 bytes in their place, and a mixture of two ids matches nothing.
#[btf_map]
pub static SERVICES: Array<Service, { MAX_ENDPOINTS as usize }> = Array::new();

/// Addresses of local endpoints that are not on every address.
#[btf_map]
pub static ADDRESSES: HashMap<Endpoint, u8, { MAX_ENDPOINTS as usize }> = HashMap::new();

/// Remote endpoints, each twice: with its port, and with port 0.
#[btf_map]
pub static REMOTES: HashMap<Endpoint, u8, { 2 * MAX_ENDPOINTS as usize }> = HashMap::new();

/// Who may come from outside.
#[btf_map]
pub static ALLOWED: LpmTrie<Source, u8, { MAX_ALLOWED as usize }> = LpmTrie::new();

/// On a service's socket: the epoch in which its peer was verified.
#[btf_map]
pub static VERIFIED: SkStorage<u32> = SkStorage::new();

/// On a connecting socket: its user, if it was an exception.
#[btf_map]
pub static EXCEPTED: SkStorage<u32> = SkStorage::new();

/// On a socket: the cookie of its network namespace, on kernels where a packet's cannot be asked.
/// Sockets that a listener accepts inherit its note.
#[btf_map]
pub static ORIGIN: Inherited<u64> = Inherited::new();

/// How often each program decided what.
#[btf_map]
pub static VERDICTS: PerCpuArray<u64, { PLACES as usize }> = PerCpuArray::new();

/// What was refused, or would have been.
#[btf_map]
pub static EVENTS: RingBuf<Event, { RING_BYTES as usize }> = RingBuf::new();

/// Events that found no place in the ring.
#[btf_map]
pub static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();

/// For each listening address, by the address that its sockets are bound to, how their IDs are read
/// and where in `SOCKETS` they are.
#[btf_map]
pub static GROUPS: HashMap<Endpoint, Group, { MAX_GROUPS as usize }> = HashMap::new();

/// The UDP sockets that datagrams are steered to. The kernel takes out what is closed.
#[btf_map]
pub static SOCKETS: Sockets = Sockets::new();

/// How many datagrams were steered where.
#[btf_map]
pub static STEERED: PerCpuArray<u64, { Steered::ALL.len() }> = PerCpuArray::new();

/// Whether some remote endpoint has a port. Without the set, which cannot be, all have one.
#[inline(always)]
pub fn is_remote_port(port: u16) -> bool {
    let (word, bit) = place(port);
    // The mask tells the verifier what the type says: the place is inside. The box keeps the
    // compiler, which knows that too, from leaving it out: up to 6.12 at least, the verifier forgets
    // it at the byte swap.
    let word = black_box(word) & 1023;
    REMOTE_PORTS
        .get(0)
        .is_none_or(|ports| ports[word] & bit != 0)
}

/// The place of a port's service; `None` if it is no local endpoint's port.
#[inline(always)]
pub fn service_place(port: u16) -> Option<u32> {
    // As in `is_remote_port`.
    let port = black_box(port as usize) & 0xffff;
    u32::from(LOCAL_PORTS.get(0)?[port]).checked_sub(1)
}

/// The service that has a port; `None` if it is no local endpoint's port.
#[inline(always)]
pub fn service(port: u16) -> Option<&'static Service> {
    SERVICES.get(service_place(port)?)
}

/// Set by the loader: 1 where `cgroup_skb` programs may ask for a packet's namespace.
#[unsafe(no_mangle)]
static NAMESPACE_HELPER: u32 = 0;

/// Whether `cgroup_skb` programs may ask for a packet's namespace. The verifier knows the value,
/// and never looks at the branch that is not taken.
#[inline(always)]
pub fn has_namespace_helper() -> bool {
    // SAFETY: a static; volatile, since the loader changes it behind the compiler's back.
    unsafe { ptr::read_volatile(&raw const NAMESPACE_HELPER) != 0 }
}

/// A map as the helpers for socket storage want it.
#[inline(always)]
pub fn raw<T>(map: &'static T) -> *mut c_void {
    ptr::from_ref(map).cast_mut().cast()
}

/// Socket storage as [`SkStorage`], but copied to the sockets that a listener accepts
/// (`BPF_F_CLONE`), which that type does not offer. The fields are what the loader reads from the
/// type information; their values are never used.
#[repr(C)]
pub struct Inherited<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

impl<T> Inherited<T> {
    const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }
}

// SAFETY: the pointers are null and never followed.
unsafe impl<T> Sync for Inherited<T> {}

/// An array of sockets whose values are 8 bytes long, so that user space can look them up: what it
/// gets are the sockets' cookies. The library's have 4. The fields are as in [`Inherited`].
#[repr(C)]
pub struct Sockets {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_REUSEPORT_SOCKARRAY as usize],
    key: *const u32,
    value: *const u64,
    max_entries: *const [i32; MAX_SOCKETS as usize],
    map_flags: *const [i32; 0],
}

impl Sockets {
    const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }
}

// SAFETY: the pointers are null and never followed.
unsafe impl Sync for Sockets {}
