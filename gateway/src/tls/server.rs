//! The front: accepting TLS, the certificate chosen by SNI.

use std::fmt;
use std::io;
use std::sync::Arc;

use config::{Certificate, Diagnostic};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;

use super::socket::Socket;
use super::{Io, Transport, certified_key, provider};

/// Accepts TLS for one listener; shared by all workers, so that a session ticket of one is good
/// at all.
#[derive(Clone)]
pub(crate) struct Acceptor(tokio_rustls::TlsAcceptor);

impl Acceptor {
    /// An acceptor with a listener's certificates; the first is the default.
    pub(crate) fn new(certificates: &[Certificate]) -> Result<Self, Vec<Diagnostic>> {
        let mut keys = Vec::new();
        let mut faults = Vec::new();
        for certificate in certificates {
            match certified_key(certificate) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let unusable = |error: rustls::Error| {
            let message = format!("TLS cannot be set up: {error}");
            let origins = certificates
                .iter()
                .map(|certificate| &certificate.chain_origin);
            origins
                .take(1)
                .map(|origin| origin.fault(&message))
                .collect::<Vec<_>>()
        };
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni(keys)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = Ticketer::new().map_err(unusable)?;
        // 0-RTT stays off, because it can be replayed: `max_early_data_size` is 0 by default.
        Ok(Self(tokio_rustls::TlsAcceptor::from(Arc::new(config))))
    }

    /// Performs the handshake. Returns the server name that the client asked for, in lower case.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(Transport, Option<Box<str>>)> {
        let stream = self.0.accept(Socket::new(stream)).await?;
        let sni = stream
            .get_ref()
            .1
            .server_name()
            .map(|name| name.to_ascii_lowercase().into());
        Ok((Transport::new(Io::Server(Box::new(stream))), sni))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor(..)")
    }
}

/// The first certificate that is valid for the asked name, else the first of all.
#[derive(Debug)]
struct BySni(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let default = self.0.first();
        // With one certificate there is nothing to choose.
        let named = match hello.server_name() {
            Some(name) if self.0.len() > 1 => {
                let name = ServerName::DnsName(DnsName::try_from(name).ok()?);
                self.0.iter().find(|key| is_valid_for(key, &name))
            }
            _ => None,
        };
        named.or(default).cloned()
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
}
