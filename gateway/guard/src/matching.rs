//! Which endpoint an address belongs to, and how both are written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::rules::{Local, Network, Rules};
use crate::status::EndpointKind;

/// A protected endpoint of some rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protected<'a> {
    /// On this host.
    Local(&'a Local),
    /// Elsewhere.
    Remote(SocketAddr),
}

impl Rules {
    /// The endpoint to which an address and port belong, as far as they tell: a service may be
    /// reached by other addresses, too. The unspecified address is every address of this host.
    pub(crate) fn protected(&self, address: IpAddr, port: u16) -> Option<Protected<'_>> {
        let address = address.to_canonical();
        let remote = SocketAddr::new(address, port);
        let at_port = || self.locals.iter().filter(|local| local.port == port);
        if let Some(local) = at_port().find(|local| local.address == Some(address)) {
            return Some(Protected::Local(local));
        }
        if self.remotes.contains(&remote) {
            return Some(Protected::Remote(remote));
        }
        at_port()
            .find(|local| local.address.is_none() || address.is_unspecified())
            .map(Protected::Local)
    }
}

impl Protected<'_> {
    /// Which of the two.
    pub(crate) fn kind(&self) -> EndpointKind {
        match self {
            Self::Local(_) => EndpointKind::Local,
            Self::Remote(_) => EndpointKind::Remote,
        }
    }
}

impl Local {
    /// `*:PORT`, or address and port.
    pub(crate) fn written(&self) -> String {
        match self.address {
            None => format!("*:{}", self.port),
            Some(address) => SocketAddr::new(address, self.port).to_string(),
        }
    }

    /// The first network in `allow_from` that holds an address.
    pub(crate) fn listing(&self, address: IpAddr) -> Option<&Network> {
        self.allow_from
            .iter()
            .find(|network| network.contains(address))
    }
}

impl Network {
    /// Whether it holds the address. A v4-mapped address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = (network.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = (network.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// As in the configuration: a single address has no prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.prefix < whole {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Display for Protected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(local) => f.write_str(&local.written()),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_endpoint_counts() {
        let rules = Rules {
            slice: "/gateway".into(),
            locals: vec![
                local(None, 3939),
                local(Some("10.0.0.1"), 4000),
                local(Some("10.0.0.2"), 4000),
            ],
            remotes: vec![
                "192.0.2.1:3939".parse().unwrap(),
                "[2001:db8::1]:80".parse().unwrap(),
            ],
            exceptions: Vec::new(),
        };
        for (address, written) in [
            ("127.0.0.1:3939", Some("*:3939")),
            ("[::1]:3939", Some("*:3939")),
            ("192.0.2.1:3939", Some("192.0.2.1:3939")),
            ("192.0.2.2:3939", Some("*:3939")),
            ("10.0.0.1:4000", Some("10.0.0.1:4000")),
            ("[::ffff:10.0.0.2]:4000", Some("10.0.0.2:4000")),
            ("10.0.0.3:4000", None),
            ("0.0.0.0:4000", Some("10.0.0.1:4000")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("[2001:db8::1]:81", None),
        ] {
            let asked: SocketAddr = address.parse().unwrap();
            let found = rules.protected(asked.ip(), asked.port());
            let found = found.map(|endpoint| endpoint.to_string());
            assert_eq!(found.as_deref(), written, "{address}");
        }
    }

    #[test]
    fn networks_hold_what_their_prefix_says() {
        for (address, prefix, inside, outside) in [
            ("192.0.2.7", 32, "192.0.2.7", "192.0.2.6"),
            ("10.0.0.0", 8, "::ffff:10.255.0.1", "11.0.0.0"),
            ("2001:db8::", 64, "2001:db8::ffff", "2001:db8:0:1::"),
            ("2001:db8::1", 128, "2001:db8::1", "2001:db8::2"),
            ("10.0.0.0", 8, "10.0.0.0", "::a00:0"),
        ] {
            let network = Network {
                address: address.parse().unwrap(),
                prefix,
            };
            assert!(network.contains(inside.parse().unwrap()), "{network}");
            assert!(!network.contains(outside.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn networks_are_written_as_configured() {
        let network = |address: &str, prefix| Network {
            address: address.parse().unwrap(),
            prefix,
        };
        assert_eq!(network("192.0.2.7", 32).to_string(), "192.0.2.7");
        assert_eq!(network("10.0.0.0", 8).to_string(), "10.0.0.0/8");
        assert_eq!(network("2001:db8::", 64).to_string(), "2001:db8::/64");
    }

    fn local(address: Option<&str>, port: u16) -> Local {
        Local {
            address: address.map(|address| address.parse().unwrap()),
            port,
            service: "/service".into(),
            uid: None,
            namespace: None,
            reserve: true,
            allow_from: Vec::new(),
        }
    }
}
