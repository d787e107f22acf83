//! nginx, tuned for the job: kept connections on both sides, buffers large enough that nothing goes
//! to a file, a buffered log.

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
        .write("nginx.conf", &config(setting, listen))?;
    let mut command = tied(&installed("nginx", "nginx")?);
    command.arg("-p").arg(setting.place.directory());
    command.arg("-e").arg("stderr").arg("-c").arg(path);
    Ok(command)
}

/// Paths in it are relative to the run's directory.
fn config(setting: &Setting<'_>, listen: SocketAddr) -> String {
    let back_end = setting.back_end;
    let (scheme, upstream_tls) = match setting.link {
        Link::Mutual => (
            "https",
            format!(
                r"
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_certificate authentication.pem;
            proxy_ssl_certificate_key authentication-key.pem;
            proxy_ssl_trusted_certificate ca.pem;
            proxy_ssl_verify on;
            proxy_ssl_server_name on;
            proxy_ssl_name {BACK_END_NAME};"
            ),
        ),
        Link::Plain => ("http", String::new()),
    };
    // Many datagrams for a system call, as with the others: nginx does so if it is told to.
    let http3 = match setting.protocol {
        Protocol::H1 => String::new(),
        Protocol::H3 => format!("\n        listen {listen} quic;\n        quic_gso on;"),
    };
    let credential = basic(&format!("{USER}:{PASSWORD}"));
    format!(
        r#"daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
worker_rlimit_nofile 16384;
events {{
    worker_connections 8192;
}}
http {{
    client_body_temp_path nginx-body;
    proxy_temp_path nginx-proxy;
    fastcgi_temp_path nginx-fastcgi;
    uwsgi_temp_path nginx-uwsgi;
    scgi_temp_path nginx-scgi;

    log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr",'
        '"host":"$http_host","method":"$request_method","path":"$uri","status":$status,'
        '"received":$request_length,"sent":$body_bytes_sent,"took":$request_time,'
        '"user":"$visitor","back_end":"$upstream_addr","back_end_status":"$upstream_status",'
        '"back_end_took":"$upstream_response_time"}}';
    access_log nginx-access.log json buffer=64k flush=1s;

    map_hash_bucket_size 128;
    map $http_authorization $visitor {{
        default "";
        "{credential}" {USER};
    }}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        "" "";
    }}

    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    tcp_nodelay on;

    upstream connect {{
        server {back_end};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} ssl backlog=4096;{http3}
        server_name localhost;
        ssl_certificate server.pem;
        ssl_certificate_key server-key.pem;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
        ssl_ecdh_curve X25519:prime256v1;
        ssl_session_tickets on;

        location / {{
            if ($visitor = "") {{
                return 401;
            }}
            proxy_pass {scheme}://connect;{upstream_tls}
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffers 16 16k;
            proxy_max_temp_file_size 0;
            proxy_read_timeout 1h;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Authorization "";
            proxy_set_header X-Auth-Username $visitor;
            proxy_set_header X-Auth-Email "";
            proxy_set_header X-Auth-First-Name "";
            proxy_set_header X-Auth-Groups "";
            proxy_set_header X-Auth-ID "";
            proxy_set_header X-Auth-Last-Name "";
            proxy_set_header X-Auth-RSC-Role "";
            proxy_set_header X-RSC-Request https://$http_host$request_uri;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host "";
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Forwarded "";
        }}
    }}
}}
"#
    )
}

/// What it says of itself (`-V`) if it speaks HTTP/3.
pub(super) const HTTP3: &str = "--with-http_v3_module";
