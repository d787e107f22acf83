extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;

struct Bytes(Vec<u8>);

impl Packet for Bytes {
    fn get<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.0.get(offset as usize..)?.first_chunk().copied()
    }

    fn length(&self) -> u32 {
        self.0.len() as u32
    }
}

/// Reads a packet. A segment's offset is checked here, and left out of what the tests compare.
fn read(packet: &[u8]) -> Kind {
    match parse(&Bytes(packet.to_vec())) {
        Kind::Tcp(segment) => {
            let tcp = &packet[segment.offset as usize..];
            assert_eq!(tcp[..2], segment.source_port.to_be_bytes());
            assert_eq!(tcp[2..4], segment.destination_port.to_be_bytes());
            Kind::Tcp(Segment {
                offset: 0,
                ..segment
            })
        }
        other => other,
    }
}

/// An IPv4 packet: flags and fragment offset as in the header, options in whole words.
fn v4(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = 5 + options.len() / 4;
    let total = words * 4 + payload.len();
    let mut packet = vec![0x40 | words as u8, 0];
    packet.extend((total as u16).to_be_bytes());
    packet.extend([0x12, 0x34]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(V4_SOURCE);
    packet.extend(V4_DESTINATION);
    packet.extend([options, payload].concat());
    packet
}

/// An IPv6 packet with a chain of headers, each with its number, and what comes at their end.
fn v6(chain: &[(u8, Vec<u8>)], last: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0];
    packet.push(chain.first().map_or(last, |(number, _)| *number));
    packet.push(64);
    packet.extend(V6_SOURCE);
    packet.extend(V6_DESTINATION);
    for (i, (_, header)) in chain.iter().enumerate() {
        let next = chain.get(i + 1).map_or(last, |(number, _)| *number);
        packet.push(next);
        packet.extend(&header[1..]);
    }
    packet.extend(payload);
    let length = packet.len() - 40;
    packet[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    packet
}

/// An extension header of `8 * (1 + units)` bytes, whose content looks like a TCP header of other
/// ports.
fn extension(number: u8, units: u8) -> (u8, Vec<u8>) {
    let mut header = vec![0x50; 8 * (1 + usize::from(units))];
    header[1] = units;
    (number, header)
}

fn fragment(offset_and_more: u16) -> (u8, Vec<u8>) {
    let mut header = vec![0; 8];
    header[2..4].copy_from_slice(&offset_and_more.to_be_bytes());
    (FRAGMENT, header)
}

/// An AH whose length field, in words less two, is `units`.
fn authentication(units: u8) -> (u8, Vec<u8>) {
    let mut header = vec![0x50; 4 * (2 + usize::from(units))];
    header[1] = units;
    (AUTHENTICATION, header)
}

/// A TCP segment with a header of `words` words.
fn tcp(words: u8, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(SOURCE_PORT.to_be_bytes());
    segment.extend(DESTINATION_PORT.to_be_bytes());
    segment.extend([0; 8]);
    segment.extend([words << 4, flags, 1, 1, 0, 0, 0, 0]);
    segment.resize(usize::from(words.max(5)) * 4, 1);
    segment.extend(data);
    segment
}

fn syn() -> Vec<u8> {
    tcp(5, Segment::SYN, &[])
}

fn v4_segment(flags: u8, data: bool) -> Kind {
    Kind::Tcp(Segment {
        source: mapped(V4_SOURCE),
        destination: mapped(V4_DESTINATION),
        source_port: SOURCE_PORT,
        destination_port: DESTINATION_PORT,
        flags,
        v4: true,
        data,
        offset: 0,
    })
}

fn v6_segment(flags: u8, data: bool) -> Kind {
    Kind::Tcp(Segment {
        source: V6_SOURCE,
        destination: V6_DESTINATION,
        source_port: SOURCE_PORT,
        destination_port: DESTINATION_PORT,
        flags,
        v4: false,
        data,
        offset: 0,
    })
}

/// Cut anywhere, a packet is what it was or unreadable, and its destination is told as soon as the
/// IP header is whole.
fn check_cuts(packet: &[u8], ip_header: usize, destination: [u8; 16]) {
    let Kind::Tcp(whole) = read(packet) else {
        panic!("not TCP");
    };
    let readable = (0..packet.len())
        .filter(|length| match read(&packet[..*length]) {
            Kind::Unreadable(None) => {
                assert!(*length < ip_header, "{length}");
                false
            }
            Kind::Unreadable(Some(address)) => {
                assert!(*length >= ip_header, "{length}");
                assert_eq!(address, destination);
                false
            }
            Kind::Tcp(cut) => {
                assert_eq!(
                    Segment {
                        data: whole.data,
                        ..cut
                    },
                    whole
                );
                true
            }
            Kind::Other => panic!("{length} bytes are taken for something else"),
        })
        .count();
    assert!(readable > 0, "the ports are known before the end");
}

#[test]
fn nothing_and_other_versions_are_unreadable() {
    assert_eq!(read(&[]), Kind::Unreadable(None));
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        let mut packet = v4(TCP, 0, &[], &syn());
        packet[0] = version << 4 | 5;
        assert_eq!(read(&packet), Kind::Unreadable(None), "version {version}");
    }
}

