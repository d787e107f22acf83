//! Attempts to reach the service, as values.

/// One attempt: a command line of the attacker's, and where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    arguments: Vec<String>,
    /// Whether it needs root.
    pub(crate) as_root: bool,
    /// Whether a process asks the kernel to connect to the endpoint: `connect4` and `connect6`
    /// alone refuse that.
    pub(crate) by_connect: bool,
    /// Whether it runs in the namespace behind the gateway's host.
    pub(crate) in_container: bool,
}
pub(crate) use gateway_tests::host::{at, text};

impl Attack {
    /// An ordinary connect.
    pub(crate) fn connect(ip: &str) -> Self {
        Self {
            arguments: vec!["connect".to_owned(), at(ip, PORT)],
            as_root: false,
            by_connect: true,
            in_container: false,
        }
    }

    /// A conversation over raw sockets. The source's port is another one each time.
    pub(crate) fn raw(source: &str, ip: &str) -> Self {
        let attack = Self {
            arguments: vec!["raw".to_owned(), at(ip, PORT)],
            as_root: true,
            by_connect: false,
            in_container: false,
        };
        attack.with(&["--source", &at(source, PLACEHOLDER)])
    }

    /// With further arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        let more = arguments.iter().map(|&one| one.to_owned());
        self.arguments.extend(more);
        self
    }

    /// From that address.
    pub(crate) fn from(self, ip: &str) -> Self {
        self.with(&["--source", &at(ip, 0)])
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

    /// In the namespace behind the gateway's host.
    pub(crate) fn in_container(mut self) -> Self {
        self.in_container = true;
        self
    }

    /// The command line, with a port and a text of its own.
    pub(crate) fn arguments(&self, number: u16) -> Vec<String> {
        let placeholder = format!(":{PLACEHOLDER}");
        let own = format!(":{}", FIRST_PORT + number);
        let replace = |argument: &String| match argument.strip_suffix(&placeholder) {
            Some(ip) => format!("{ip}{own}"),
            None => argument.clone(),
        };
        let mut arguments: Vec<_> = self.arguments.iter().map(replace).collect();
        arguments.extend(["--say".to_owned(), text(number)]);
        arguments
    }
}

/// The service's port.
pub(crate) const PORT: u16 = 3939;

/// Resets from these are dropped where raw sockets are at work: see `Split::hush`.
pub(crate) const FIRST_PORT: u16 = 10_000;

const PLACEHOLDER: u16 = 9;
