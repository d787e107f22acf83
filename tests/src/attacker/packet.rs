//! Building IP packets that carry a TCP segment, in every shape that the kernel takes.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;

/// What makes a segment.
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    /// Of the same family.
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
    pub(super) flags: u8,
    pub(super) data: &'a [u8],
}

/// How it is wrapped.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shape {
    /// IPv6: a fragment header that fragments nothing
    AtomicFragment,
    /// IPv6: a header of destination options
    DestinationOptions,
    /// Fragments, of which the first, with the ports, comes twice: the second time with other ports
    DoubledFragments,
    /// Fragments as small as the kernel takes them
    Fragments,
    /// IPv6: a header of hop-by-hop options
    HopByHop,
    /// IPv6: more headers than anybody needs
    ManyHeaders,
    /// IPv4: options
    Options,
    /// Fragments, of which the second lies over a part of the first
    OverlappingFragments,
    /// Nothing special
    Plain,
}

impl Segment<'_> {
    /// The packets, each from its IP header on.
    pub(super) fn packets(&self, shape: Shape) -> Vec<Vec<u8>> {
        let tcp = self.tcp();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let (from, to) = (from.octets(), to.octets());
                let options: &[u8] = match shape {
                    Shape::Options => &[1, 1, 1, 0],
                    _ => &[],
                };
                let first = match shape {
                    // An overlap leaves the ports as they are.
                    Shape::OverlappingFragments => 16,
                    _ => 8,
                };
                self.pieces(&tcp, shape, first)
                    .iter()
                    .map(|piece| v4(from, to, options, piece))
                    .collect()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (from, to) = (from.octets(), to.octets());
                // The kernel wants the fixed part of TCP's header in the first fragment.
                self.pieces(&tcp, shape, 24)
                    .iter()
                    .map(|piece| {
                        let (next, headers) = extensions(shape, piece);
                        v6(from, to, next, &headers, piece)
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// RFC 9293, section 3.1, with a maximum segment size and eight times "no operation", so that
    /// the header is longer than IPv6's smallest first fragment.
    fn tcp(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend(self.acknowledgment.to_be_bytes());
        tcp.extend([8 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend([2, 4, 0x05, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1]);
        tcp.extend(self.data);
        let mut pseudo = Vec::new();
        for address in [self.from.ip(), self.to.ip()] {
            match address {
                IpAddr::V4(address) => pseudo.extend(address.octets()),
                IpAddr::V6(address) => pseudo.extend(address.octets()),
            }
        }
        pseudo.extend((tcp.len() as u32 + u32::from(TCP)).to_be_bytes());
        let sum = checksum(&[&pseudo, &tcp]);
        tcp.splice(16..18, sum.to_be_bytes());
        tcp
    }

    /// The whole, or a first piece of that size and others as small as they may be.
    fn pieces(&self, tcp: &[u8], shape: Shape, first: usize) -> Vec<Piece> {
        let (head, rest) = tcp.split_at(match shape.splits() {
            true => first,
            false => tcp.len(),
        });
        let rest = rest.chunks(8);
        let count = rest.len();
        // Another one for each segment and for each attacker of the same moment.
        let identification = self.from.port().rotate_left(4) ^ self.sequence as u16;
        let mut pieces = Vec::new();
        let mut offset = 0;
        for (index, bytes) in std::iter::once(head).chain(rest).enumerate() {
            pieces.push(Piece {
                identification,
                offset,
                more: index < count,
                bytes: bytes.to_vec(),
            });
            offset += bytes.len() as u16;
        }
        match shape {
            Shape::DoubledFragments => {
                let again = pieces.first().map(Piece::at_other_ports);
                pieces.splice(1..1, again);
            }
            Shape::OverlappingFragments => {
                if let Some(second) = pieces.get_mut(1) {
                    let before = tcp.get(usize::from(second.offset) - 8..);
                    let before = before.and_then(|bytes| bytes.get(..8)).unwrap_or_default();
                    second.bytes.splice(..0, before.iter().copied());
                    second.offset -= 8;
                }
            }
            _ => {}
        }
        pieces
    }
}

impl Shape {
    fn splits(self) -> bool {
        matches!(
            self,
            Self::DoubledFragments | Self::Fragments | Self::OverlappingFragments
        )
    }
}

/// A fragment's content and place.
struct Piece {
    identification: u16,
    /// In bytes.
    offset: u16,
    more: bool,
    bytes: Vec<u8>,
}

impl Piece {
    /// The same, but for the ports that it begins with.
    fn at_other_ports(&self) -> Self {
        let mut bytes = self.bytes.clone();
        bytes.splice(..4, [0, 7, 0, 9]);
        Self { bytes, ..*self }
    }
}

/// RFC 791, section 3.1.
fn v4(from: [u8; 4], to: [u8; 4], options: &[u8], piece: &Piece) -> Vec<u8> {
    let header = 20 + options.len();
    let fragment = (piece.offset / 8) | if piece.more { 0x2000 } else { 0 };
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + piece.bytes.len()) as u16).to_be_bytes());
    packet.extend(piece.identification.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, TCP, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(options);
    // A raw socket's kernel does the same; a packet socket's does not.
    let sum = checksum(&[&packet]);
    packet.splice(10..12, sum.to_be_bytes());
    packet.extend(&piece.bytes);
    packet
}

/// RFC 8200, section 3.
fn v6(from: [u8; 16], to: [u8; 16], next: u8, headers: &[u8], piece: &Piece) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((headers.len() + piece.bytes.len()) as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(headers);
    packet.extend(&piece.bytes);
    packet
}

/// RFC 8200, section 4: the first one's number, and all of them.
fn extensions(shape: Shape, piece: &Piece) -> (u8, Vec<u8>) {
    let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    match shape {
        Shape::AtomicFragment
        | Shape::DoubledFragments
        | Shape::Fragments
        | Shape::OverlappingFragments => {
            let mut header = vec![TCP, 0];
            header.extend((piece.offset | u16::from(piece.more)).to_be_bytes());
            header.extend(u32::from(piece.identification).to_be_bytes());
            (FRAGMENT, header)
        }
        Shape::DestinationOptions => (DESTINATION, options(TCP).to_vec()),
        Shape::HopByHop => (HOP_BY_HOP, options(TCP).to_vec()),
        Shape::ManyHeaders => {
            let mut headers = options(DESTINATION).repeat(11);
            headers.extend(options(TCP));
            (DESTINATION, headers)
        }
        Shape::Options | Shape::Plain => (TCP, Vec::new()),
    }
}

/// RFC 1071, over parts of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let high = pair.first().copied().unwrap_or_default();
            let low = pair.get(1).copied().unwrap_or_default();
            sum += u32::from(u16::from_be_bytes([high, low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_hold_the_segment() {
        for (from, to) in [("127.0.0.1:1", "127.0.0.2:2"), ("[::1]:1", "[::2]:2")] {
            let segment = Segment {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                sequence: 1,
                acknowledgment: 2,
                flags: 2,
                data: b"data",
            };
            let header = match segment.from.is_ipv4() {
                true => 20,
                false => 48,
            };
            let packets = segment.packets(Shape::Fragments);
            assert!(packets.len() > 1);
            let joined: Vec<u8> = packets
                .iter()
                .flat_map(|one| &one[header..])
                .copied()
                .collect();
            assert_eq!(joined, segment.tcp());
        }
    }

    #[test]
    fn fragments_contradict_each_other() {
        let segment = Segment {
            from: "127.0.0.1:10000".parse().unwrap(),
            to: "127.0.0.2:3939".parse().unwrap(),
            sequence: 1,
            acknowledgment: 2,
            flags: 2,
            data: b"data",
        };
        let plain = segment.packets(Shape::Fragments);
        let doubled = segment.packets(Shape::DoubledFragments);
        assert_eq!(doubled.len(), plain.len() + 1);
        assert_eq!((&doubled[0], &doubled[2..]), (&plain[0], &plain[1..]));
        // The same place, other ports.
        assert_eq!(doubled[1][..20], plain[0][..20]);
        assert_ne!(doubled[1][20..24], plain[0][20..24]);
        assert_eq!(doubled[1][24..], plain[0][24..]);

        let overlapping = segment.packets(Shape::OverlappingFragments);
        let place = |packet: &[u8]| usize::from(packet[7]) * 8;
        assert_eq!(place(&overlapping[1]), overlapping[0].len() - 20 - 8);
        assert_eq!(overlapping[1][20..28], overlapping[0][28..36]);
    }

    #[test]
    fn checksums_add_up() {
        let segment = Segment {
            from: "127.0.0.1:1".parse().unwrap(),
            to: "127.0.0.2:2".parse().unwrap(),
            sequence: 1,
            acknowledgment: 2,
            flags: 2,
            data: b"odd",
        };
        let tcp = segment.tcp();
        let pseudo = [127, 0, 0, 1, 127, 0, 0, 2, 0, 6, 0, tcp.len() as u8];
        assert_eq!(checksum(&[&pseudo, &tcp]), 0);
    }
}
