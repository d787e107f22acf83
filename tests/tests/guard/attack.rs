//! Attempts to reach the service past the gateway, as values.

use gateway_tests::host::GuardSetup;
pub(crate) use gateway_tests::host::{at, text};

/// One attempt: a command line of the attacker's.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    arguments: Vec<String>,
    /// Whether it needs root.
    pub(crate) as_root: bool,
    /// Whether a process asks the kernel to connect there: `connect4` and `connect6` alone refuse.
    pub(crate) by_connect: bool,
}

impl Attack {
    /// An ordinary connect to a host's service.
    pub(crate) fn connect(ip: &str) -> Self {
        Self {
            arguments: vec!["connect".to_owned(), at(ip, GuardSetup::PORT)],
            as_root: false,
            by_connect: true,
        }
    }

    /// A conversation over raw sockets. The source's port is another one each time.
    pub(crate) fn raw(source: &str, ip: &str) -> Self {
        let attack = Self {
            arguments: vec!["raw".to_owned(), at(ip, GuardSetup::PORT)],
            as_root: true,
            by_connect: false,
        };
        attack.with(&["--source", &at(source, PLACEHOLDER)])
    }

    /// With further arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        let more = arguments.iter().map(|&one| one.to_owned());
        self.arguments.extend(more);
        self
    }

    /// Which only root can do.
    pub(crate) fn by_root(mut self) -> Self {
        self.as_root = true;
        self
    }

    /// Of which `connect4` and `connect6` see nothing, or another address.
    pub(crate) fn hidden_from_connect(mut self) -> Self {
        self.by_connect = false;
        self
    }

    /// Somewhere else than the service's port.
    pub(crate) fn at_port(mut self, ip: &str, port: u16) -> Self {
        self.arguments[1] = at(ip, port);
        self
    }

    /// The command line, with a port and a text of its own.
    pub(crate) fn arguments(&self, number: u16) -> Vec<String> {
        let placeholder = format!(":{PLACEHOLDER}");
        let own = format!(":{}", FIRST_PORT + number);
        let arguments = self.arguments.iter();
        arguments
            .map(|argument| argument.replace(&placeholder, &own))
            .chain(["--say".to_owned(), text(number)])
            .collect()
    }
}

/// Resets from these are dropped where raw sockets are at work: see `Site::hush`.
pub(crate) const FIRST_PORT: u16 = 10_000;

const PLACEHOLDER: u16 = 9;
