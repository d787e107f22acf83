//! The parser of IP packets: how far they must be read to know the TCP ports.
//!
//! It never guesses. What is not TCP for certain, and not something else for certain, is
//! [`Unreadable`]; the programs refuse that where it might concern a protected endpoint.

/// A packet that starts with its IP header.
pub trait Packet {
    /// Bytes from an offset; `None` if the packet ends before.
    fn get<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// The packet's length in bytes.
    fn length(&self) -> u32;
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not TCP.
    Other,
    /// A TCP segment.
    Tcp(Segment),
    /// TCP perhaps, but its ports cannot be told. The destination is known unless the packet has
    /// no whole IP header.
    Unreadable(Option<[u8; 16]>),
}

/// The parts of a TCP segment that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// IPv4 as v4-mapped.
    pub source: [u8; 16],
    /// IPv4 as v4-mapped.
    pub destination: [u8; 16],
    /// Host order.
    pub source_port: u16,
    /// Host order.
    pub destination_port: u16,
    /// FIN, SYN, RST, PSH, ACK, URG, ECE, CWR from the lowest bit on (RFC 9293, section 3.1).
    pub flags: u8,
    /// It is IPv4.
    pub v4: bool,
    /// Whether something follows the TCP header.
    pub data: bool,
    /// Where the TCP header begins, in bytes.
    pub offset: u32,
}

impl Segment {
    /// RFC 9293, section 3.1.
    pub const SYN: u8 = 0x02;
    /// RFC 9293, section 3.1.
    pub const RST: u8 = 0x04;
}

/// An IPv4 address as v4-mapped IPv6 (RFC 4291, section 2.5.5.2).
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3],
    ]
}

/// Reads a packet.
#[inline(always)]
pub fn parse(packet: &impl Packet) -> Kind {
    let Some([first]) = packet.get::<1>(0) else {
        return Kind::Unreadable(None);
    };
    match first >> 4 {
        4 => parse_v4(packet, first),
        6 => parse_v6(packet),
        _ => Kind::Unreadable(None),
    }
}

/// RFC 791, section 3.1.
#[inline(always)]
fn parse_v4(packet: &impl Packet, first: u8) -> Kind {
    let Some(header) = packet.get::<20>(0) else {
        return Kind::Unreadable(None);
    };
    let source = mapped([header[12], header[13], header[14], header[15]]);
    let destination = mapped([header[16], header[17], header[18], header[19]]);
    match header[9] {
        TCP => (),
        // What they carry is known to the receiver alone. What IPsec wraps passes the programs in
        // this form only.
        AUTHENTICATION | ENCRYPTED => return Kind::Unreadable(Some(destination)),
        _ => return Kind::Other,
    }
    let length = u32::from(first & 0x0f) * 4;
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    if length < 20 || fragment_offset != 0 {
        return Kind::Unreadable(Some(destination));
    }
    segment(packet, length, source, destination, true)
}

/// RFC 8200, sections 3 and 4. Not every header must be followed: after [`MAX_HEADERS`] the packet
/// is unreadable, like one whose chain holds something unknown.
#[inline(always)]
fn parse_v6(packet: &impl Packet) -> Kind {
    let (Some(start), Some(source), Some(destination)) = (
        packet.get::<8>(0),
        packet.get::<16>(8),
        packet.get::<16>(24),
    ) else {
        return Kind::Unreadable(None);
    };
    let unreadable = Kind::Unreadable(Some(destination));
    let mut next = start[6];
    let mut offset = 40;
    let mut left = MAX_HEADERS;
    while next != TCP {
        if is_final(next) {
            return Kind::Other;
        }
        if left == 0 || !is_extension(next) {
            return unreadable;
        }
        left -= 1;
        let Some(header) = packet.get::<4>(offset) else {
            return unreadable;
        };
        let units = u32::from(header[1]);
        offset += match next {
            FRAGMENT => {
                if u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0 {
                    return unreadable;
                }
                8
            }
            // RFC 4302, section 2.2: in units of 4 bytes, less 2.
            AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        next = header[0];
    }
    segment(packet, offset, source, destination, false)
}

#[inline(always)]
fn segment(
    packet: &impl Packet,
    offset: u32,
    source: [u8; 16],
    destination: [u8; 16],
    v4: bool,
) -> Kind {
    let Some(header) = packet.get::<14>(offset) else {
        return Kind::Unreadable(Some(destination));
    };
    let header_length = u32::from(header[12] >> 4) * 4;
    if header_length < 20 {
        return Kind::Unreadable(Some(destination));
    }
    Kind::Tcp(Segment {
        source,
        destination,
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        flags: header[13],
        v4,
        data: packet.length() > offset + header_length,
        offset,
    })
}

/// Headers behind which TCP may come, and whose length is known.
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6
    )
}

/// What is certainly not TCP, and has no TCP of this packet behind it.
#[inline(always)]
const fn is_final(next: u8) -> bool {
    matches!(next, UDP | ICMPV6 | NO_NEXT | SCTP | UDP_LITE)
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const NO_NEXT: u8 = 59;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ENCRYPTED: u8 = 50;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// How many extension headers are followed.
const MAX_HEADERS: u32 = 8;

#[cfg(test)]
mod tests;
