//! The boundary of local endpoints: what arrives at a socket.
//!
//! Not only SYNs are checked, but everything that reaches a listener, and everything on a
//! connection until its peer is verified: a connection may be older than the guard, and a handshake
//! may be finished without a SYN (SYN cookies, Fast Open).

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::programs::SkBuffContext;
use gateway_ebpf::abi::{Endpoint, Event, Program, Reason, Service, Source};
use gateway_ebpf::packet::{Kind, Packet as _, Segment, parse};
use gateway_ebpf::quick::{Brief, Look, brief, destination, look, octets, source};

use crate::maps::{ADDRESSES, ALLOWED, SERVICES, service, service_place};
use crate::skb::{Sender, Skb, Socket, event_of};
use crate::verdict::{PASS, REFUSE, pass, refuse_packet, refuse_silently, settings};

/// Decides on a packet.
#[cgroup_skb(ingress)]
pub fn ingress(context: SkBuffContext) -> i32 {
    let skb = Skb(&context);
    match look(&skb) {
        Look::Other => PASS,
        Look::Tcp(port) => match service_place(port) {
            Some(place) => quickly(&skb, place).unwrap_or_else(|| judge(context.skb.skb)),
            None if steered(skb.any_socket(), port).is_some() => judge(context.skb.skb),
            None => PASS,
        },
        Look::Longer => judge(context.skb.skb),
    }
}

/// What passes nearly always: packets on connections whose peer was verified, and the first ones on
/// those of the gateway. `None` is for [`judge`] to decide.
#[inline(always)]
fn quickly(skb: &Skb<'_>, place: u32) -> Option<i32> {
    let (settings, socket) = (settings()?, skb.any_socket()?);
    let enforce = settings.enforce != 0;
    let listening = socket.is_listening();
    if !listening && socket.is_verified(settings) {
        return Some(pass(Program::Ingress, Reason::Verified, enforce));
    }
    if skb.interface() != LO {
        return None;
    }
    let segment = brief(skb, skb.length())?;
    if !is_services(skb, socket, SERVICES.get(place)?) || !skb.is_gateways(&segment, settings) {
        return None;
    }
    if !listening {
        socket.set_verified(settings);
    }
    Some(pass(Program::Ingress, Reason::Gateway, enforce))
}

/// Decides without haste. A function of its own, so that it does not lie in the way of the others.
#[inline(never)]
fn judge(skb: *mut __sk_buff) -> i32 {
    let context = SkBuffContext::new(skb);
    let skb = Skb(&context);
    match parse(&skb) {
        Kind::Other => PASS,
        Kind::Tcp(segment) => decide(&skb, &Brief::from(&segment)),
        Kind::Unreadable(destination) => unreadable(&skb, destination),
    }
}

#[inline(always)]
fn decide(skb: &Skb<'_>, segment: &Brief) -> i32 {
    let steered = steered(skb.socket(), segment.destination_port);
    let Some(service) = steered.or_else(|| service(segment.destination_port)) else {
        return PASS;
    };
    let (Some(settings), Some(socket)) = (settings(), skb.socket()) else {
        return REFUSE;
    };
    let enforce = settings.enforce != 0;
    let listening = socket.is_listening();
    if !listening && socket.is_verified(settings) {
        return pass(Program::Ingress, Reason::Verified, enforce);
    }
    if !skb.is_in(service.namespace, socket) {
        return PASS;
    }
    let is_service = is_services(skb, socket, service);
    // Whoever listens on every address stands where the service does: its cgroup may be one that
    // is not known here yet.
    if !is_service && !socket.is_on_every_address() && !is_protected(service, skb, segment) {
        return PASS;
    }
    // A reset ends a connection, whoever sends it; without it one end would wait for nothing.
    if !listening && segment.flags & Segment::RST != 0 {
        return pass(Program::Ingress, Reason::Reset, enforce);
    }

    let interface = skb.interface();
    let mut cgroup = 0;
    let reason = if interface == LO {
        match skb.sender(segment, settings) {
            Sender::Gateway => Reason::Gateway,
            Sender::Exception => Reason::Exception,
            Sender::Closed if !listening && !segment.data => {
                return pass(Program::Ingress, Reason::Closing, enforce);
            }
            // The same for a connection that is gone on this side too: it reaches the listener, and
            // needs no answer. Nobody is behind it to be named.
            Sender::Closed => {
                return refuse_silently(Program::Ingress, Reason::NoSender, enforce);
            }
            Sender::None => Reason::NoSender,
            Sender::Other(id) => {
                cgroup = id;
                Reason::NotGateway
            }
        }
    } else if steered.is_none() && is_listed(skb, segment) {
        Reason::Listed
    } else {
        Reason::NotListed
    };
    // Whoever sits on the service's port gets nothing, from the gateway neither.
    let reason = if reason.passes() && !is_service {
        Reason::NotService
    } else {
        reason
    };
    if reason.passes() {
        if !listening {
            socket.set_verified(settings);
        }
        return pass(Program::Ingress, reason, enforce);
    }
    let event = event_of(skb, segment, cgroup);
    refuse_packet(event, Program::Ingress, reason, enforce)
}

/// The receiver tells what the packet does not.
#[inline(always)]
fn unreadable(skb: &Skb<'_>, destination: Option<[u8; 16]>) -> i32 {
    let Some(socket) = skb.socket() else {
        return PASS;
    };
    if !socket.is_tcp() {
        return PASS;
    }
    let port = socket.port();
    let Some(service) = service(port) else {
        return PASS;
    };
    if !skb.is_in(service.namespace, socket) {
        return PASS;
    }
    let Some(settings) = settings() else {
        return REFUSE;
    };
    let event = Event {
        interface: skb.interface(),
        destination: destination.unwrap_or_default(),
        destination_port: port,
        ..Event::default()
    };
    refuse_packet(
        event,
        Program::Ingress,
        Reason::Malformed,
        settings.enforce != 0,
    )
}

/// The service on whose port a socket listens, if the packet names another one: an `sk_lookup`
/// program of root's may give a listener what comes to any port.
#[inline(always)]
fn steered(socket: Option<Socket>, port: u16) -> Option<&'static Service> {
    let listener = socket.filter(|socket| socket.is_listening() && socket.port() != port)?;
    service(listener.port())
}

/// Whether a socket is the service's.
#[inline(always)]
fn is_services(skb: &Skb<'_>, socket: Socket, service: &Service) -> bool {
    socket.is_in(&service.cgroup)
        && (service.flags & Service::CHECK_UID == 0 || skb.uid() == service.uid)
}

#[inline(always)]
fn is_protected(service: &Service, skb: &Skb<'_>, segment: &Brief) -> bool {
    if service.flags & Service::ANY_ADDRESS != 0 {
        return true;
    }
    let Some(address) = destination(skb, segment.v4) else {
        return true;
    };
    let endpoint = Endpoint {
        address: octets(address, segment.v4),
        port: segment.destination_port,
        padding: 0,
    };
    // SAFETY: only its presence counts.
    unsafe { ADDRESSES.get(endpoint) }.is_some()
}

#[inline(always)]
fn is_listed(skb: &Skb<'_>, segment: &Brief) -> bool {
    let Some(address) = source(skb, segment.v4) else {
        return false;
    };
    let source = Source {
        port: segment.destination_port.to_be_bytes(),
        address: octets(address, segment.v4),
    };
    ALLOWED.get(&Key::new(Source::BITS, source)).is_some()
}

/// The number of lo, in every namespace.
const LO: u32 = 1;
