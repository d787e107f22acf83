//! A port that is known before anything listens on it.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A free loopback address. Its port lies below those that the kernel hands out by itself, so no
/// connection takes it before the gateway does; each call and each process tries others.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id().wrapping_mul(37) % u32::from(SPAN);
    for _ in 0..SPAN {
        let offset = (u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + process) % u32::from(SPAN);
        let port = FIRST + u16::try_from(offset).expect("smaller than the span");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free from {FIRST} on");
}

/// Linux hands out 32768 and above.
const FIRST: u16 = 20_000;
const SPAN: u16 = 12_000;
