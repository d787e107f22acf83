//! Sending packets that were built by hand, and seeing what crosses the interfaces (raw(7),
//! packet(7)).

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::orders;
use super::packet::{Segment, Shape};
use super::sys::link_address;

/// Both ends of the wire.
pub(super) struct Wire {
    raw: Socket,
    sniffer: Socket,
    /// The next host, where packets go to by a packet socket.
    next: Option<SockAddr>,
}

/// A neighbour to whom packets go past this host's routing.
#[derive(Args)]
pub(super) struct Link {
    /// Send through this interface, by a packet socket
    #[arg(long, value_name = "INTERFACE", requires = "neighbour")]
    through: Option<String>,
    /// To the neighbour with this hardware address
    #[arg(long, value_name = "MAC", requires = "through", value_parser = hardware_address)]
    neighbour: Option<[u8; 6]>,
}

/// A segment that was seen.
pub(super) struct Seen {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
    pub(super) flags: u8,
    pub(super) data: Vec<u8>,
}

impl Wire {
    /// For packets to that address. From here on nothing is missed.
    pub(super) fn open(to: SocketAddr) -> Result<Self> {
        let raw = Protocol::from(libc::IPPROTO_RAW);
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        Ok(Self {
            raw: Socket::new(Domain::for_address(to), Type::RAW, Some(raw)).context("raw")?,
            sniffer: Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(all)))
                .context("packet")?,
            next: None,
        })
    }

    /// The same, by that link.
    pub(super) fn by(self, link: &Link, to: SocketAddr) -> Result<Self> {
        let (Some(interface), Some(neighbour)) = (&link.through, link.neighbour) else {
            return Ok(self);
        };
        let protocol = match to {
            SocketAddr::V4(_) => libc::ETH_P_IP,
            SocketAddr::V6(_) => libc::ETH_P_IPV6,
        } as u16;
        let index = name_to_index(&self.raw, interface).context("no such interface")?;
        Ok(Self {
            // Of protocol 0, it receives nothing.
            raw: Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))
                .context("packet")?,
            next: Some(link_address(protocol, index, neighbour)?),
            ..self
        })
    }

    /// Sends a segment. A packet that may not leave (EPERM) is as good as lost on its way; the
    /// others are sent all the same.
    pub(super) fn send(&self, segment: &Segment<'_>, shape: Shape) -> Result<()> {
        let to = match &self.next {
            Some(next) => next.clone(),
            // A raw socket takes a port for a protocol.
            None => SockAddr::from(SocketAddr::new(segment.to.ip(), 0)),
        };
        for packet in segment.packets(shape) {
            match self.raw.send_to(&packet, &to) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                sent => drop(sent?),
            }
        }
        Ok(())
    }

    /// Watches what goes to an address until there is an order, and obeys it; gives the last segment
    /// that it saw.
    pub(super) fn watch(&self, to: SocketAddr) -> Result<Seen> {
        let mut last = None;
        loop {
            let stdin = std::io::stdin();
            let mut ready = [
                PollFd::new(&self.sniffer, PollFlags::IN),
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            ];
            poll(&mut ready, None)?;
            let [of_wire, of_stdin] = ready.map(|one| !one.revents().is_empty());
            if of_wire {
                let seen = self.next(Instant::now() + Duration::from_millis(10))?;
                // The newest segment says what comes next in both directions.
                last = seen.filter(|seen| seen.to == to).or(last);
            } else if of_stdin {
                orders::next()?;
                return last.context("no connection was seen");
            }
        }
    }

    /// The next segment that crosses; none within the time.
    pub(super) fn next(&self, until: Instant) -> Result<Option<Seen>> {
        let mut bytes = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return Ok(None);
            }
            self.sniffer.set_read_timeout(Some(left))?;
            match (&self.sniffer).read(&mut bytes) {
                Ok(count) => {
                    if let Some(seen) = bytes.get(..count).and_then(Seen::read) {
                        return Ok(Some(seen));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Seen {
    pub(super) const FIN: u8 = 0x01;
    pub(super) const SYN: u8 = 0x02;
    pub(super) const RST: u8 = 0x04;
    pub(super) const PSH: u8 = 0x08;
    pub(super) const ACK: u8 = 0x10;

    /// Whether all of these flags are set.
    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The sequence number after it.
    pub(super) fn end(&self) -> u32 {
        let flags = u32::from(self.has(Self::SYN)) + u32::from(self.has(Self::FIN));
        self.sequence
            .wrapping_add(self.data.len() as u32)
            .wrapping_add(flags)
    }

    /// None unless it is TCP without anything special before it: what kernels send.
    fn read(packet: &[u8]) -> Option<Self> {
        let (from, to, tcp) = match packet.first()? >> 4 {
            4 if *packet.get(9)? == 6 => {
                let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok();
                let header = usize::from(packet.first()? & 0x0f) * 4;
                let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
                (
                    address(12)?.into(),
                    address(16)?.into(),
                    packet.get(header..length)?,
                )
            }
            6 if *packet.get(6)? == 6 => {
                let address = |at: usize| <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok();
                (address(8)?.into(), address(24)?.into(), packet.get(40..)?)
            }
            _ => return None,
        };
        let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let ports = word(0)?;
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        Some(Self {
            from: SocketAddr::new(from, (ports >> 16) as u16),
            to: SocketAddr::new(to, ports as u16),
            sequence: word(4)?,
            acknowledgment: word(8)?,
            flags: *tcp.get(13)?,
            data: tcp.get(header..)?.to_vec(),
        })
    }
}

/// Six bytes in hexadecimal digits, with colons between.
fn hardware_address(text: &str) -> Result<[u8; 6]> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    <[u8; 6]>::try_from(bytes).ok().context("not six bytes")
}
