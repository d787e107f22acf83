//! A whole host: the service, the guard and the gateway, the latter two from one configuration.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::{App, Authority, CONNECT, Gateway, Pool, Setup};
use gateway_tests::host::{Guard, GuardSetup, Host, Process, Who};

/// See the module. Each part runs in its cgroup, the gateway as a user of its own.
pub(crate) struct Whole<'a> {
    pub(crate) gateway: Gateway,
    pub(crate) guard: Guard<'a>,
    pub(crate) service: Process,
    pub(crate) host: &'a Host,
}

/// How the gateway speaks to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// HTTP.
    Plain,
    /// HTTPS, and the service's name is verified.
    Tls,
}

impl<'a> Whole<'a> {
    /// Starts everything, in `enforce`.
    #[track_caller]
    pub(crate) fn start(host: &'a Host, hop: Hop) -> Self {
        let setup = Setup::new()
            .listen(PUBLIC.parse().unwrap())
            .app(App::connect());
        let setup = match hop {
            Hop::Plain => setup.pool(Pool::plain("connect", "127.0.0.1:3939".parse().unwrap())),
            Hop::Tls => {
                let server = ("https://127.0.0.1:3939", &[][..]);
                setup.pool(Pool::tls("connect", "service-ca.pem", &[server]))
            }
        };
        let prepared = setup.prepare();
        let mut serve = vec!["--http", "--listen", "[::]:3939"];
        let dir = prepared.dir.path().to_owned();
        let (chain, key) = (dir.join("service.pem"), dir.join("service.key"));
        if hop == Hop::Tls {
            let ca = Authority::new("the service's");
            prepared.dir.write("service-ca.pem", ca.pem());
            ca.server(&["127.0.0.1"]).write(&dir, "service");
            serve.extend(["--tls-chain", chain.to_str().unwrap()]);
            serve.extend(["--tls-key", key.to_str().unwrap()]);
        }
        prepared.dir.write("public-ca.pem", prepared.ca.pem());
        let service = host.serve(&host.service(), &serve);

        let rules = GuardSetup::new(host, "enforce");
        let text = prepared.dir.read("gateway.toml") + "\n" + &rules.text();
        prepared.dir.write("gateway.toml", text);
        let guard = rules.start_with(&prepared.config());
        // The gateway writes its ready file there.
        set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        let launcher = host.gateway().as_user(Host::GATEWAY).launcher();
        let launcher: Vec<_> = launcher.iter().map(String::as_str).collect();
        let gateway = host.namespace.run(|| prepared.start_by(&launcher));
        Self {
            gateway,
            guard,
            service,
            host,
        }
    }

    /// What a visitor gets from the gateway: status and body.
    #[track_caller]
    pub(crate) fn get(&self, who: &Who) -> String {
        let ca = self.gateway.prepared.dir.path().join("public-ca.pem");
        let get = ["get", PUBLIC, "--host", CONNECT, "--ca"];
        let get = [&get[..], &[ca.to_str().unwrap()]].concat();
        match self.host.attempt(who, &get) {
            Outcome::Connected { answer } => answer,
            other => panic!("the gateway does not answer: {other:?}"),
        }
    }
}

/// The gateway's address for the public.
const PUBLIC: &str = "192.0.2.1:8443";
