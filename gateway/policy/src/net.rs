//! Address ranges in configuration, and the address of the client.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use wire::Fields;

/// An address range, as `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// Its first address; never an IPv4-mapped one.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits of the address count: at most 32 or 128.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the range holds the address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && (bits(address) ^ bits(self.address)) & !host_mask(self.address, self.prefix) == 0
    }
}

impl fmt::Display for IpNet {
    /// As it is written in the configuration: a single address without its prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix == width(self.address) {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl FromStr for IpNet {
    type Err = InvalidNet;

    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNet::Syntax)?;
        let longest = width(address);
        let prefix = match prefix {
            Some(text) => prefix_length(text).ok_or(InvalidNet::Syntax)?,
            None => longest,
        };
        if prefix > longest {
            return Err(InvalidNet::Syntax);
        }
        if bits(address) & host_mask(address, prefix) != 0 {
            return Err(InvalidNet::HostBits);
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`: addresses are compared in that form.
        Ok(match (address.to_canonical(), prefix.checked_sub(96)) {
            (IpAddr::V4(v4), Some(prefix)) if address.is_ipv6() => Self {
                address: v4.into(),
                prefix,
            },
            _ => Self { address, prefix },
        })
    }
}

/// The text is no address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNet {
    /// Bits beyond the prefix are set: probably a slip.
    #[error("the address has bits beyond its prefix length")]
    HostBits,
    /// Not an address, or a prefix length out of range.
    #[error("expected an address or address/prefix-length")]
    Syntax,
}

/// Whether an address is in any of the ranges.
pub(crate) fn any_contains(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(address))
}

/// The address of the client behind trusted proxies: the right-most entry of `X-Forwarded-For`
/// that is not a trusted proxy itself. Everything to its left is the client's own claim.
///
/// Call it only if `peer` is trusted. It stays the answer if an entry cannot be read or all are
/// proxies: a doubtful claim must not choose an address (promise P5).
pub(crate) fn forwarded_client(fields: &Fields, trusted: &[IpNet], peer: IpAddr) -> IpAddr {
    let mut client = None;
    for line in fields.iter() {
        if !line.name.eq_ignore_ascii_case(b"x-forwarded-for") {
            continue;
        }
        let mut untrusted_in_line = None;
        for entry in line.value.split(|byte| *byte == b',').rev() {
            let entry = std::str::from_utf8(entry.trim_ascii());
            match entry.ok().and_then(|entry| entry.parse::<IpAddr>().ok()) {
                Some(address) if any_contains(trusted, address) => {}
                Some(address) => {
                    untrusted_in_line = Some(Some(address.to_canonical()));
                    break;
                }
                None => {
                    untrusted_in_line = Some(None);
                    break;
                }
            }
        }
        // A later line is further right, so its finding counts.
        client = untrusted_in_line.or(client);
    }
    client.flatten().unwrap_or(peer)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The bits of an address, in number.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => Ipv6Addr::BITS as u8,
    }
}

/// The bits beyond the prefix.
fn host_mask(address: IpAddr, prefix: u8) -> u128 {
    let beyond = u32::from(width(address).saturating_sub(prefix));
    1_u128
        .checked_shl(beyond)
        .map_or(u128::MAX, |bit| bit.wrapping_sub(1))
}

/// A decimal number without sign or leading zeros, which `u8::from_str` would let through.
fn prefix_length(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (plain && !padded).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[test]
    fn ranges_hold_what_they_name() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.7", "::ffff:10.0.0.7", "::a00:7"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
        ] {
            let net: IpNet = net.parse().unwrap();
            assert!(net.contains(inside.parse().unwrap()), "{net:?} {inside}");
            assert!(!net.contains(outside.parse().unwrap()), "{net:?} {outside}");
            assert_eq!(net.to_string().parse(), Ok(net));
        }
    }

    #[test]
    fn slips_are_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
        ] {
            assert_eq!(text.parse::<IpNet>(), Err(InvalidNet::Syntax), "{text}");
        }
        for text in [
            "10.0.0.0/08",
            "10.0.0.0/ 8",
            " 10.0.0.0",
            "10.0.0.0/8/8",
            "[::1]",
            "a",
        ] {
            assert_eq!(text.parse::<IpNet>(), Err(InvalidNet::Syntax), "{text}");
        }
        for text in ["10.0.0.1/8", "2001:db8::1/64", "::1/0"] {
            assert_eq!(text.parse::<IpNet>(), Err(InvalidNet::HostBits), "{text}");
        }
    }

    #[test]
    fn the_client_is_the_last_hop_that_nobody_vouches_for() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9, 10.2.2.2,fd00::1"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            (&["203.0.113.9", "10.2.2.2"], "203.0.113.9"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["2001:db8::9"], "2001:db8::9"),
            // Doubtful entries, where they decide:
            (&["203.0.113.9, unknown"], "10.0.0.1"),
            (&["203.0.113.9, 1.2.3.4:80"], "10.0.0.1"),
            (&["203.0.113.9,"], "10.0.0.1"),
            (&["203.0.113.9", "garbage"], "10.0.0.1"),
            (&["10.9.9.9"], "10.0.0.1"),
            // ... and where they do not.
            (&["garbage, 203.0.113.9"], "203.0.113.9"),
            (&["garbage", "203.0.113.9"], "203.0.113.9"),
        ] {
            let mut text =
                String::from("GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 9.9.9.9\r\n");
            for line in lines {
                text += &format!("x-forwarded-FOR: {line}\r\n");
            }
            let request = parse(&(text + "\r\n"));
            let peer = "10.0.0.1".parse().unwrap();
            let client = forwarded_client(request.head.fields(), &trusted, peer);
            assert_eq!(client.to_string(), expected, "{lines:?}");
        }
    }
}
