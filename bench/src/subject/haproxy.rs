//! HAProxy, as its manual would have it do the job; the log goes to a file.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::process::{installed, tied};
use super::{Link, Setting};
use crate::order::Protocol;
use crate::scenario::{PASSWORD, USER, basic};
use crate::tls::BACK_END_NAME;

pub(super) fn command(setting: &Setting<'_>, listen: SocketAddr) -> Result<Command> {
    let path = setting
        .place
        .write("haproxy.cfg", &config(setting, listen))?;
    let mut command = tied(&installed("haproxy", "haproxy")?);
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}

fn config(setting: &Setting<'_>, listen: SocketAddr) -> String {
    let back_end = setting.back_end;
    let file = |name: &str| setting.place.path(name).display().to_string();
    let upstream_tls = match setting.link {
        Link::Mutual => format!(
            " ssl ssl-min-ver TLSv1.3 verify required ca-file {} crt {} \
             verifyhost {BACK_END_NAME} sni str({BACK_END_NAME})",
            file("ca.pem"),
            file("authentication-both.pem"),
        ),
        Link::Plain => String::new(),
    };
    let http3 = match setting.protocol {
        Protocol::H1 => String::new(),
        Protocol::H3 => format!(
            "\n    bind quic4@{listen} ssl crt {} alpn h3",
            file("server-both.pem")
        ),
    };
    let credential = basic(&format!("{USER}:{PASSWORD}"));
    let deleted: String = DELETED
        .iter()
        .map(|name| format!("    http-request del-header {name}\n"))
        .collect();
    format!(
        r#"global
    nbthread 1
    maxconn 8000
    log stdout format raw local0
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
    ssl-default-bind-curves X25519:P-256

defaults
    mode http
    log global
    maxconn 8000
    http-reuse always
    timeout connect 10s
    timeout client 75s
    timeout http-keep-alive 75s
    timeout server 1h
    timeout tunnel 24h

frontend public
    bind {listen} ssl crt {server} alpn http/1.1 backlog 4096{http3}
    log-format '{{"time":"%trl","client":"%ci","method":"%HM","path":"%HP","status":%ST,"received":%U,"sent":%B,"took":%Ta,"user":"%[var(txn.user)]","back_end":"%s","back_end_took":%Tr,"end":"%ts"}}'
    acl known req.hdr(authorization) -m str "{credential}"
    http-request deny deny_status 401 unless known
    http-request set-var(txn.user) str({USER})
{deleted}    http-request set-header X-Auth-Username %[var(txn.user)]
    http-request set-header X-RSC-Request https://%[req.hdr(host)]%[pathq]
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    default_backend connect

backend connect
    server connect {back_end}{upstream_tls}
"#,
        server = file("server-both.pem"),
    )
}

/// What it says of itself (`-vv`) if it speaks HTTP/3.
pub(super) const HTTP3: &str = "+QUIC";
const DELETED: &[&str] = &[
    "Authorization",
    "Forwarded",
    "X-Auth-Email",
    "X-Auth-First-Name",
    "X-Auth-Groups",
    "X-Auth-ID",
    "X-Auth-Last-Name",
    "X-Auth-RSC-Role",
    "X-Forwarded-Host",
];
