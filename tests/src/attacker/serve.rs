//! Whoever listens: the service, a thief, the gateway's public side.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde::Serialize;
use serde_json::json;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::flood::raise_limit;
use super::sys::select_by_syn;
use super::{Outcome, print, who};

/// Prints `listening`, or an outcome if it may not; then `accepted`, `received`, `ended`.
///
/// A line is answered with this server's name and the line; after `bye` it closes, on `abort` it
/// resets. With `--http` a request's head is answered with 200.
#[derive(Args, Clone)]
pub(super) struct Serve {
    /// Where; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Listen without bind(2), on a port that the kernel chooses for this address's family
    #[arg(long, value_name = "ADDRESS")]
    autobind: Option<IpAddr>,
    /// What it calls itself
    #[arg(long, default_value = "service")]
    name: String,
    /// Answer HTTP/1.1
    #[arg(long)]
    http: bool,
    /// Serve over TLS with this chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_chain: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Serve only clients with a certificate of this authority, PEM
    #[arg(long, value_name = "FILE", requires = "tls_chain")]
    client_ca: Option<PathBuf>,
    /// Listen for Multipath TCP
    #[arg(long)]
    mptcp: bool,
    /// Share the port
    #[arg(long)]
    reuse_port: bool,
    /// Share the port as the second, and have all but SYNs
    #[arg(long, requires = "reuse_port")]
    take_acknowledgements: bool,
    /// Accept what is for other addresses (IP_TRANSPARENT)
    #[arg(long)]
    transparent: bool,
    /// Enter this cgroup once the listening sockets are made
    #[arg(long, value_name = "DIR")]
    then_cgroup: Option<PathBuf>,
}

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// By a FIN.
    End,
    /// By a reset, or SOCK_DESTROY.
    Reset,
}

impl Serve {
    pub(super) fn run(self) -> Result<()> {
        raise_limit(16_000)?;
        let tls = self.tls()?;
        let mut listeners = Vec::new();
        let addresses = self.listen.iter().map(|&address| (address, true));
        let autobind = self.autobind.map(|ip| (SocketAddr::from((ip, 0)), false));
        for (address, bind) in addresses.chain(autobind) {
            match self.open(address, bind)? {
                Ok(listener) => listeners.push(listener),
                Err(error) => return print(&Outcome::of(&error)),
            }
        }
        if let Some(cgroup) = &self.then_cgroup {
            who::enter(cgroup)?;
        }
        let addresses: Vec<_> = listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.as_socket().map(|at| at.to_string())))
            .collect::<Result<_>>()?;
        print(&json!({"event": "listening", "addresses": addresses}))?;
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (server, tls) = (self.clone(), tls.clone());
                std::thread::spawn(move || server.accept(&listener, tls.as_ref()))
            })
            .collect();
        for thread in accepting {
            thread
                .join()
                .ok()
                .context("the accepting thread panicked")??;
        }
        Ok(())
    }

    /// The inner error is what bind(2) and listen(2) say.
    fn open(&self, address: SocketAddr, bind: bool) -> Result<std::io::Result<Socket>> {
        let protocol = match self.mptcp {
            true => Protocol::MPTCP,
            false => Protocol::TCP,
        };
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(protocol)).context("socket")?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(self.reuse_port)?;
        if self.transparent {
            socket.set_ip_transparent_v4(true)?;
        }
        let bound = match bind {
            true => socket.bind(&address.into()),
            false => Ok(()),
        };
        let listens = bound.and_then(|()| socket.listen(4096));
        if self.take_acknowledgements && listens.is_ok() {
            select_by_syn(&socket).context("SO_ATTACH_REUSEPORT_CBPF")?;
        }
        Ok(listens.map(|()| socket))
    }

    fn accept(&self, listener: &Socket, tls: Option<&Arc<ServerConfig>>) -> Result<()> {
        loop {
            let (socket, peer) = listener.accept()?;
            let peer = peer.as_socket().context("a peer without an address")?;
            print(&json!({"event": "accepted", "peer": peer.to_string()}))?;
            let connection = Connection {
                server: self.clone(),
                tcp: TcpStream::from(socket),
                peer,
                tls: tls.cloned(),
            };
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || connection.run())?;
        }
    }

    fn tls(&self) -> Result<Option<Arc<ServerConfig>>> {
        let (Some(chain), Some(key)) = (&self.tls_chain, &self.tls_key) else {
            return Ok(None);
        };
        let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(key)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(ca)?)?;
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?,
                )
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Some(Arc::new(builder.with_single_cert(chain, key)?)))
    }
}

impl Ending {
    /// What reading says; nothing if there are bytes.
    pub(super) fn of(mut socket: &Socket) -> Option<Self> {
        match socket.read(&mut [0]) {
            Ok(0) => Some(Self::End),
            Ok(_) => None,
            Err(_) => Some(Self::Reset),
        }
    }
}

struct Connection {
    server: Serve,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

impl Connection {
    /// A line that cannot be printed has nobody to read it: the process ends with its reader.
    fn run(self) {
        let ended = match &self.tls {
            None => self.converse(&self.tcp),
            Some(config) => match ServerConnection::new(config.clone()) {
                Ok(tls) => self.converse(StreamOwned::new(tls, &self.tcp)),
                Err(error) => Err(error.into()),
            },
        };
        let how = match ended {
            Ok(()) => json!(Ending::End),
            Err(error) => match error.downcast_ref::<std::io::Error>().map(|io| io.kind()) {
                Some(
                    ErrorKind::BrokenPipe
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset,
                ) => json!(Ending::Reset),
                _ => json!(error.to_string()),
            },
        };
        let printed = print(&json!({"event": "ended", "peer": self.peer.to_string(), "how": how}));
        if printed.is_err() {
            std::process::exit(1);
        }
    }

    fn converse(&self, mut stream: impl Read + Write) -> Result<()> {
        let end: &[u8] = match self.server.http {
            true => b"\r\n\r\n",
            false => b"\n",
        };
        let mut buffer = Vec::new();
        let mut bytes = [0; 2048];
        loop {
            while let Some(at) = memchr::memmem::find(&buffer, end) {
                let message: Vec<u8> = buffer.drain(..at + end.len()).collect();
                let text = String::from_utf8_lossy(&message).trim_end().to_owned();
                let peer = self.peer.to_string();
                print(&json!({"event": "received", "peer": peer, "text": text}))?;
                if text == "abort" {
                    return Ok(SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO))?);
                }
                stream.write_all(&self.answer(&text))?;
                stream.flush()?;
                if text == "bye" {
                    return Ok(());
                }
            }
            match stream.read(&mut bytes)? {
                0 => return Ok(()),
                count => buffer.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    fn answer(&self, text: &str) -> Vec<u8> {
        let name = &self.server.name;
        let answer = match self.server.http {
            true => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
                name.len()
            ),
            false => format!("{name} {text}\n"),
        };
        answer.into_bytes()
    }
}