#[test]
fn a_segment_over_ipv4_is_read() {
    assert_eq!(
        read(&v4(TCP, 0, &[], &syn())),
        v4_segment(Segment::SYN, false)
    );
    let packet = v4(TCP, 0, &[], &tcp(8, 0xff, b"data"));
    assert_eq!(read(&packet), v4_segment(0xff, true));
}

#[test]
fn options_of_ipv4_move_the_segment() {
    for words in 0..=10 {
        let packet = v4(TCP, 0, &vec![0x50; words * 4], &syn());
        assert_eq!(read(&packet), v4_segment(Segment::SYN, false), "{words}");
    }
}

#[test]
fn an_ipv4_header_that_is_too_short_is_unreadable() {
    for words in 0..5 {
        let mut packet = v4(TCP, 0, &[], &syn());
        packet[0] = 0x40 | words;
        let unreadable = Kind::Unreadable(Some(mapped(V4_DESTINATION)));
        assert_eq!(read(&packet), unreadable, "{words}");
    }
}

#[test]
fn every_protocol_of_ipv4_is_decided() {
    let unreadable = Kind::Unreadable(Some(mapped(V4_DESTINATION)));
    for protocol in 0..=u8::MAX {
        let expected = match protocol {
            TCP => v4_segment(Segment::SYN, false),
            AUTHENTICATION | ENCRYPTED => unreadable,
            _ => Kind::Other,
        };
        assert_eq!(read(&v4(protocol, 0, &[], &syn())), expected, "{protocol}");
    }
}

#[test]
fn only_the_first_fragment_over_ipv4_has_ports() {
    let unreadable = Kind::Unreadable(Some(mapped(V4_DESTINATION)));
    // The flags: reserved, don't fragment, more fragments.
    for flags in [0, 0x8000, 0x4000, 0x2000, 0xe000] {
        let first = v4(TCP, flags, &[], &syn());
        assert_eq!(read(&first), v4_segment(Segment::SYN, false), "{flags:x}");
        for offset in [1, 2, 0x1000, 0x1fff] {
            let later = v4(TCP, flags | offset, &[], &syn());
            assert_eq!(read(&later), unreadable, "{flags:x} {offset:x}");
            let datagram = v4(UDP, flags | offset, &[], &syn());
            assert_eq!(read(&datagram), Kind::Other);
        }
    }
    // One so small that it ends before the flags.
    assert_eq!(read(&v4(TCP, 0x2000, &[], &syn()[..8])), unreadable);
}

