//! The first look at a packet: enough for nearly all of them, which are no concern of the guard's.
//!
//! It reads a few words at fixed places. Whatever is not in the plainest form is left to
//! [`crate::packet::parse`].

use crate::packet::Segment;

/// A packet that starts with its IP header.
pub trait Words {
    /// Four bytes as they lie in memory, at an offset that is a multiple of 4; `None` if the packet
    /// ends before.
    fn word(&self, offset: usize) -> Option<u32>;
}

/// What the first look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It takes a longer look.
    Longer,
    /// Not TCP.
    Other,
    /// TCP behind a plain IP header, to this port (host order).
    Tcp(u16),
}

/// What decides about a TCP segment, but for its addresses, which stand at fixed places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief {
    /// It is IPv4.
    pub v4: bool,
    /// Host order.
    pub source_port: u16,
    /// Host order.
    pub destination_port: u16,
    /// As [`Segment::flags`].
    pub flags: u8,
    /// Whether something follows the TCP header.
    pub data: bool,
    /// As [`Segment::offset`].
    pub offset: u32,
}

impl From<&Segment> for Brief {
    #[inline(always)]
    fn from(segment: &Segment) -> Self {
        Self {
            v4: segment.v4,
            source_port: segment.source_port,
            destination_port: segment.destination_port,
            flags: segment.flags,
            data: segment.data,
            offset: segment.offset,
        }
    }
}

/// The brief of what [`look`] found to be [`Look::Tcp`]; `None` if its TCP header is broken.
/// `length` is the packet's in bytes.
#[inline(always)]
pub fn brief(packet: &impl Words, length: u32) -> Option<Brief> {
    let [version, ..] = packet.word(0)?.to_ne_bytes();
    let v4 = version >> 4 == 4;
    let (ports, flags) = if v4 {
        (packet.word(20)?, packet.word(32)?)
    } else {
        (packet.word(40)?, packet.word(52)?)
    };
    let [source_high, source_low, high, low] = ports.to_ne_bytes();
    let [offset, flags, ..] = flags.to_ne_bytes();
    let header = u32::from(offset >> 4) * 4;
    if header < 20 {
        return None;
    }
    let start = if v4 { 20 } else { 40 };
    Some(Brief {
        v4,
        source_port: u16::from_be_bytes([source_high, source_low]),
        destination_port: u16::from_be_bytes([high, low]),
        flags,
        data: length > start + header,
        offset: start,
    })
}

/// A packet's source, as it lies in memory: one word for IPv4, else four.
#[inline(always)]
pub fn source(packet: &impl Words, v4: bool) -> Option<[u32; 4]> {
    address(packet, v4, if v4 { 12 } else { 8 })
}

/// A packet's destination, as [`source`].
#[inline(always)]
pub fn destination(packet: &impl Words, v4: bool) -> Option<[u32; 4]> {
    address(packet, v4, if v4 { 16 } else { 24 })
}

#[inline(always)]
fn address(packet: &impl Words, v4: bool, at: usize) -> Option<[u32; 4]> {
    let first = packet.word(at)?;
    if v4 {
        return Some([first, 0, 0, 0]);
    }
    Some([
        first,
        packet.word(at + 4)?,
        packet.word(at + 8)?,
        packet.word(at + 12)?,
    ])
}

/// The 16 bytes of an address in words.
#[inline(always)]
pub fn octets(words: [u32; 4], v4: bool) -> [u8; 16] {
    let [a, b, c, d] = match (v4, words) {
        (true, [v4, ..]) => [0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), v4],
        (false, v6) => v6,
    }
    .map(|word| u128::from(word.to_le()));
    // Whole words: bytes would each take a place of their own on the stack, which is small.
    (a | b << 32 | c << 64 | d << 96).to_le_bytes()
}

/// Looks at a packet.
#[inline(always)]
pub fn look(packet: &impl Words) -> Look {
    let Some(first) = packet.word(0) else {
        return Look::Longer;
    };
    let [version, ..] = first.to_ne_bytes();
    match version {
        V4_WITHOUT_OPTIONS => {
            let (Some(second), Some(third)) = (packet.word(4), packet.word(8)) else {
                return Look::Longer;
            };
            let [_, protocol, ..] = third.to_ne_bytes();
            let [_, _, high, low] = second.to_ne_bytes();
            if u16::from_be_bytes([high, low]) & FRAGMENT_OFFSET != 0 {
                Look::Longer
            } else {
                at(packet, 20, protocol)
            }
        }
        version if version >> 4 == 6 => {
            let Some(second) = packet.word(4) else {
                return Look::Longer;
            };
            let [_, _, next, _] = second.to_ne_bytes();
            at(packet, 40, next)
        }
        _ => Look::Longer,
    }
}

