//! Which addresses count as one client.

use std::net::IpAddr;

/// The addresses that count as one client: an IPv4 address, or an IPv6 /64, of which a single
/// host can have every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressBlock([u8; 9]);

impl AddressBlock {
    /// The block as bytes, for fingerprints.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<IpAddr> for AddressBlock {
    /// An IPv4-mapped IPv6 address counts as IPv4.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self([4, a, b, c, d, 0, 0, 0, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self([6, a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_block_is_an_ipv4_address_or_an_ipv6_64() {
        let block = |text: &str| AddressBlock::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(block("192.0.2.1"), block("::ffff:192.0.2.1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("2001:db8:0:1::1"), block("2001:db8:0:1:ffff::2"));
        assert_ne!(block("2001:db8:0:1::1"), block("2001:db8:0:2::1"));
        assert_ne!(block("4.0.0.0"), block("400::"));
    }
}
