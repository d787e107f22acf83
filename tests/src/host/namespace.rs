//! Network namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::unshare;
use crate::harness::tool;

/// A network namespace; it ends with this value, the last process and the last connection in it.
/// When this value is gone, nothing gets anywhere in it any more: what connections without a process
/// still had to say, for a minute, a guard could see that cannot tell namespaces apart.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new one, with nothing in it but lo, which is up.
    pub fn new() -> Self {
        let made = std::thread::spawn(|| {
            unshare::network().expect("root can make a network namespace");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let namespace = Self(made.join().expect("the thread does not panic"));
        namespace.tool("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    /// Runs something in it, on a thread of its own. A child that it spawns is in it too.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root can enter a namespace");
                work()
            });
            match inside.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs a program in it; it must succeed.
    pub fn tool(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(tool(program));
        command.args(arguments).stdin(Stdio::null());
        let output = self.run(|| command.output()).expect("the program starts");
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Adds rules of nftables.
    pub fn nft(&self, rules: &str) {
        self.tool("nft", &[rules]);
    }

    /// Sets a value of `/proc/sys/net`.
    pub fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| std::fs::write(&path, value))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A file of its `/proc/net`.
    pub fn read(&self, name: &str) -> String {
        let path = format!("/proc/thread-self/net/{name}");
        self.run(|| std::fs::read_to_string(&path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A counter of its `/proc/net/netstat`, such as `TcpExt`'s `TCPFastOpenPassive`.
    pub fn counter(&self, group: &str, name: &str) -> u64 {
        let text = self.read("netstat");
        let mut rows = text
            .lines()
            .filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let at = names.split(' ').position(|other| other == name);
        let at = at.unwrap_or_else(|| panic!("{group} has no {name}"));
        values.split(' ').nth(at).unwrap().parse().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let silence = || {
            Command::new(tool("ip"))
                .args(["link", "set", "lo", "down"])
                .status()
        };
        // A panic here would hide the one that the test may have failed with.
        match self.run(silence) {
            Ok(status) if status.success() => {}
            other => eprintln!("the namespace's lo may still be up: {other:?}"),
        }
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_anywhere_once_it_is_dropped() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can make namespaces");
            return;
        }
        let namespace = Namespace::new();
        // As a connection that outlives it does.
        let held = Namespace(namespace.0.try_clone().unwrap());
        let arrives = |namespace: &Namespace| {
            namespace.run(|| {
                let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                receiver
                    .send_to(b"x", receiver.local_addr().unwrap())
                    .unwrap();
                // What arrives over lo has arrived when sending returns.
                receiver.set_nonblocking(true).unwrap();
                receiver.recv(&mut [0]).is_ok()
            })
        };
        assert!(arrives(&namespace));
        drop(namespace);
        assert!(!arrives(&held));
    }
}
