//! For kernels whose `cgroup_skb` programs cannot ask for a packet's namespace: each socket keeps
//! the cookie of its own, which the sockets that it accepts inherit. A socket that is older than
//! this program has none, and counts as of the service's namespace.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::{bpf_get_netns_cookie, bpf_sk_storage_get};
use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;

use crate::maps::{ORIGIN, raw};
use crate::verdict::PASS;

/// Notes the namespace of a new socket. It never refuses one.
#[cgroup_sock(sock_create)]
pub fn origin(context: SockContext) -> i32 {
    // SAFETY: the context is valid as long as the program runs.
    let mut cookie = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    // SAFETY: the context is the socket; a map of u64. Without memory for the note the socket
    // counts as of the service's namespace.
    unsafe {
        bpf_sk_storage_get(
            raw(&ORIGIN),
            context.sock.cast(),
            (&raw mut cookie).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    };
    PASS
}
