//! Network namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::unshare;
use crate::harness::tool;

/// A network namespace; it ends with this value and the last process in it.
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

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}
