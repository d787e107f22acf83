//! What a person or a program needs to know about the running demo.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::double::Addresses;
use super::files::{Files, Login, write_secret};
use super::gateway::Gateway;

/// The facts, each with its key in `demo.json` and its name in a command's environment.
pub(super) struct Facts(Vec<Fact>);

struct Fact {
    key: &'static str,
    variable: &'static str,
    value: Value,
}

impl Facts {
    pub(super) fn new(
        files: &Files,
        login: Login,
        gateway: &Gateway,
        back_ends: &Addresses,
    ) -> Self {
        let ports = gateway.ports;
        let fact = |key, variable, value: Value| Fact {
            key,
            variable,
            value,
        };
        Self(vec![
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
            fact("password", "GATEWAY_PASSWORD", login.password.into()),
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
            fact("config", "GATEWAY_CONFIG", text(&gateway.config)),
            fact("gateway_pid", "GATEWAY_PID", gateway.process.id().into()),
        ])
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

Ctrl-C ends it.
"
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
