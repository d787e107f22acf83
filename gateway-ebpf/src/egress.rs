//! The boundary of remote endpoints, on the gateway's host: what leaves it, in whatever namespace,
//! after all address translation.

use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use gateway_ebpf::abi::{Endpoint, Event, Program, Reason, Settings};
use gateway_ebpf::packet::{Kind, Segment, parse};
use gateway_ebpf::quick::{Brief, Look, look};

use crate::maps::{REMOTES, is_remote_port};
use crate::skb::{Skb, Socket, event_of};
use crate::verdict::{PASS, REFUSE, pass, refuse_packet, settings};

/// Decides on a packet.
#[cgroup_skb(egress)]
pub fn egress(context: SkBuffContext) -> i32 {
    let skb = Skb(&context);
    match look(&skb) {
        Look::Other => return PASS,
        Look::Tcp(port) if !is_remote_port(port) => return PASS,
        Look::Longer | Look::Tcp(_) => {}
    }
    match parse(&skb) {
        Kind::Tcp(segment) => decide(&skb, &segment),
        Kind::Unreadable(Some(destination)) => unreadable(&skb, destination),
        Kind::Other | Kind::Unreadable(None) => PASS,
    }
}

#[inline(always)]
fn decide(skb: &Skb<'_>, segment: &Segment) -> i32 {
    if !is_remote(&segment.destination, segment.destination_port) {
        return PASS;
    }
    let (Some(settings), Some(socket)) = (settings(), skb.socket()) else {
        return REFUSE;
    };
    let enforce = settings.enforce != 0;
    if let Some(reason) = passing(socket, settings) {
        return pass(Program::Egress, reason, enforce);
    }
    // The last acknowledgement, or the reset, for a connection of the gateway's that has no socket
    // any more.
    if socket.is_kernels_own() && !segment.data && segment.flags & Segment::SYN == 0 {
        return pass(Program::Egress, Reason::Closing, enforce);
    }
    let event = event_of(skb, &Brief::from(segment), socket.cgroup());
    refuse_packet(event, Program::Egress, Reason::NotGateway, enforce)
}

#[inline(always)]
fn unreadable(skb: &Skb<'_>, destination: [u8; 16]) -> i32 {
    if !is_remote(&destination, 0) {
        return PASS;
    }
    let (Some(settings), Some(socket)) = (settings(), skb.socket()) else {
        return REFUSE;
    };
    let enforce = settings.enforce != 0;
    if let Some(reason) = passing(socket, settings) {
        return pass(Program::Egress, reason, enforce);
    }
    let event = Event {
        interface: skb.interface(),
        cgroup: socket.cgroup(),
        destination,
        ..Event::default()
    };
    refuse_packet(event, Program::Egress, Reason::Malformed, enforce)
}

#[inline(always)]
fn passing(socket: Socket, settings: &Settings) -> Option<Reason> {
    if socket.is_in(&settings.gateway) {
        Some(Reason::Gateway)
    } else if socket.is_exception(settings) {
        Some(Reason::Exception)
    } else {
        None
    }
}

#[inline(always)]
fn is_remote(address: &[u8; 16], port: u16) -> bool {
    let endpoint = Endpoint {
        address: *address,
        port,
        padding: 0,
    };
    // SAFETY: only its presence counts.
    unsafe { REMOTES.get(endpoint) }.is_some()
}
