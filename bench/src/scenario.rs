//! Scenarios: what load, what counts. One TOML file each, in `bench/scenarios`; its name is the
//! scenario's.

mod credential;
mod request;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub(crate) use self::credential::{Credential, Logins, PASSWORD, USER, basic, users};
pub(crate) use self::request::{Method, Request};
use crate::cable::Network;
use crate::metric::Unit;
use crate::order::{Group, Protocol, Work};
use crate::subject::{Kind, Link};

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The file's, without `.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// What is done, in a few words.
    pub(crate) about: String,
    /// Whether `--quick` runs it too.
    #[serde(default)]
    pub(crate) quick: bool,
    /// Whether it can be run against a deployment, whose path is then the URL's.
    #[serde(default)]
    pub(crate) deployment: bool,
    /// What the clients speak, but for the yardstick of HTTP/3.
    #[serde(default)]
    pub(crate) protocol: Protocol,
    /// What is between the clients and the subject.
    #[serde(default)]
    pub(crate) network: Network,
    /// Who does it.
    #[serde(default = "Kind::usual")]
    pub(crate) subjects: Vec<Kind>,
    /// How the subject reaches the back-end.
    #[serde(default)]
    pub(crate) back_end: Link,
    /// The clients' key exchange.
    #[serde(default)]
    pub(crate) group: Group,
    /// What the clients do.
    pub(crate) load: Load,
    /// What they ask for, in turn.
    #[serde(rename = "request")]
    pub(crate) requests: Vec<Request>,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Load {
    /// Each connection, or stream, sends its next request when it has the answer to the last.
    Closed {
        connections: u32,
        /// How many requests at once on each; over HTTP/3 alone more than one.
        #[serde(default = "one")]
        streams: u32,
        /// Count payload, not requests.
        #[serde(default)]
        volume: bool,
    },
    /// Each WebSocket sends its next message when it has the last one back.
    Echo { connections: u32, bytes: u16 },
    /// New connections, each for one request.
    Handshakes { connections: u32, resumed: bool },
    /// Connections on which nothing happens.
    Hold {
        /// With `--quick` a quarter of them.
        connections: u32,
        #[serde(default)]
        tunnels: bool,
    },
    /// So many requests a second.
    Open { connections: u32, rate: u32 },
}

impl Scenario {
    /// All that a directory has, by name.
    pub(crate) fn all(directory: &Path) -> Result<Vec<Self>> {
        let cannot = || format!("cannot list {}", directory.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(directory).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let Some(name) = name.strip_suffix(".toml") else {
                continue;
            };
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            all.push(Self::parse(name, &text).with_context(|| path.display().to_string())?);
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// The wanted ones of all, in the order of the names; an error lists the known.
    pub(crate) fn named(all: &[Self], names: &[String]) -> Result<Vec<Self>> {
        let find = |name: &String| {
            let found = all.iter().find(|scenario| scenario.name == *name);
            found.cloned().with_context(|| {
                let known: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
                format!("no scenario {name:?}; there are {}", known.join(", "))
            })
        };
        names.iter().map(find).collect()
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        name.clone_into(&mut scenario.name);
        if scenario.requests.is_empty() {
            bail!("no request");
        }
        if scenario.load.at_once() == 0 {
            bail!("no connection");
        }
        match scenario.protocol {
            Protocol::H1 if scenario.load.streams() > 1 => {
                bail!("HTTP/1.1 has one request at once on a connection");
            }
            Protocol::H1 => {}
            Protocol::H3 => scenario.check_http3()?,
        }
        if let Load::Open { rate: 0, .. } = scenario.load {
            bail!("a rate of nothing");
        }
        if scenario.deployment && scenario.network != Network::Loopback {
            bail!("the way to a deployment is its own");
        }
        if !scenario.subjects.contains(&Kind::Gateway) {
            bail!("the gateway is always a subject");
        }
        Ok(scenario)
    }

    fn check_http3(&self) -> Result<()> {
        match self.load {
            Load::Closed { .. } | Load::Handshakes { resumed: false, .. } => {}
            _ => bail!("no load of this kind over HTTP/3"),
        }
        if self.subjects.contains(&Kind::Floor) {
            bail!("the floor has no HTTP/3");
        }
        if self
            .requests
            .iter()
            .any(|request| request.method == Method::Websocket)
        {
            bail!("no WebSocket over HTTP/3");
        }
        if self.deployment {
            bail!("deployments are asked over HTTP/1.1");
        }
        Ok(())
    }

    /// What a subject's clients speak.
    pub(crate) fn protocol_of(&self, kind: Kind) -> Protocol {
        match kind {
            Kind::GatewayH1 => Protocol::H1,
            _ => self.protocol,
        }
    }

    /// What its work is counted in.
    pub(crate) fn unit(&self) -> Unit {
        match self.load {
            Load::Closed { volume: true, .. } => Unit::Gib,
            Load::Closed { .. } | Load::Open { .. } => Unit::Request,
            Load::Echo { .. } => Unit::Message,
            Load::Handshakes { .. } | Load::Hold { .. } => Unit::Connection,
        }
    }
}

impl Load {
    /// How many connections at once.
    pub(crate) fn connections(self) -> u32 {
        match self {
            Self::Closed { connections, .. }
            | Self::Echo { connections, .. }
            | Self::Handshakes { connections, .. }
            | Self::Hold { connections, .. }
            | Self::Open { connections, .. } => connections,
        }
    }

    /// How many requests at once on each connection.
    pub(crate) fn streams(self) -> u32 {
        match self {
            Self::Closed { streams, .. } => streams,
            _ => 1,
        }
    }

    /// How many requests at once on all connections.
    pub(crate) fn at_once(self) -> u32 {
        self.connections().saturating_mul(self.streams())
    }

    /// Whether each unit of its work is a line in an access log. A WebSocket is one when it ends.
    pub(crate) fn is_logged(self) -> bool {
        !matches!(self, Self::Echo { .. } | Self::Hold { tunnels: true, .. })
    }

    /// As the generator is told.
    pub(crate) fn work(self, milliseconds: u64) -> Work {
        match self {
            Self::Closed { .. } => Work::Closed { milliseconds },
            Self::Echo { bytes, .. } => Work::Echo {
                milliseconds,
                bytes,
            },
            Self::Handshakes { resumed, .. } => Work::Handshakes {
                milliseconds,
                resumed,
            },
            Self::Hold { tunnels, .. } => Work::Hold { tunnels },
            Self::Open { rate, .. } => Work::Open { milliseconds, rate },
        }
    }
}

const fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "about = 'x'\n[load]\nkind = 'closed'\nconnections = 2\n\
                         [[request]]\npath = '/bytes/1'\n";

    #[test]
    fn every_scenario_of_ours_is_read() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let all = Scenario::all(&directory).unwrap();
        for name in [
            "h1-1k",
            "h1-64k",
            "h1-download",
            "h3-1k",
            "h3-1k-veth",
            "h3-download",
            "h3-download-veth",
            "h3-new",
            "h3-new-veth",
            "idle",
            "tls-full",
            "ws-echo",
        ] {
            let names = [name.to_owned()];
            assert_eq!(Scenario::named(&all, &names).unwrap()[0].name, name);
        }
    }

