//! What the guard's kernel programs and their loader share: the ABI of maps and events, and the
//! packet parser.
//!
//! Everything here is pure and runs on the host too, where it is tested and fuzzed.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod packet;
pub mod quick;
