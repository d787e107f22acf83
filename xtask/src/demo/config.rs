//! The gateway's configuration for the demo.

use anyhow::Result;

use super::double::Addresses;
use super::ports;

/// The ports that the gateway listens on, all on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) connect: u16,
    pub(super) deployr: u16,
    pub(super) admin: u16,
}

impl Ports {
    /// The same ones each time where they are free.
    pub(super) fn choose() -> Result<Self> {
        Ok(Self {
            connect: ports::free(8443)?,
            deployr: ports::free(8444)?,
            admin: ports::free(9145)?,
        })
    }
}

/// The configuration file. Paths in it are relative to its own directory.
pub(super) fn render(ports: Ports, back_ends: &Addresses) -> String {
    let Ports {
        connect,
        deployr,
        admin,
    } = ports;
    let connect_url = format!("http://{}", back_ends.connect);
    let deployr_url = format!("https://{}", back_ends.deployr);
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
url = "{connect_url}"

# As DeployR demands it: each side proves itself to the other.
[[pool]]
name = "deployr"
tls = "mutual"
ca = "tls/ca.pem"
client_certificate = "tls/authentication.pem"
client_key = "tls/authentication-key.pem"
[[pool.server]]
url = "{deployr_url}"
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
