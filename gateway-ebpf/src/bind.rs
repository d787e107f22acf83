//! Nobody but the service takes a protected port, so that nobody blocks its start. What slips by
//! (a listen without a bind) still gets nothing: `ingress` looks at the receiver.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::bpf_get_netns_cookie;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use gateway_ebpf::abi::{Endpoint, Event, Program, Reason, Service};

use crate::connect::{address_v4, address_v6, current_is_in, is_tcp, is_unspecified, port};
use crate::maps::{self, ADDRESSES};
use crate::verdict::{PASS, REFUSE, pass, refuse_process, settings};

/// Decides on a bind to an IPv4 address.
#[cgroup_sock_addr(bind4)]
pub fn bind4(context: SockAddrContext) -> i32 {
    decide(&context, Program::Bind4, address_v4(context.sock_addr))
}

/// Decides on a bind to an IPv6 address.
#[cgroup_sock_addr(bind6)]
pub fn bind6(context: SockAddrContext) -> i32 {
    decide(&context, Program::Bind6, address_v6(context.sock_addr))
}

#[inline(always)]
fn decide(context: &SockAddrContext, program: Program, address: [u8; 16]) -> i32 {
    if !is_tcp(context.sock_addr) {
        return PASS;
    }
    let endpoint = Endpoint {
        address,
        port: port(context.sock_addr),
        padding: 0,
    };
    let Some(service) = maps::service(endpoint.port) else {
        return PASS;
    };
    // SAFETY: the context is valid as long as the program runs.
    let namespace = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    if service.flags & Service::RESERVE == 0
        || namespace != service.namespace
        || !overlaps(service, &endpoint)
    {
        return PASS;
    }
    let Some(settings) = settings() else {
        return REFUSE;
    };
    let enforce = settings.enforce != 0;
    if is_service(service) {
        return pass(program, Reason::Service, enforce);
    }
    let event = Event {
        destination: endpoint.address,
        destination_port: endpoint.port,
        ..Event::default()
    };
    refuse_process(event, program, Reason::NotService, enforce)
}

/// The service's cgroup is made anew at each start, and may bind before the new one is known here.
/// Its start must not fail for that: its own user will do, and so will root, whom this could not
/// keep from anything.
#[inline(always)]
fn is_service(service: &Service) -> bool {
    let uid = bpf_get_current_uid_gid() as u32;
    if uid == 0 {
        true
    } else if service.flags & Service::CHECK_UID != 0 {
        uid == service.uid
    } else {
        current_is_in(&service.cgroup)
    }
}

/// Whether a socket bound there would stand in the way of the service's.
#[inline(always)]
fn overlaps(service: &Service, endpoint: &Endpoint) -> bool {
    service.flags & Service::ANY_ADDRESS != 0
        || is_unspecified(&endpoint.address)
        // SAFETY: only its presence counts.
        || unsafe { ADDRESSES.get(endpoint) }.is_some()
}
