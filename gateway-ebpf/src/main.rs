//! The guard's kernel programs: one file for each hook. ARCHITECTURE.md says how they fit.
//!
//! No program keeps a table of flows: who may talk is asked of the sockets themselves, whenever a
//! packet arrives at a socket that was not verified yet.

#![no_std]
#![no_main]

mod bind;
mod connect;
mod egress;
mod empty;
mod ingress;
mod maps;
mod origin;
mod skb;
mod steer;
mod verdict;

/// Nothing here panics: the verifier would refuse the loop.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers that look up sockets are for programs under the GPL; this is one of both licences.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