    #[test]
    fn clients_are_on_this_host_unless_a_scenario_says_otherwise() {
        let network = |text: &str| Scenario::parse("a", text).unwrap().network;
        assert_eq!(network(SMALL), Network::Loopback);
        let veth = SMALL.replace("about", "network = 'veth'\nabout");
        assert_eq!(network(&veth), Network::Veth);
    }

    #[test]
    fn an_unknown_scenario_lists_the_known() {
        let known = |name| Scenario::parse(name, SMALL).unwrap();
        let all = [known("a"), known("b")];
        let error = Scenario::named(&all, &["b".to_owned(), "c".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), r#"no scenario "c"; there are a, b"#);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert!(Scenario::parse("a", SMALL).is_ok());
        for (from, to) in [
            ("about", "abuot"),
            ("connections = 2", "connections = 0"),
            ("connections = 2", "connections = 2\nrate = 3"),
            ("kind = 'closed'", "kind = 'open'\nrate = 0"),
            ("kind = 'closed'", "kind = 'half-open'"),
            ("about", "subjects = ['nginx']\nabout"),
            ("about", "subjects = ['apache']\nabout"),
            ("about", "protocol = 'h3'\nabout"),
            ("about", "network = 'wire'\nabout"),
            ("about", "network = 'veth'\ndeployment = true\nabout"),
            ("connections = 2", "connections = 2\nstreams = 2"),
            ("connections = 2", "connections = 2\nstreams = 0"),
            ("path = '/bytes/1'", "path = 'bytes/1'"),
        ] {
            assert!(SMALL.contains(from));
            assert!(
                Scenario::parse("a", &SMALL.replace(from, to)).is_err(),
                "{to}"
            );
        }
        assert!(Scenario::parse("a", SMALL.split("[[").next().unwrap()).is_err());
    }

    #[test]
    fn http3_is_for_who_has_it_and_for_what_is_done_over_it() {
        let over = |from: &str, to: &str| {
            let http3 = "protocol = 'h3'\nsubjects = ['gateway', 'gateway-h1']\nabout";
            let text = SMALL.replace("about", http3).replace(from, to);
            Scenario::parse("a", &text)
        };
        let scenario = over("connections = 2", "connections = 2\nstreams = 3").unwrap();
        assert_eq!(scenario.load.at_once(), 6);
        assert_eq!(scenario.protocol_of(Kind::Gateway), Protocol::H3);
        assert_eq!(scenario.protocol_of(Kind::GatewayH1), Protocol::H1);
        assert!(over("'closed'", "'handshakes'\nresumed = false").is_ok());
        for (from, to) in [
            ("'gateway-h1'", "'floor'"),
            ("'closed'", "'handshakes'\nresumed = true"),
            ("'closed'", "'hold'"),
            ("path = '/bytes/1'", "path = '/echo'\nmethod = 'websocket'"),
            ("about", "deployment = true\nabout"),
        ] {
            assert!(over(from, to).is_err(), "{to}");
        }
    }

    #[test]
    fn work_is_counted_in_what_the_load_makes() {
        let unit = |from, to| {
            Scenario::parse("a", &SMALL.replace(from, to))
                .unwrap()
                .unit()
        };
        assert_eq!(unit("about", "about"), Unit::Request);
        assert_eq!(unit("= 2", "= 2\nvolume = true"), Unit::Gib);
        assert_eq!(
            unit("'closed'", "'handshakes'\nresumed = true"),
            Unit::Connection
        );
        assert_eq!(unit("'closed'", "'echo'\nbytes = 9"), Unit::Message);
    }
}
