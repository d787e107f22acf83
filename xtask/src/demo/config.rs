//! The gateway's configuration for the demo.

use anyhow::Result;

use super::cgroups::{Cgroups, Member};
use super::ports;

/// Where everything listens, always on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// The gateway, for Connect.
    pub(super) connect: u16,
    /// The gateway, for the DeployR-like server.
    pub(super) deployr: u16,
    /// The gateway's metrics and health.
    pub(super) admin: u16,
    /// The guard's metrics.
    pub(super) guard: u16,
    /// Connect itself, plain HTTP.
    pub(super) connect_back_end: u16,
    /// The DeployR-like server itself, mutual TLS.
    pub(super) deployr_back_end: u16,
}

impl Ports {
    /// The same ones each time where they are free.
    pub(super) fn choose() -> Result<Self> {
        Ok(Self {
            connect: ports::free(8443)?,
            deployr: ports::free(8444)?,
            admin: ports::free(9145)?,
            guard: ports::free(9146)?,
            connect_back_end: ports::free(3939)?,
            deployr_back_end: ports::free(12800)?,
        })
    }

    /// Those that only the gateway may reach.
    pub(super) fn back_ends(&self) -> [u16; 2] {
        [self.connect_back_end, self.deployr_back_end]
    }
}

/// The configuration file, with `[guard]` if there are cgroups for it. Paths in it are relative to
/// its own directory.
pub(super) fn render(ports: Ports, cgroups: Option<&Cgroups>) -> String {
    let mut text = gateway(ports);
    if let Some(cgroups) = cgroups {
        text.push_str(&guard(ports, cgroups));
    }
    text
}

fn gateway(ports: Ports) -> String {
    let Ports {
        connect,
        deployr,
        admin,
        connect_back_end,
        deployr_back_end,
        ..
    } = ports;
    format!(
        r#"# Written by `cargo xtask demo`. Every key is explained in docs/connect-gateway.toml.

[gateway]
drain = "2s"

[admin]
address = "127.0.0.1:{admin}"

[log]
access = "access.log"

[[listener]]
name = "connect"
address = "127.0.0.1:{connect}"
[[listener.certificate]]
chain = "tls/server.pem"
key = "tls/server-key.pem"

[[listener]]
name = "deployr"
address = "127.0.0.1:{deployr}"
[[listener.certificate]]
chain = "tls/server.pem"
key = "tls/server-key.pem"

# Two realms: who is logged in to Connect is not by that logged in to DeployR.
[[realm]]
name = "connect"
method = "basic"
htpasswd = "users"
failures_per_address = 60           # on loopback all clients share one address
failures_per_account = 30

[[realm]]
name = "deployr"
method = "basic"
htpasswd = "users"
failures_per_address = 60
failures_per_account = 30

# As Connect really is: plain HTTP on loopback.
[[pool]]
name = "connect"
tls = "off"
[[pool.server]]
url = "http://127.0.0.1:{connect_back_end}"

# As DeployR demands it: each side proves itself to the other.
[[pool]]
name = "deployr"
tls = "mutual"
ca = "tls/ca.pem"
client_certificate = "tls/authentication.pem"
client_key = "tls/authentication-key.pem"
[[pool.server]]
url = "https://127.0.0.1:{deployr_back_end}"
expected_name = "deployr.internal"

[[app]]
name = "connect"
kind = "connect"
public_url = "https://localhost:{connect}/"
aliases = ["127.0.0.1:{connect}"]
listeners = ["connect"]
realm = "connect"
pool = "connect"
[app.lanes]
discovery_per_minute = 6000         # on loopback all clients share one address

[[app]]
name = "deployr"
kind = "deployr"
public_url = "https://localhost:{deployr}/"
aliases = ["127.0.0.1:{deployr}"]
listeners = ["deployr"]
realm = "deployr"
pool = "deployr"
"#
    )
}

fn guard(ports: Ports, cgroups: &Cgroups) -> String {
    let mut text = format!(
        r#"
# In the kernel: the back-ends accept connections from the gateway and from nobody else.
[guard]
mode = "enforce"
required = true
slice = "{slice}"
socket = "guard/socket"
metrics = "127.0.0.1:{metrics}"
override_file = "guard/override.json"
"#,
        slice = cgroups.path(Member::Gateway),
        metrics = ports.guard,
    );
    for port in ports.back_ends() {
        text.push_str(&format!(
            r#"
[[guard.local]]
address = "*:{port}"
service = "{service}"
"#,
            service = cgroups.path(Member::BackEnd),
        ));
    }
    text
}
