//! Ports for the demo: the same each time where they are free.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// A free port on loopback: the preferred one if possible.
///
/// Free for IPv6 too: `localhost` means both, and a client may try IPv6 first.
pub(super) fn free(preferred: u16) -> Result<u16> {
    if is_free(preferred) {
        return Ok(preferred);
    }
    for _ in 0..TRIES {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("no free port on loopback")?
            .port();
        if is_free(port) {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free on 127.0.0.1 and on ::1")
}

fn is_free(port: u16) -> bool {
    let on = |address| TcpListener::bind::<SocketAddr>(address);
    let v6 = on((Ipv6Addr::LOCALHOST, port).into());
    on((Ipv4Addr::LOCALHOST, port).into()).is_ok()
        && !v6.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

const TRIES: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free(port).unwrap(), port);
    }
}
