//! Where the load goes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// An HTTPS server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The name that its certificate must have.
    pub(crate) name: String,
    /// Name and port as `Host` has them.
    pub(crate) host: String,
    /// The authorities that may have signed its certificate.
    pub(crate) ca: PathBuf,
}

/// A deployment, as `--url` names it: `https://[NAME:PASSWORD@]HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Url {
    pub(crate) login: Option<String>,
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

impl Target {
    /// A subject on this host.
    pub(crate) fn local(address: SocketAddr, ca: PathBuf) -> Self {
        Self {
            address,
            name: LOCAL_NAME.to_owned(),
            host: format!("{LOCAL_NAME}:{}", address.port()),
            ca,
        }
    }
}

impl Url {
    /// The first address of the name, with the system's authorities or those of `SSL_CERT_FILE`.
    pub(crate) fn resolve(&self) -> Result<Target> {
        let name = self.name.trim_matches(['[', ']']);
        let addresses = (name, self.port).to_socket_addrs();
        let mut addresses = addresses.with_context(|| format!("cannot resolve {name}"))?;
        let ca = std::env::var_os("SSL_CERT_FILE")
            .map_or_else(|| Path::new(SYSTEM_AUTHORITIES).to_owned(), PathBuf::from);
        Ok(Target {
            address: addresses
                .next()
                .with_context(|| format!("{name} has no address"))?,
            name: name.to_owned(),
            host: match self.port {
                HTTPS => self.name.clone(),
                port => format!("{}:{port}", self.name),
            },
            ca,
        })
    }
}

impl FromStr for Url {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix("https://") else {
            bail!("{text:?} does not begin with https://");
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(login.to_owned()), authority),
            None => (None, authority),
        };
        // An IPv6 address has colons of its own, in brackets.
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (
                name,
                port.parse().with_context(|| format!("the port {port:?}"))?,
            ),
            _ => (authority, HTTPS),
        };
        if name.is_empty() || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{text:?} is no URL");
        }
        Ok(Self {
            login,
            name: name.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

const LOCAL_NAME: &str = "localhost";
const HTTPS: u16 = 443;
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_login_and_path() {
        let url = |login: Option<&str>, name: &str, port, path: &str| Url {
            login: login.map(str::to_owned),
            name: name.to_owned(),
            port,
            path: path.to_owned(),
        };
        for (text, expected) in [
            ("https://a.test", url(None, "a.test", 443, "/")),
            (
                "https://u:p@a.test:8443/x?y",
                url(Some("u:p"), "a.test", 8443, "/x?y"),
            ),
            (
                "https://u:p@x@a.test/",
                url(Some("u:p@x"), "a.test", 443, "/"),
            ),
            ("https://[::1]/", url(None, "[::1]", 443, "/")),
            ("https://[::1]:8443/", url(None, "[::1]", 8443, "/")),
        ] {
            assert_eq!(text.parse::<Url>().unwrap(), expected, "{text}");
        }
        for text in [
            "http://a.test/",
            "a.test",
            "https://",
            "https://a:b/",
            "https://a/b c",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_names_a_port_only_if_it_is_not_the_usual() {
        let host = |text: &str| text.parse::<Url>().unwrap().resolve().unwrap().host;
        assert_eq!(host("https://127.0.0.1/"), "127.0.0.1");
        assert_eq!(host("https://[::1]:8443/"), "[::1]:8443");
    }
}
