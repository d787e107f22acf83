//! Address ranges in configuration.

use std::net::IpAddr;
use std::str::FromStr;

/// An address range, as `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// Whether the range holds the address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let _ = (address, self.address, self.prefix);
        todo!()
    }
}

impl FromStr for IpNet {
    type Err = InvalidNet;

    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        let _ = text;
        todo!()
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
