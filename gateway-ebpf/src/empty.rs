//! Programs that do nothing: what they cost is what any program costs.

use aya_ebpf::bindings::sk_action;
use aya_ebpf::macros::{cgroup_skb, cgroup_sock_addr, sk_reuseport};
use aya_ebpf::programs::{SkBuffContext, SkReuseportContext, SockAddrContext};

use crate::verdict::PASS;

/// Lets a packet pass.
#[cgroup_skb(ingress)]
pub fn empty_packet(_: SkBuffContext) -> i32 {
    PASS
}

/// Lets a connect pass.
#[cgroup_sock_addr(connect4)]
pub fn empty_connect(_: SockAddrContext) -> i32 {
    PASS
}

/// Lets the kernel choose a socket.
#[sk_reuseport]
pub fn empty_steer(_: SkReuseportContext) -> u32 {
    sk_action::SK_PASS
}
