//! Ethernet between namespaces, and addresses that nobody else on this machine uses: an endpoint
//! elsewhere is protected in every namespace at once, those of other tests included.

use std::os::unix::fs::MetadataExt;

use super::Namespace;

/// The addresses of one wire's two ends; several each, to tell parts apart.
#[derive(Clone, Copy, Debug)]
pub struct Net(u64);

/// One of the two ends of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The second namespace.
    Far,
    /// The first namespace.
    Near,
}

impl Net {
    /// A wire between two namespaces. Each end has three addresses of each family, number 0 to 2:
    /// the first is used unless another is asked for, and those over IPv6 with number 2 lie in a
    /// network of their own.
    pub fn between(near: &Namespace, far: &Namespace) -> Self {
        let net = Self::of(near);
        let name = format!("wire{}", net.0);
        cable(near, far, &name);
        for (namespace, end) in [(near, End::Near), (far, End::Far)] {
            for number in 0..3 {
                let v4 = format!("{}/28", net.v4(end, number));
                let v6 = format!("{}/64", net.v6(end, number));
                namespace.tool("ip", &["address", "add", &v4, "dev", &name]);
                let mut add = vec!["address", "add", &v6, "dev", &name, "nodad"];
                if number > 0 {
                    // Deprecated: not used without being asked for.
                    add.extend(["preferred_lft", "0"]);
                }
                namespace.tool("ip", &add);
            }
        }
        net
    }

    /// The addresses of the wire that was made with this one as its near end.
    pub fn of(near: &Namespace) -> Self {
        // The number of a namespace is its own as long as it lives.
        let inode = near.run(|| std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino());
        Self(inode & 0x1fff)
    }

    /// An address, of the networks for tests between devices (RFC 2544).
    pub fn v4(&self, end: End, number: u64) -> String {
        let host = self.0 * 16 + end.first() + number;
        format!(
            "198.{}.{}.{}",
            18 + (host >> 16),
            host >> 8 & 0xff,
            host & 0xff
        )
    }

    /// An address, of a network that is nobody's (RFC 4193).
    pub fn v6(&self, end: End, number: u64) -> String {
        format!(
            "fd53:{:x}:0:{}::{:x}",
            self.0,
            number / 2,
            end.first() + number
        )
    }

    /// The network of the addresses over IPv6 with number 0 and 1.
    pub fn network_v6(&self) -> String {
        format!("fd53:{:x}::/64", self.0)
    }

    /// An IPv4 address of the same network that nobody has.
    pub fn nobody_v4(&self) -> String {
        self.v4(End::Far, 5)
    }

    /// An IPv6 address of the same network that nobody has.
    pub fn nobody_v6(&self) -> String {
        format!("fd53:{:x}::ff", self.0)
    }
}

impl End {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Far => Self::Near,
            Self::Near => Self::Far,
        }
    }

    fn first(self) -> u64 {
        match self {
            Self::Far => 8,
            Self::Near => 1,
        }
    }
}

/// Two Ethernet interfaces of that name, joined, up.
fn cable(near: &Namespace, far: &Namespace, name: &str) {
    let pair = ["link", "add", name, "type", "veth", "peer", "name", name];
    far.run(|| {
        // A thread's own namespace has a path as long as the thread lives.
        let task = std::fs::read_link("/proc/thread-self").unwrap();
        let path = format!("/proc/{}/ns/net", task.display());
        near.tool("ip", &[&pair[..], &["netns", &path]].concat());
    });
    for namespace in [near, far] {
        namespace.tool("ip", &["link", "set", name, "up"]);
    }
}