#[test]
fn a_short_ipv4_packet_is_never_something_else() {
    let destination = mapped(V4_DESTINATION);
    check_cuts(&v4(TCP, 0, &[], &tcp(5, 0, b"data")), 20, destination);
    check_cuts(&v4(TCP, 0, &[1; 40], &tcp(15, 0, b"data")), 20, destination);
}

#[test]
fn a_tcp_header_that_is_too_short_is_unreadable() {
    for words in 0..5 {
        let segment = tcp(words, 0, &[]);
        let v4 = read(&v4(TCP, 0, &[], &segment));
        assert_eq!(v4, Kind::Unreadable(Some(mapped(V4_DESTINATION))));
        let v6 = read(&v6(&[], TCP, &segment));
        assert_eq!(v6, Kind::Unreadable(Some(V6_DESTINATION)));
    }
}

#[test]
fn a_segment_is_read_once_its_flags_are_there() {
    let segment = syn();
    for (length, expected) in [
        (13, Kind::Unreadable(Some(V6_DESTINATION))),
        (14, v6_segment(Segment::SYN, false)),
    ] {
        assert_eq!(read(&v6(&[], TCP, &segment[..length])), expected);
    }
}

#[test]
fn data_is_what_follows_the_tcp_header() {
    for words in 5..=15 {
        for data in 0..3 {
            let segment = tcp(words, 0, &vec![0; data]);
            let expected = data > 0;
            assert_eq!(read(&v4(TCP, 0, &[], &segment)), v4_segment(0, expected));
            assert_eq!(read(&v6(&[], TCP, &segment)), v6_segment(0, expected));
        }
        // The header claims to be longer than the packet.
        let cut = &tcp(words, 0, &[])[..20];
        assert_eq!(read(&v4(TCP, 0, &[], cut)), v4_segment(0, false));
    }
}

#[test]
fn a_segment_over_ipv6_is_read() {
    assert_eq!(read(&v6(&[], TCP, &syn())), v6_segment(Segment::SYN, false));
    let packet = v6(&[], TCP, &tcp(8, 0xff, b"data"));
    assert_eq!(read(&packet), v6_segment(0xff, true));
}

#[test]
fn each_extension_header_is_walked_at_each_length() {
    for number in GENERIC {
        for units in 0..=u8::MAX {
            let packet = v6(&[extension(number, units)], TCP, &syn());
            let expected = v6_segment(Segment::SYN, false);
            assert_eq!(read(&packet), expected, "{number} {units}");
        }
    }
}

#[test]
fn the_length_of_an_authentication_header_is_in_words_less_two() {
    for units in 0..=u8::MAX {
        let packet = v6(&[authentication(units)], TCP, &syn());
        let expected = v6_segment(Segment::SYN, false);
        assert_eq!(read(&packet), expected, "{units}");
    }
}

#[test]
fn only_the_first_fragment_over_ipv6_has_ports() {
    let unreadable = Kind::Unreadable(Some(V6_DESTINATION));
    // More fragments, and the two reserved bits.
    for bits in 0..8 {
        let first = v6(&[fragment(bits)], TCP, &syn());
        assert_eq!(read(&first), v6_segment(Segment::SYN, false), "{bits}");
        for offset in [8, 16, 0x8000, 0xfff8] {
            let later = v6(&[fragment(bits | offset)], TCP, &syn());
            assert_eq!(read(&later), unreadable, "{bits} {offset:x}");
        }
    }
    // Of a later fragment the next header says nothing: the first one's counts (RFC 8200,
    // section 4.5).
    assert_eq!(read(&v6(&[fragment(8)], UDP, &syn())), unreadable);
    // The second byte of a fragment header is reserved, and no length.
    let mut reserved = fragment(1);
    reserved.1[1] = 9;
    let packet = v6(&[reserved], TCP, &syn());
    assert_eq!(read(&packet), v6_segment(Segment::SYN, false));
    // One whose segment is cut before the flags.
    assert_eq!(read(&v6(&[fragment(1)], TCP, &syn()[..8])), unreadable);
}