#[inline(always)]
fn at(packet: &impl Words, offset: usize, protocol: u8) -> Look {
    match protocol {
        TCP => match packet.word(offset) {
            Some(ports) => {
                let [_, _, high, low] = ports.to_ne_bytes();
                Look::Tcp(u16::from_be_bytes([high, low]))
            }
            None => Look::Longer,
        },
        UDP => Look::Other,
        _ => Look::Longer,
    }
}

/// A set of ports, as 65,536 bits.
pub type Ports = [u64; 1024];

/// A number for each port.
pub type Places = [u8; 65536];

/// The place of a port in [`Ports`]: the word, and the bit in it.
#[inline(always)]
pub const fn place(port: u16) -> (usize, u64) {
    ((port >> 6) as usize, 1 << (port & 63))
}

/// Version 4, a header of 5 words (RFC 791, section 3.1).
const V4_WITHOUT_OPTIONS: u8 = 0x45;
const FRAGMENT_OFFSET: u16 = 0x1fff;
const TCP: u8 = 6;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Kind, Packet, parse};

    struct Bytes<'a>(&'a [u8]);

    impl Words for Bytes<'_> {
        fn word(&self, offset: usize) -> Option<u32> {
            let bytes = self.0.get(offset..offset + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().unwrap()))
        }
    }

    impl Packet for Bytes<'_> {
        fn get<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
            let offset = offset as usize;
            Some(self.0.get(offset..offset + N)?.try_into().unwrap())
        }

        fn length(&self) -> u32 {
            self.0.len() as u32
        }
    }

    /// Packets of every first byte, protocol and length around the ones that matter.
    fn each(mut check: impl FnMut(&[u8])) {
        for first in 0..=255 {
            for protocol in 0..=255 {
                for fragment in [0, 1, 0x20, 0x40] {
                    let mut bytes = [0x50; 64];
                    bytes[0] = first;
                    bytes[6] = if first >> 4 == 6 { protocol } else { fragment };
                    bytes[7] = 0;
                    bytes[9] = protocol;
                    for length in [0, 3, 4, 12, 20, 24, 33, 34, 40, 44, 54, 64] {
                        check(&bytes[..length]);
                    }
                }
            }
        }
    }

    #[test]
    fn it_never_contradicts_the_parser() {
        let (mut tcp, mut other) = (0, 0);
        each(|bytes| match look(&Bytes(bytes)) {
            Look::Longer => {}
            Look::Other => {
                other += 1;
                // A packet too short for its header never comes out as TCP either.
                assert!(!matches!(parse(&Bytes(bytes)), Kind::Tcp(_)), "{bytes:?}");
            }
            Look::Tcp(port) => {
                tcp += 1;
                match parse(&Bytes(bytes)) {
                    Kind::Tcp(segment) => {
                        assert_eq!(segment.destination_port, port);
                        let packet = Bytes(bytes);
                        // It needs the whole word in which the flags stand, as every TCP header has.
                        if let Some(brief) = brief(&packet, bytes.len() as u32) {
                            assert_eq!(brief, Brief::from(&segment));
                        } else {
                            assert!(bytes.len() < 56);
                        }
                        let ends = (
                            source(&packet, segment.v4),
                            destination(&packet, segment.v4),
                        );
                        let ends = (ends.0.unwrap(), ends.1.unwrap());
                        assert_eq!(octets(ends.0, segment.v4), segment.source);
                        assert_eq!(octets(ends.1, segment.v4), segment.destination);
                    }
                    Kind::Unreadable(_) => assert!(bytes.len() < 54),
                    Kind::Other => panic!("{bytes:?}"),
                }
            }
        });
        assert!(tcp > 0 && other > 0);
    }

    #[test]
    fn plain_tcp_needs_no_longer_look() {
        let mut v4 = [0; 40];
        v4[0] = 0x45;
        v4[9] = 6;
        v4[22..24].copy_from_slice(&3939u16.to_be_bytes());
        assert_eq!(look(&Bytes(&v4)), Look::Tcp(3939));
        v4[7] = 1;
        assert_eq!(look(&Bytes(&v4)), Look::Longer);
        let mut v6 = [0; 60];
        v6[0] = 0x60;
        v6[6] = 6;
        v6[42..44].copy_from_slice(&443u16.to_be_bytes());
        assert_eq!(look(&Bytes(&v6)), Look::Tcp(443));
        v6[6] = 60;
        assert_eq!(look(&Bytes(&v6)), Look::Longer);
    }

    #[test]
    fn each_port_has_its_bit() {
        assert_eq!(place(0), (0, 1));
        assert_eq!(place(3939), (61, 1 << 35));
        assert_eq!(place(u16::MAX), (1023, 1 << 63));
    }
}
