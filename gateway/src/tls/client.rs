//! The back: TLS to a back-end, always verified, with our own certificate where it is mutual.

use std::fmt;
use std::io;
use std::sync::Arc;

use config::{Diagnostic, ServerTls, Verify};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpStream;

use super::socket::Socket;
use super::stock::Stock;
use super::{Transport, certified_key, provider};

/// Makes a [`Transport`] of a connected socket, as one server demands it.
#[derive(Clone)]
pub(crate) enum Connector {
    /// Plain TCP.
    Plain,
    /// Verified TLS.
    Tls {
        /// With trust anchors and our certificate, if any.
        config: tokio_rustls::TlsConnector,
        /// The name that the server's certificate must carry.
        name: ServerName<'static>,
    },
}

impl Connector {
    /// What a server's configuration demands.
    pub(crate) fn new(tls: &ServerTls) -> Result<Self, Diagnostic> {
        match tls {
            ServerTls::Mutual {
                verify,
                certificate,
            } => {
                let key = certified_key(certificate)?;
                Self::verified(verify, Some(Arc::new(SingleCertAndKey::from(key))))
            }
            ServerTls::Off => Ok(Self::Plain),
            ServerTls::Verify(verify) => Self::verified(verify, None),
        }
    }

    /// Performs the handshake, if there is one. With TLS 1.3 the server may refuse our certificate
    /// only when the first answer is read.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<Transport> {
        match self {
            Self::Plain => Ok(Transport::plain(stream)),
            Self::Tls { config, name } => {
                let stream = config.connect(name.clone(), Socket::new(stream)).await?;
                Ok(Transport::stock(Stock::Client(Box::new(stream))))
            }
        }
    }

    fn verified(verify: &Verify, ours: Option<Arc<SingleCertAndKey>>) -> Result<Self, Diagnostic> {
        let mut roots = RootCertStore::empty();
        for certificate in &verify.ca {
            roots.add(certificate.clone()).map_err(|error| {
                verify
                    .ca_origin
                    .fault(format!("this is no usable trust anchor: {error}"))
            })?;
        }
        let fault = |error: &dyn fmt::Display| {
            verify
                .ca_origin
                .fault(format!("TLS cannot be set up: {error}"))
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| fault(&error))?;
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(&error))?
            .with_webpki_verifier(verifier);
        let config = match ours {
            Some(resolver) => builder.with_client_cert_resolver(resolver),
            None => builder.with_no_client_auth(),
        };
        Ok(Self::Tls {
            config: tokio_rustls::TlsConnector::from(Arc::new(config)),
            name: verify.expected_name.clone(),
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("Plain"),
            Self::Tls { name, .. } => write!(f, "Tls({name:?})"),
        }
    }
}
