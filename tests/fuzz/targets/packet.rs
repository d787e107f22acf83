//! The kernel programs' parser reads a packet as a plain reading does, and what it cannot read it
//! never takes for something harmless. The first look never contradicts it.

#![no_main]

use gateway_ebpf::packet::{Kind, Packet, Segment, mapped, parse};
use gateway_ebpf::quick::{Look, Words, look};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let kind = parse(&Bytes(packet));
    assert_eq!(kind, plainly(packet));

    match (look(&Bytes(packet)), kind) {
        (Look::Longer, _) | (Look::Other, Kind::Other | Kind::Unreadable(None)) => (),
        (Look::Tcp(port), Kind::Tcp(segment)) => assert_eq!(port, segment.destination_port),
        // The port is there, the rest is not. What a kernel makes of it keeps the port.
        (Look::Tcp(_), Kind::Unreadable(Some(_))) => (),
        (look, kind) => panic!("{look:?}, but {kind:?}"),
    }

    // More bytes at the end are data, or make a packet readable; fewer take that back.
    let longer = [packet, &[0; 64]].concat();
    check_cut(parse(&Bytes(&longer)), kind);
    for length in [packet.len() / 2, packet.len().saturating_sub(1)] {
        check_cut(kind, parse(&Bytes(&packet[..length])));
    }

    // Another header before the last one only moves TCP's, as long as there is room for it.
    if let Some(moved) = with_one_more(packet) {
        match (kind, parse(&Bytes(&moved))) {
            (Kind::Unreadable(_), Kind::Unreadable(_)) => (),
            (_, Kind::Unreadable(_)) => assert_eq!(headers(packet), Some(8)),
            (Kind::Tcp(before), after) => {
                let offset = before.offset + 8;
                assert_eq!(after, Kind::Tcp(Segment { offset, ..before }));
            }
            (before, after) => assert_eq!(before, after),
        }
    }
});

/// What a packet is that was cut off what `whole` is.
fn check_cut(whole: Kind, cut: Kind) {
    match (whole, cut) {
        (_, Kind::Unreadable(None)) => (),
        (Kind::Tcp(segment), Kind::Unreadable(Some(address))) => {
            assert_eq!(address, segment.destination);
        }
        (Kind::Unreadable(Some(whole)), Kind::Unreadable(Some(cut))) => assert_eq!(whole, cut),
        (Kind::Tcp(whole), Kind::Tcp(cut)) => {
            assert!(whole.data || !cut.data);
            assert_eq!(
                Segment {
                    data: whole.data,
                    ..cut
                },
                whole
            );
        }
        (Kind::Other, Kind::Other | Kind::Unreadable(Some(_))) => (),
        (whole, cut) => panic!("{whole:?} was cut to {cut:?}"),
    }
}

/// The packet with an empty options header right behind that of IPv6.
fn with_one_more(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = packet.split_at_checked(40)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let options = [header[6], 0, 1, 4, 0, 0, 0, 0];
    let mut moved = [header, &options, rest].concat();
    moved[6] = 60;
    Some(moved)
}

fn plainly(packet: &[u8]) -> Kind {
    match packet.first().map(|first| first >> 4) {
        Some(4) => plainly_v4(packet),
        Some(6) => plainly_v6(packet),
        _ => Kind::Unreadable(None),
    }
}

fn plainly_v4(packet: &[u8]) -> Kind {
    let Some(header) = packet.get(..20) else {
        return Kind::Unreadable(None);
    };
    let [source, destination] = [12, 16].map(|at| mapped(four(&header[at..])));
    let is_later_fragment = (header[6] & 0x1f, header[7]) != (0, 0);
    let start = usize::from(header[0] % 16) * 4;
    match header[9] {
        6 if start >= 20 && !is_later_fragment => tcp(packet, start, source, destination, true),
        // TCP, AH and ESP.
        6 | 50 | 51 => Kind::Unreadable(Some(destination)),
        _ => Kind::Other,
    }
}

fn plainly_v6(packet: &[u8]) -> Kind {
    let Some((header, rest)) = packet.split_at_checked(40) else {
        return Kind::Unreadable(None);
    };
    let [source, destination] =
        [8, 24].map(|at| [0, 4, 8, 12].map(|word| four(&header[at + word..])));
    let [source, destination] = [source, destination].map(|words| words.concat());
    let address = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).expect("sixteen bytes");
    let (source, destination) = (address(source), address(destination));
    match walk(header[6], rest) {
        Some((6, behind, _)) => tcp(
            packet,
            packet.len() - behind.len(),
            source,
            destination,
            false,
        ),
        Some(_) => Kind::Other,
        None => Kind::Unreadable(Some(destination)),
    }
}

/// How many extension headers are before the last one, if all can be read.
fn headers(packet: &[u8]) -> Option<usize> {
    let (header, rest) = packet.split_at_checked(40)?;
    walk(header[6], rest).map(|(_, _, count)| count)
}

/// What comes behind all extension headers: its number, its bytes, and how many they are.
fn walk(first: u8, rest: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (mut next, mut rest) = (first, rest);
    for count in 0..=8 {
        if [6, 17, 58, 59, 132, 136].contains(&next) {
            return Some((next, rest, count));
        }
        let (fields, length) = (rest.get(..4)?, usize::from(*rest.get(1)?));
        let length = match next {
            0 | 43 | 60 | 135 | 139 | 140 => length * 8 + 8,
            44 if (fields[2], fields[3] & !7) == (0, 0) => 8,
            51 => length * 4 + 8,
            _ => return None,
        };
        next = fields[0];
        rest = rest.get(length..).unwrap_or_default();
    }
    None
}

fn tcp(packet: &[u8], at: usize, source: [u8; 16], destination: [u8; 16], v4: bool) -> Kind {
    let segment = packet.get(at..).unwrap_or_default();
    let Some(header) = segment.get(..14).filter(|header| header[12] >= 0x50) else {
        return Kind::Unreadable(Some(destination));
    };
    Kind::Tcp(Segment {
        source,
        destination,
        source_port: u16::from(header[0]) << 8 | u16::from(header[1]),
        destination_port: u16::from(header[2]) << 8 | u16::from(header[3]),
        flags: header[13],
        v4,
        data: segment.len() > usize::from(header[12] >> 4) * 4,
        offset: u32::try_from(at).expect("a fuzzer's packet is small"),
    })
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

struct Bytes<'a>(&'a [u8]);

impl Packet for Bytes<'_> {
    fn get<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let bytes = self.0.get(offset as usize..)?;
        bytes.get(..N)?.try_into().ok()
    }

    fn length(&self) -> u32 {
        u32::try_from(self.0.len()).expect("a fuzzer's packet is small")
    }
}

impl Words for Bytes<'_> {
    fn word(&self, offset: usize) -> Option<u32> {
        let bytes = self.0.get(offset..)?.get(..4)?;
        Some(u32::from_ne_bytes(four(bytes)))
    }
}
