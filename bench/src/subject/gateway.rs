//! Ours, with everything on that is by default.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;

use super::process::tied;
use super::{Kind, Link, Setting, own};
use crate::order::Protocol;
use crate::place;
use crate::tls::BACK_END_NAME;

pub(super) fn command(kind: Kind, setting: &Setting<'_>, listen: SocketAddr) -> Result<Command> {
    let admin = place::free_address(Ipv4Addr::LOCALHOST.into())?;
    let text = config(kind, setting, listen, admin);
    let path = setting.place.write(&format!("{kind}.toml"), &text)?;
    let mut command = tied(&own(setting, PROGRAM));
    command.args(["run", "--config"]).arg(path);
    Ok(command)
}

/// Paths in it are relative to its own directory.
fn config(kind: Kind, setting: &Setting<'_>, listen: SocketAddr, admin: SocketAddr) -> String {
    let back_end = setting.back_end;
    let pool = match setting.link {
        Link::Mutual => format!(
            r#"tls = "mutual"
ca = "ca.pem"
client_certificate = "authentication.pem"
client_key = "authentication-key.pem"
[[pool.server]]
url = "https://{back_end}"
expected_name = "{BACK_END_NAME}"
"#
        ),
        Link::Plain => format!("[[pool.server]]\nurl = \"http://{back_end}\"\n"),
    };
    let http3 = match setting.protocol {
        Protocol::H1 => "",
        Protocol::H3 => "http3 = true\n",
    };
    format!(
        r#"[gateway]
drain = "0s"

[admin]
address = "{admin}"

[log]
access = "./{kind}-access.log"
level = "warn"

[limits]
connections_per_address = 16384     # all clients share one

[[listener]]
name = "public"
address = "{listen}"
{http3}[[listener.certificate]]
chain = "server.pem"
key = "server-key.pem"

[[realm]]
name = "staff"
method = "basic"
htpasswd = "users"

[[pool]]
name = "connect"
{pool}
[[app]]
name = "connect"
kind = "connect"
public_url = "https://localhost:{port}/"
realm = "staff"
pool = "connect"
[app.lanes]
health_from = ["127.0.0.1"]
anonymous = ["/public"]
discovery_per_minute = 1000000      # likewise
"#,
        port = listen.port(),
    )
}

pub(super) const PROGRAM: &str = "connect-gateway";
