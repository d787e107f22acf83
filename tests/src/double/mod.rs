//! The Connect double: an HTTP server that plays Posit Connect and a DeployR-like back-end, and
//! remembers what it was sent.
//!
//! It is the oracle of the black-box tests, so it shares no code with the gateway: it reads
//! HTTP/1.1 on its own and leniently, keeps every header line as it came, and verifies the
//! deployment clients' signatures and checksums over the bytes that arrived. Bodies stream; only
//! digests and a short prefix are kept. One thread serves one connection.

mod api;
mod body;
mod deployr;
mod digest;
mod generic;
mod head;
mod identity;
mod inspect;
mod library;
mod pages;
mod public_url;
mod query;
mod recorder;
mod reply;
mod serve;
mod signature;
mod stream;
mod tls;
mod tokens;
mod websocket;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use self::library::Library;
use self::recorder::Recorder;
use self::serve::Site;
use self::tokens::Tokens;

/// What a double is to serve. Port 0 lets the system choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connect over plain HTTP.
    pub connect: Option<SocketAddr>,
    /// The DeployR-like app over mutual TLS; needs `tls`.
    pub deployr: Option<SocketAddr>,
    /// The observation listener, plain HTTP.
    pub inspect: SocketAddr,
    /// The files of the DeployR-like app's TLS.
    pub tls: Option<TlsFiles>,
    /// The API keys that Connect knows.
    pub api_keys: Vec<String>,
    /// The header that names the visitor.
    pub username_header: String,
}

impl Default for Options {
    /// Connect and the observation listener on free loopback ports, no DeployR.
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            connect: Some(loopback),
            deployr: None,
            inspect: loopback,
            tls: None,
            api_keys: vec![TEST_API_KEY.to_owned()],
            username_header: USERNAME_HEADER.to_owned(),
        }
    }
}

/// PEM files for a listener that demands a client certificate.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
    /// The authorities that sign acceptable client certificates.
    pub client_ca: PathBuf,
}

/// A running double. Its threads live until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Double {
    /// Where Connect listens.
    pub connect: Option<SocketAddr>,
    /// Where the DeployR-like app listens.
    pub deployr: Option<SocketAddr>,
    /// Where the observation listener is.
    pub inspect: SocketAddr,
}

impl Double {
    /// Binds every listener, then starts to accept.
    ///
    /// # Errors
    ///
    /// A listener that cannot be bound, unusable TLS files, or DeployR without them.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let tls = match (&options.deployr, &options.tls) {
            (Some(_), Some(files)) => Some(tls::server_config(files)?),
            (Some(_), None) => anyhow::bail!("the deployr app needs TLS files"),
            (None, _) => None,
        };
        let shared = Arc::new(Shared {
            recorder: Recorder::default(),
            tokens: Tokens::default(),
            library: Library::default(),
            api_keys: options.api_keys.clone(),
            username_header: options.username_header.clone(),
        });
        let connect = options.connect.map(bind).transpose()?;
        let deployr = options.deployr.map(bind).transpose()?;
        let inspect = bind(options.inspect)?;
        let double = Self {
            connect: address(connect.as_ref())?,
            deployr: address(deployr.as_ref())?,
            inspect: inspect.local_addr()?,
        };
        if let Some(listener) = connect {
            serve::spawn(listener, Site::Connect, None, Arc::clone(&shared))?;
        }
        if let Some(listener) = deployr {
            serve::spawn(listener, Site::Deployr, tls, Arc::clone(&shared))?;
        }
        serve::spawn(inspect, Site::Inspect, None, shared)?;
        Ok(double)
    }

    /// The line that the binary prints when it is ready.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "connect": self.connect.map(|address| address.to_string()),
            "deployr": self.deployr.map(|address| address.to_string()),
            "inspect": self.inspect.to_string(),
        })
        .to_string()
    }
}

/// The API key that a double knows unless told otherwise.
pub const TEST_API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// Connect's own default for the header that names the visitor.
pub const USERNAME_HEADER: &str = "X-Auth-Username";

/// What all listeners of one double share.
struct Shared {
    recorder: Recorder,
    tokens: Tokens,
    library: Library,
    api_keys: Vec<String>,
    username_header: String,
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn address(listener: Option<&TcpListener>) -> std::io::Result<Option<SocketAddr>> {
    listener.map(TcpListener::local_addr).transpose()
}
