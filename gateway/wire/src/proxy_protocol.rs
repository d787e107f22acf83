//! PROXY protocol, versions 1 and 2: the header by which a proxy that relays a TCP connection says
//! from where it came (HAProxy's `proxy-protocol.txt`, sections 2.1 and 2.2).
//!
//! Only the source's address is taken over. The destination, and what version 2 appends (TLVs),
//! are checked for their length alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memmem;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its length in bytes, at most [`ProxyHeader::MAX`]. What follows is the connection's own.
    pub length: usize,
    /// From where the relayed connection came. `None`: the proxy's own connection (`LOCAL`), or one
    /// of which it does not know (`UNKNOWN`, `UNSPEC`), or a Unix socket: the address of the
    /// connection itself counts.
    pub source: Option<SocketAddr>,
}

/// The bytes begin no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// An address or port is malformed, or its block too short.
    #[error("malformed address")]
    Address,
    /// Neither version's signature.
    #[error("no PROXY protocol header")]
    Absent,
    /// An unknown command, address family or transport, or one that is no stream.
    #[error("unknown or unsuitable command, family or transport")]
    Kind,
    /// Longer than [`ProxyHeader::MAX`], for version 1 than 107 bytes.
    #[error("header too long")]
    Length,
}

impl ProxyHeader {
    /// The longest header that is accepted, in bytes: what fits into one segment on any path
    /// (section 2.2).
    pub const MAX: usize = 536;

    /// As many bytes as tell whether there is a header.
    pub const SIGNATURE: usize = V2_SIGNATURE.len();

    /// Reads the header at the start of `bytes`; `None` if it is not complete. An error never turns
    /// into anything else with more bytes, nor does a complete header.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ProxyError> {
        if begins(bytes, V2_SIGNATURE) {
            parse_v2(bytes)
        } else if begins(bytes, V1_SIGNATURE) {
            parse_v1(bytes)
        } else {
            Err(ProxyError::Absent)
        }
    }

    /// Whether a connection that begins with `bytes` begins with a header of either version. A part
    /// of the signature does not count: it could be anything.
    pub fn is_at_start(bytes: &[u8]) -> bool {
        bytes.starts_with(V1_SIGNATURE) || bytes.starts_with(V2_SIGNATURE)
    }
}

/// Whether `bytes` begins with the signature, or is its beginning.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes
        .iter()
        .zip(signature)
        .all(|(byte, expected)| byte == expected)
}

/// Section 2.1: one line of text.
fn parse_v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let window = bytes.get(..V1_MAX).unwrap_or(bytes);
    let Some(end) = memmem::find(window, b"\r\n") else {
        return match bytes.len() < V1_MAX {
            true => Ok(None),
            false => Err(ProxyError::Length),
        };
    };
    let line = window.get(V1_SIGNATURE.len()..end).unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let source = match words.next().unwrap_or_default() {
        b"TCP4" => Some(v1_source::<Ipv4Addr>(words)?),
        b"TCP6" => Some(v1_source::<Ipv6Addr>(words)?),
        // "the receiver must ignore anything presented before the CRLF"
        b"UNKNOWN" => None,
        _ => return Err(ProxyError::Kind),
    };
    Ok(Some(ProxyHeader {
        length: end + 2,
        source,
    }))
}

/// Source and destination address, source and destination port, nothing else.
fn v1_source<'a, A: std::str::FromStr + Into<IpAddr>>(
    words: impl Iterator<Item = &'a [u8]>,
) -> Result<SocketAddr, ProxyError> {
    let mut texts = words.map(|word| std::str::from_utf8(word).ok());
    let mut next = || texts.next().flatten().ok_or(ProxyError::Address);
    let address = |text: &str| text.parse::<A>().map_err(|_| ProxyError::Address);
    let source = address(next()?)?;
    let _destination = address(next()?)?;
    let port = v1_port(next()?)?;
    v1_port(next()?)?;
    match texts.next() {
        None => Ok(SocketAddr::new(source.into(), port)),
        Some(_) => Err(ProxyError::Address),
    }
}

/// Decimal, without sign or leading zeros.
fn v1_port(text: &str) -> Result<u16, ProxyError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    match text.parse() {
        Ok(port) if digits && !leading_zero => Ok(port),
        _ => Err(ProxyError::Address),
    }
}