#[test]
fn eight_headers_are_walked_and_a_ninth_is_not() {
    let unreadable = Kind::Unreadable(Some(V6_DESTINATION));
    for count in 0..=10 {
        let chain = vec![extension(DESTINATION, 0); count];
        let (tcp, udp) = if count <= 8 {
            (v6_segment(Segment::SYN, false), Kind::Other)
        } else {
            (unreadable, unreadable)
        };
        assert_eq!(read(&v6(&chain, TCP, &syn())), tcp, "{count}");
        assert_eq!(read(&v6(&chain, UDP, &syn())), udp, "{count}");
    }
}

#[test]
fn headers_of_all_sorts_in_one_packet_are_walked() {
    let chain = [
        extension(HOP_BY_HOP, 2),
        extension(DESTINATION, 0),
        extension(ROUTING, 4),
        fragment(1),
        authentication(4),
        extension(MOBILITY, 0),
        extension(HIP, 3),
        extension(SHIM6, 1),
    ];
    let packet = v6(&chain, TCP, &tcp(5, 0, b"data"));
    assert_eq!(read(&packet), v6_segment(0, true));
    check_cuts(&packet, 40, V6_DESTINATION);
}

#[test]
fn a_short_ipv6_packet_is_never_something_else() {
    check_cuts(&v6(&[], TCP, &tcp(15, 0, b"data")), 40, V6_DESTINATION);
}

#[test]
fn every_next_header_is_decided() {
    let unreadable = Kind::Unreadable(Some(V6_DESTINATION));
    for number in (0..=u8::MAX).filter(|number| !KNOWN.contains(number)) {
        let expected = match number {
            TCP => v6_segment(Segment::SYN, false),
            // UDP, ICMP, no next header, SCTP, UDP-Lite.
            17 | 58 | 59 | 132 | 136 => Kind::Other,
            _ => unreadable,
        };
        assert_eq!(read(&v6(&[], number, &syn())), expected, "{number}");
        for known in GENERIC {
            let behind = v6(&[extension(known, 0)], number, &syn());
            assert_eq!(read(&behind), expected, "{number} behind {known}");
        }
    }
}

#[test]
fn a_header_that_ends_with_the_packet_is_unreadable() {
    for number in KNOWN {
        for length in 0..4 {
            let packet = v6(&[], number, &[NO_NEXT, 0, 0, 0][..length]);
            let unreadable = Kind::Unreadable(Some(V6_DESTINATION));
            assert_eq!(read(&packet), unreadable, "{number} {length}");
        }
        // What is behind it is told by its first bytes.
        let packet = v6(&[], number, &[NO_NEXT, 0, 0, 0]);
        assert_eq!(read(&packet), Kind::Other, "{number}");
    }
}

#[test]
fn a_jumbogram_is_read_like_others() {
    // RFC 2675: length 0 in the header, the true one in an option.
    let mut jumbo = extension(HOP_BY_HOP, 0);
    jumbo.1[2..8].copy_from_slice(&[0xc2, 4, 0, 1, 0, 0]);
    let mut packet = v6(&[jumbo], TCP, &tcp(5, 0, &vec![0; 0x10000 - 28]));
    packet[4..6].fill(0);
    assert_eq!(read(&packet), v6_segment(0, true));
}

const V4_SOURCE: [u8; 4] = [192, 0, 2, 1];
const V4_DESTINATION: [u8; 4] = [198, 51, 100, 2];
const V6_SOURCE: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6_DESTINATION: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SOURCE_PORT: u16 = 0xc350;
const DESTINATION_PORT: u16 = 3939;

/// Extension headers whose length is in units of eight bytes, less one.
const GENERIC: [u8; 6] = [HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY, HIP, SHIM6];
/// Extension headers that are walked.
const KNOWN: [u8; 8] = [
    HOP_BY_HOP,
    ROUTING,
    FRAGMENT,
    AUTHENTICATION,
    DESTINATION,
    MOBILITY,
    HIP,
    SHIM6,
];
