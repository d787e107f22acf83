//! Everybody at once: services, gateway, its visitors, and those who may not.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::{App, CONNECT, Pool, Prepared, Setup, gateway_binary, poll};
use gateway_tests::host::{Host, Process, Who};
use serde_json::Value;

use crate::life::Life;

/// See the module. The service has two endpoints: one answers lines, the other HTTP.
pub(crate) struct Town<'a> {
    pub(crate) life: &'a Life,
    prepared: Prepared,
    services: Option<[Process; 2]>,
    gateway: Option<Process>,
    /// Connections of strangers that the services accepted before they were restarted.
    accepted: usize,
}

impl<'a> Town<'a> {
    /// The services; no guard and no gateway yet.
    pub(crate) fn new(life: &'a Life) -> Self {
        let address = ["address", "add", STRANGERS[1], "dev", "lo"];
        life.host.namespace.tool("ip", &address);
        let setup = Setup::new()
            .listen(PUBLIC.parse().unwrap())
            .app(App::connect())
            .pool(Pool::plain("connect", "127.0.0.1:3940".parse().unwrap()));
        let prepared = setup.prepare();
        // The gateway, not root, writes its ready file there.
        set_permissions(prepared.dir.path(), Permissions::from_mode(0o777)).unwrap();
        prepared.dir.write("public-ca.pem", prepared.ca.pem());
        let guard = life.setup("enforce").text();
        let (_, local) = guard.split_once("[[guard.local]]").unwrap();
        let other = local.replace("*:3939", "*:3940");
        let guard = format!("{guard}\n[[guard.local]]{other}");
        let text = prepared.dir.read("gateway.toml") + "\n" + &guard;
        prepared.dir.write("gateway.toml", text);
        life.host.dir.write("guard.toml", guard);
        let mut town = Self {
            life,
            prepared,
            services: None,
            gateway: None,
            accepted: 0,
        };
        town.start_services();
        town
    }

    /// Starts the attackers: everybody who may not, by every way that counts.
    pub(crate) fn hammer(&self, who: &Who, limit: Option<u64>) -> Process {
        let mut arguments = vec!["hammer"];
        arguments.extend([
            "127.0.0.1:3939",
            "[::1]:3940",
            "[::1]:3939",
            "127.0.0.1:3940",
        ]);
        for source in STRANGERS {
            arguments.extend(["--source", source]);
        }
        let limit = limit.map(|limit| limit.to_string());
        if let Some(limit) = &limit {
            // All of them are to succeed, also on a machine that is slow.
            arguments.extend(["--limit", limit, "--patience", "5000"]);
        }
        self.life.host.spawn(who, &arguments)
    }

    /// Somebody in the gateway's slice who never stops asking.
    pub(crate) fn ask(&self, cgroup: &str) -> Process {
        let who = Who::root(&self.life.host.cgroups.make(cgroup));
        let ask = ["ask", "127.0.0.1:3939", "--patience", "10000"];
        self.life.host.spawn(&who, &ask)
    }

    /// What a visitor gets from the gateway.
    #[track_caller]
    pub(crate) fn visit(&self) {
        let host = &self.life.host;
        let ca = self.prepared.dir.path().join("public-ca.pem");
        let get = [
            "get",
            PUBLIC,
            "--host",
            CONNECT,
            "--ca",
            ca.to_str().unwrap(),
        ];
        match host.attempt(&host.outsider(), &get) {
            Outcome::Connected { answer } => assert_eq!(answer, "200 service"),
            other => panic!("the gateway does not answer: {other:?}"),
        }
    }

    /// Starts the gateway and waits until it serves.
    #[track_caller]
    pub(crate) fn start_gateway(&mut self) {
        let ready = self.prepared.dir.path().join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready).unwrap();
        }
        let host = &self.life.host;
        let config = self.prepared.config();
        let run = ["run", "--config", config.to_str().unwrap(), "--ready-file"];
        let run = [&run[..], &[ready.to_str().unwrap()]].concat();
        let program = gateway_binary().to_str().unwrap();
        let who = host.gateway().as_user(Host::GATEWAY);
        let mut gateway = host.spawn_program(&who, program, &run);
        poll::until("the gateway is ready", || {
            assert!(gateway.is_alive(), "the gateway ended: {}", gateway.told());
            ready.exists().then_some(())
        });
        self.gateway = Some(gateway);
    }

    /// Ends the gateway with its unit's cgroup, and makes that anew.
    pub(crate) fn kill_gateway(&mut self) {
        let gateway = self.gateway.take();
        gateway.expect("it was started").kill();
        self.life.host.gateway().cgroup().remove();
        let unit = "gateway.slice/gateway.service";
        self.life.host.cgroups.make(unit);
    }

    /// Ends the services with everything in their cgroup.
    pub(crate) fn kill_services(&mut self) {
        self.accepted = self.accepted();
        for mut service in self.services.take().expect("they were started") {
            service.kill();
        }
        self.life.host.service_cgroup().remove();
    }

    /// Makes the services' cgroup anew.
    pub(crate) fn make_services_cgroup(&self) {
        self.life.host.cgroups.make("connect.service");
    }

    /// Starts the services.
    #[track_caller]
    pub(crate) fn start_services(&mut self) {
        let host = &self.life.host;
        let lines = host.serve(&host.service(), &["--listen", "[::]:3939"]);
        let http = host.serve(&host.service(), &["--http", "--listen", "[::]:3940"]);
        self.services = Some([lines, http]);
    }

    /// How many connections of strangers the services have accepted in all.
    pub(crate) fn accepted(&self) -> usize {
        let services = self.services.iter().flatten();
        let accepted = |service: &Process| {
            let lines = service.lines();
            let strange = lines.iter().filter(|line| is_of_a_stranger(line));
            strange.count()
        };
        self.accepted + services.map(accepted).sum::<usize>()
    }
}

/// The gateway, its visitors and whoever asks in its slice have other addresses.
fn is_of_a_stranger(line: &Value) -> bool {
    let peer = line["peer"].as_str().unwrap_or_default();
    line["event"] == "accepted" && STRANGERS.iter().any(|address| peer.contains(address))
}

/// From these the attackers come, and nobody else.
const STRANGERS: [&str; 2] = ["127.0.0.66", "2001:db8::66"];

/// The gateway's address for the public.
const PUBLIC: &str = "192.0.2.1:8443";