/// Section 2.2: signature, version and command, family and transport, length, addresses, TLVs.
fn parse_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let Some(&[version_command, family_transport, high, low]) =
        bytes.get(V2_SIGNATURE.len()..V2_FIXED)
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let shape = match (version_command, family_transport) {
        // Whatever the family: the proxy speaks for itself, as health checks do.
        (0x20, _) => Shape::Nothing,
        // UNSPEC, and AF_UNIX with SOCK_STREAM: valid, but names nothing that is of use here.
        (0x21, 0x00) => Shape::Nothing,
        (0x21, 0x31) => Shape::Unix,
        (0x21, 0x11) => Shape::V4,
        (0x21, 0x21) => Shape::V6,
        _ => return Err(ProxyError::Kind),
    };
    if length < shape.length() {
        return Err(ProxyError::Address);
    }
    if V2_FIXED + length > ProxyHeader::MAX {
        return Err(ProxyError::Length);
    }
    let Some(block) = bytes.get(V2_FIXED..V2_FIXED + length) else {
        return Ok(None);
    };
    Ok(Some(ProxyHeader {
        length: V2_FIXED + length,
        source: shape.source(block),
    }))
}

/// What version 2's address block holds.
#[derive(Clone, Copy)]
enum Shape {
    Nothing,
    Unix,
    V4,
    V6,
}

impl Shape {
    /// Bytes of both addresses and ports.
    fn length(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Unix => 216,
            Self::V4 => 12,
            Self::V6 => 36,
        }
    }

    fn source(self, block: &[u8]) -> Option<SocketAddr> {
        let (address, port): (IpAddr, _) = match self {
            Self::Nothing | Self::Unix => return None,
            Self::V4 => (block.first_chunk::<4>().copied()?.into(), 8),
            Self::V6 => (block.first_chunk::<16>().copied()?.into(), 32),
        };
        let port = block.get(port..)?.first_chunk()?;
        Some(SocketAddr::new(address, u16::from_be_bytes(*port)))
    }
}

const V1_SIGNATURE: &[u8] = b"PROXY ";

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its CRLF included (section 2.1).
const V1_MAX: usize = 107;

