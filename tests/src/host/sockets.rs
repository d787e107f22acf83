//! What a namespace's kernel holds of TCP: `/proc/net/tcp` and `tcp6`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Namespace;

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sock {
    /// Its own end; a v4-mapped address as IPv4.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Its state.
    pub state: State,
}

/// A state (RFC 9293, section 3.3.2), as far as tests ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both directions are open.
    Established,
    /// One direction is closed, or both but not yet acknowledged.
    HalfClosed,
    /// It listens.
    Listen,
    /// The handshake has begun.
    Opening,
    /// Closed, and remembered for a while.
    TimeWait,
}

impl Namespace {
    /// All TCP sockets.
    pub fn sockets(&self) -> Vec<Sock> {
        ["tcp", "tcp6"]
            .iter()
            .flat_map(|table| {
                let text = self.read(table);
                text.lines().skip(1).map(Sock::read).collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Sock {
    /// Whether one of its ends has that port.
    pub fn concerns(&self, port: u16) -> bool {
        self.local.port() == port || self.remote.port() == port
    }

    fn read(line: &str) -> Self {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        Self {
            local: address(fields[1]),
            remote: address(fields[2]),
            state: match fields[3] {
                "01" => State::Established,
                "02" | "03" | "0C" => State::Opening,
                "06" => State::TimeWait,
                "0A" => State::Listen,
                "04" | "05" | "07" | "08" | "09" | "0B" => State::HalfClosed,
                other => panic!("an unknown state: {other}"),
            },
        }
    }
}

/// Words of 4 bytes in the machine's order, in hexadecimal digits; the port behind a colon.
fn address(text: &str) -> SocketAddr {
    let (digits, port) = text.split_once(':').unwrap();
    let bytes: Vec<u8> = digits
        .as_bytes()
        .chunks(8)
        .flat_map(|word| {
            let word = std::str::from_utf8(word).unwrap();
            u32::from_str_radix(word, 16).unwrap().to_ne_bytes()
        })
        .collect();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).to_canonical(),
    };
    SocketAddr::new(ip, u16::from_str_radix(port, 16).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, read) in [
            ("0100007F:0F63", "127.0.0.1:3939"),
            ("00000000000000000000000001000000:0F63", "[::1]:3939"),
            ("0000000000000000FFFF00000100007F:0F63", "127.0.0.1:3939"),
        ] {
            assert_eq!(address(text).to_string(), read);
        }
    }
}
