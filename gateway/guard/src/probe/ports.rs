//! Which local ports the kernel gives to sockets that ask for none.

use std::fs;
use std::io;
use std::ops::RangeInclusive;

/// The ports of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// Those that are given away…
    range: RangeInclusive<u16>,
    /// …but for these.
    reserved: Vec<RangeInclusive<u16>>,
}

impl Ports {
    /// Those of this thread's namespace (`net.ipv4.*`; they hold for IPv6 too).
    pub(super) fn look() -> io::Result<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let range = read("ip_local_port_range")?;
        let reserved = read("ip_local_reserved_ports")?;
        Self::parse(&range, &reserved).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{range:?} or {reserved:?} is no range of ports"),
            )
        })
    }

    /// Two numbers; and a list of numbers and ranges, as in "8080,9000-9010".
    pub(super) fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut ends = range.split_whitespace();
        let range = ends.next()?.parse().ok()?..=ends.next()?.parse().ok()?;
        let reserved = reserved
            .trim()
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                Some(first.parse().ok()?..=last.parse().ok()?)
            })
            .collect::<Option<_>>()?;
        Some(Self { range, reserved })
    }

    /// Whether a socket that asks for no port may get this one.
    pub(super) fn hit(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|range| range.contains(&port))
    }

    /// The range, as the kernel writes it.
    pub(super) fn range(&self) -> String {
        format!("{}-{}", self.range.start(), self.range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_the_range_unless_reserved() {
        let ports = Ports::parse("32768\t60999\n", "33000,34000-34010\n").unwrap();
        for (port, hit) in [
            (32767, false),
            (32768, true),
            (33000, false),
            (33001, true),
            (34000, false),
            (34010, false),
            (34011, true),
            (60999, true),
            (61000, false),
        ] {
            assert_eq!(ports.hit(port), hit, "{port}");
        }
        assert!(Ports::parse("1 65535", "\n").unwrap().hit(3939));
        assert_eq!(ports.range(), "32768-60999");
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (range, reserved) in [
            ("", ""),
            ("1", ""),
            ("1 x", ""),
            ("1 2", "x"),
            ("1 2", "1-70000"),
        ] {
            assert_eq!(
                Ports::parse(range, reserved),
                None,
                "{range:?} {reserved:?}"
            );
        }
    }
}
