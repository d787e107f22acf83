//! What the guard's kernel programs and user space share: the ABI of maps and events, the packet
//! parser, the layout of QUIC connection IDs, and who gets a datagram.
//!
//! Everything here is pure and runs on the host too, where it is tested and fuzzed.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod connection_id;
pub mod packet;
pub mod quick;
pub mod steering;
