//! What a person or a program needs to know about the running demo.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::config::Ports;
use super::double::Addresses;
use super::files::{Files, Login, write_secret};
use crate::workspace::Workspace;

/// The facts, each with its key in `demo.json` and its name in a command's environment.
pub(super) struct Facts(Vec<Fact>);

struct Fact {
    key: &'static str,
    variable: &'static str,
    value: Value,
}

/// What the facts are made of.
pub(super) struct Known<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) files: &'a Files,
    pub(super) login: &'a Login,
    pub(super) ports: Ports,
    /// The gateway's process id.
    pub(super) gateway: u32,
    pub(super) back_ends: &'a Addresses,
    /// The directory of the demo's cgroups, if it is guarded.
    pub(super) cgroups: Option<&'a Path>,
}

impl Facts {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let Known {
            workspace,
            files,
            login,
            ports,
            gateway,
            back_ends,
            cgroups,
        } = *known;
        let fact = |key, variable, value: Value| Fact {
            key,
            variable,
            value,
        };
        let mut facts = vec![
            fact(
                "https_url",
                "GATEWAY_URL",
                format!("https://localhost:{}", ports.connect).into(),
            ),
            fact(
                "deployr_url",
                "DEPLOYR_URL",
                format!("https://localhost:{}", ports.deployr).into(),
            ),
            fact("ca", "GATEWAY_CA", text(&files.path("tls/ca.pem"))),
            fact("user", "GATEWAY_USER", login.user.into()),
            fact(
                "password",
                "GATEWAY_PASSWORD",
                login.password.as_str().into(),
            ),
            fact(
                "metrics_url",
                "GATEWAY_METRICS",
                format!("http://127.0.0.1:{}/metrics", ports.admin).into(),
            ),
            fact(
                "inspect_url",
                "INSPECT_URL",
                format!("http://{}", back_ends.inspect).into(),
            ),
            fact(
                "connect_url",
                "CONNECT_URL",
                format!("http://{}", back_ends.connect).into(),
            ),
            fact("config", "GATEWAY_CONFIG", text(&files.config())),
            fact("gateway_pid", "GATEWAY_PID", gateway.into()),
            fact(
                "program",
                "GATEWAY_PROGRAM",
                text(&workspace.release("connect-gateway")),
            ),
        ];
        if let Some(cgroups) = cgroups {
            facts.push(fact(CGROUP, "DEMO_CGROUP", text(cgroups)));
        }
        Self(facts)
    }

    /// What the guard refuses and what it lets through, as lines to try, if there is one.
    pub(super) fn guarded(&self) -> Option<String> {
        self.0.iter().find(|fact| fact.key == CGROUP)?;
        let [url, ca, user, password, connect, program, config] = [
            "https_url",
            "ca",
            "user",
            "password",
            "connect_url",
            "program",
            "config",
        ]
        .map(|key| self.get(key));
        Some(format!(
            "
  # Around the gateway: the kernel refuses (curl says 7, could not connect).
  curl -H 'X-Auth-Username: admin' {connect}/
  # The same through the gateway works, and Connect sees {user}.
  curl --cacert {ca} -u {user}:{password} -H 'X-Auth-Username: admin' {url}/
  # What the guard says of itself.
  {program} guard status --config {config}
"
        ))
    }

    /// Writes them as JSON. The file appears whole or not at all: whoever sees it may begin.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let facts = self
            .0
            .iter()
            .map(|fact| (fact.key.to_owned(), fact.value.clone()));
        let json = Value::Object(facts.collect::<Map<_, _>>());
        let draft = path.with_extension("draft");
        write_secret(&draft, &format!("{json:#}\n"))?;
        fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// They as environment variables.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0
            .iter()
            .map(|fact| (fact.variable, plain(&fact.value)))
    }

    fn get(&self, key: &str) -> String {
        let fact = self.0.iter().find(|fact| fact.key == key);
        fact.map_or_else(String::new, |fact| plain(&fact.value))
    }
}

/// Addresses, the login, and lines to try.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [
            url,
            deployr,
            ca,
            user,
            password,
            metrics,
            inspect,
            connect,
            config,
        ] = [
            "https_url",
            "deployr_url",
            "ca",
            "user",
            "password",
            "metrics_url",
            "inspect_url",
            "connect_url",
            "config",
        ]
        .map(|key| self.get(key));
        write!(
            f,
            "
The gateway is up.

  Connect   {url}/       (behind it: {connect})
  DeployR   {deployr}/       (behind it: mutual TLS)
  log in as {user} with the password {password}
  trust     {ca}
  programs  find all of this in demo.json beside the configuration, {config}

Try, in another terminal:

  # Nobody: refused before anything reaches Connect.
  curl --cacert {ca} {url}/
  # Somebody: Connect sees the name.
  curl --cacert {ca} -u {user}:{password} {url}/
  # Somebody who claims to be another: Connect still sees {user}.
  curl --cacert {ca} -u {user}:{password} -H 'X-Auth-Username: admin' {url}/
  # What Connect received, headers in order.
  curl {inspect}/requests
  # The other app, whose back-end only talks to the gateway's certificate.
  curl --cacert {ca} -u {user}:{password} {deployr}/
  # What was counted.
  curl {metrics}
{guarded}
Ctrl-C ends it.
",
            guarded = self.guarded().unwrap_or_default(),
        )
    }
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The key of the fact that there is a guard.
const CGROUP: &str = "cgroup";