/// Version 2 up to and with its length.
const V2_FIXED: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([version_command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    fn source(bytes: &[u8]) -> Option<SocketAddr> {
        let header = ProxyHeader::parse(bytes).unwrap().unwrap();
        assert_eq!(header.length, bytes.len());
        header.source
    }

    fn from(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn version_1_names_the_source() {
        for (line, expected) in [
            (
                "TCP4 192.0.2.1 198.51.100.1 65535 443",
                from("192.0.2.1:65535"),
            ),
            ("TCP4 0.0.0.0 0.0.0.0 0 0", from("0.0.0.0:0")),
            ("TCP6 2001:db8::1 ::1 1 2", from("[2001:db8::1]:1")),
            (
                "TCP6 ::ffff:192.0.2.1 ::1 1 2",
                from("[::ffff:192.0.2.1]:1"),
            ),
            ("UNKNOWN", None),
            ("UNKNOWN ffff::1 ffff::2 1 2", None),
            ("UNKNOWN whatever it is", None),
        ] {
            assert_eq!(source(format!("PROXY {line}\r\n").as_bytes()), expected);
        }
        // The longest that the specification foresees.
        let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let unknown = format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n");
        assert_eq!(unknown.len(), V1_MAX);
        assert_eq!(source(unknown.as_bytes()), None);
    }

    #[test]
    fn version_1_is_strict() {
        use ProxyError::{Absent, Address, Kind, Length};
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!(long.len(), V1_MAX + 1);
        for (bytes, expected) in [
            ("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Kind),
            ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Address),
            ("PROXY TCP4\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n", Address),
            ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 x 1 2\r\n", Address),
            ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", Address),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Address),
            ("PROXY TCP6 fe80::1%1 ::1 1 2\r\n", Address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n", Address),
            ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Kind),
            ("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", Kind),
            ("PROXY UNKNOWN\tx\r\n", Kind),
            ("PROXY \r\n", Kind),
            ("proxy UNKNOWN\r\n", Absent),
            ("PROXY\tUNKNOWN\r\n", Absent),
            ("POST / HTTP/1.1\r\n", Absent),
            ("\u{16}\u{3}\u{1}", Absent),
            (&long, Length),
        ] {
            assert_eq!(
                ProxyHeader::parse(bytes.as_bytes()),
                Err(expected),
                "{bytes}"
            );
        }
    }

    #[test]
    fn version_2_names_the_source() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xff, 0xff, 1, 187];
        assert_eq!(source(&v2(0x21, 0x11, &v4)), from("192.0.2.1:65535"));
        let with_tlv = [&v4[..], &[0x04, 0, 1, 0]].concat();
        assert_eq!(source(&v2(0x21, 0x11, &with_tlv)), from("192.0.2.1:65535"));
        let mut v6 = [0; 36];
        (v6[0], v6[15], v6[33]) = (0x20, 1, 7);
        assert_eq!(source(&v2(0x21, 0x21, &v6)), from("[2000::1]:7"));
        for (command, family, length) in [
            (0x20, 0x00, 0),
            (0x20, 0x11, 12),
            // "the receiver must … discard the protocol block including the family"
            (0x20, 0xff, 3),
            (0x21, 0x00, 0),
            (0x21, 0x00, 99),
            (0x21, 0x31, 216),
            (0x21, 0x31, 520),
        ] {
            assert_eq!(source(&v2(command, family, &vec![1; length])), None);
        }
    }

    #[test]
    fn version_2_is_strict() {
        use ProxyError::{Absent, Address, Kind, Length};
        for (bytes, expected) in [
            (v2(0x11, 0x11, &[0; 12]), Kind),
            (v2(0x22, 0x11, &[0; 12]), Kind),
            (v2(0x31, 0x11, &[0; 12]), Kind),
            (v2(0x21, 0x12, &[0; 12]), Kind),
            (v2(0x21, 0x22, &[0; 36]), Kind),
            (v2(0x21, 0x10, &[0; 12]), Kind),
            (v2(0x21, 0x01, &[0; 12]), Kind),
            (v2(0x21, 0x41, &[0; 36]), Kind),
            (v2(0x21, 0x11, &[0; 11]), Address),
            (v2(0x21, 0x21, &[0; 35]), Address),
            (v2(0x21, 0x31, &[0; 215]), Address),
            (v2(0x21, 0x11, &[0; 521]), Length),
            (v2(0x20, 0x00, &[0; 521]), Length),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Absent),
        ] {
            assert_eq!(ProxyHeader::parse(&bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn a_signature_is_told_from_anything_else() {
        assert!(ProxyHeader::is_at_start(b"PROXY "));
        assert!(ProxyHeader::is_at_start(&v2(0x20, 0, b"")));
        for other in [
            &b""[..],
            b"P",
            b"PROXY",
            b"POST /",
            b"\r\n",
            b"\x16\x03\x01\x02",
        ] {
            assert!(!ProxyHeader::is_at_start(other), "{other:?}");
        }
    }

    fn headers() -> impl Strategy<Value = (Vec<u8>, Option<SocketAddr>)> {
        let v4 = any::<[(Ipv4Addr, u16); 2]>().prop_map(|[(a, p), (b, q)]| {
            let line = format!("PROXY TCP4 {a} {b} {p} {q}\r\n");
            (line.into_bytes(), Some(SocketAddr::new(a.into(), p)))
        });
        let v6 = any::<[(Ipv6Addr, u16); 2]>().prop_map(|[(a, p), (b, q)]| {
            let line = format!("PROXY TCP6 {a} {b} {p} {q}\r\n");
            (line.into_bytes(), Some(SocketAddr::new(a.into(), p)))
        });
        let tlvs = || prop::collection::vec(any::<u8>(), 0..480);
        let v2_4 = (any::<[(Ipv4Addr, u16); 2]>(), tlvs()).prop_map(|([(a, p), (b, q)], tlvs)| {
            let mut block = [a.octets(), b.octets()].concat();
            block.extend(p.to_be_bytes());
            block.extend(q.to_be_bytes());
            block.extend(tlvs);
            (v2(0x21, 0x11, &block), Some(SocketAddr::new(a.into(), p)))
        });
        let v2_6 = (any::<[(Ipv6Addr, u16); 2]>(), tlvs()).prop_map(|([(a, p), (b, q)], tlvs)| {
            let mut block = [a.octets(), b.octets()].concat();
            block.extend(p.to_be_bytes());
            block.extend(q.to_be_bytes());
            block.extend(tlvs);
            (v2(0x21, 0x21, &block), Some(SocketAddr::new(a.into(), p)))
        });
        prop_oneof![v4, v6, v2_4, v2_6]
    }

    proptest! {
        /// Whatever is sent is read as it was meant, and what follows is left alone.
        #[test]
        fn what_a_proxy_says_is_understood(
            (header, expected) in headers(),
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = [&header[..], &rest].concat();
            let parsed = ProxyHeader::parse(&bytes).unwrap().unwrap();
            prop_assert_eq!(parsed, ProxyHeader { length: header.len(), source: expected });
            for end in 0..header.len() {
                prop_assert_eq!(ProxyHeader::parse(&header[..end]), Ok(None));
            }
        }

        /// More bytes change no verdict, and every verdict falls within the longest header.
        #[test]
        fn a_verdict_is_final(
            (mut bytes, _) in headers(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            more in prop::collection::vec(any::<u8>(), 600),
        ) {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(more);
            let last = ProxyHeader::parse(&bytes);
            prop_assert_ne!(last, Ok(None));
            let mut verdict = Ok(None);
            for end in 0..=bytes.len() {
                let now = ProxyHeader::parse(&bytes[..end]);
                if verdict != Ok(None) {
                    prop_assert_eq!(now, verdict);
                } else if now != Ok(None) {
                    prop_assert!(end <= ProxyHeader::MAX);
                }
                verdict = now;
            }
            prop_assert_eq!(verdict, last);
        }
    }
}
