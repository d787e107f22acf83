//! From a request to a decision, in the order of design §4.

use std::net::IpAddr;

use wire::Head;

use crate::{Apps, IpNet, Outcome, OwnedNames, Realm, Step};

/// Everything that decides about requests; immutable.
#[derive(Clone, Debug)]
pub struct Policy {
    apps: Apps,
    realms: Box<[Realm]>,
    owned: OwnedNames,
    spoofed: Spoofed,
    trusted_proxies: Box<[IpNet]>,
}

/// What to do with a request that names an owned header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spoofed {
    /// Answer 400.
    Reject,
    /// Remove the header and go on.
    #[default]
    Strip,
}

/// A request, as policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Whether it is a WebSocket handshake.
    pub websocket: bool,
    /// Index of the listener that accepted the connection.
    pub listener: usize,
    /// The socket's peer address.
    pub peer: IpAddr,
    /// The server name of the TLS handshake, in lower case, if the client sent one.
    pub sni: Option<&'a str>,
}

impl Policy {
    /// Puts validated parts together.
    pub fn new(
        apps: Vec<crate::App>,
        realms: Vec<Realm>,
        spoofed: Spoofed,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        let apps = Apps::new(apps);
        let owned = OwnedNames::new(apps.all());
        Self {
            apps,
            realms: realms.into(),
            owned,
            spoofed,
            trusted_proxies: trusted_proxies.into(),
        }
    }

    /// The apps, by index.
    pub fn apps(&self) -> &[crate::App] {
        self.apps.all()
    }

    /// The realms, by index.
    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }

    /// Begins to decide about a request.
    pub fn decide(&self, request: &Request<'_>) -> Step {
        let _ = (request, &self.owned, self.spoofed, &self.trusted_proxies);
        todo!()
    }
}

/// A decision that waits for an answer.
#[derive(Debug)]
pub struct Pending {}

impl Pending {
    /// Goes on with the answer. `request` is the one that the question was asked for.
    pub fn resume(self, policy: &Policy, request: &Request<'_>, outcome: Outcome) -> Step {
        let _ = (policy, request, outcome);
        todo!()
    }
}
