//! The front: accepting TLS, the certificate chosen by SNI.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use config::{Certificate, Diagnostic, TlsRecords};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::net::TcpStream;

use super::records::{Records, Shaken};
use super::socket::Socket;
use super::stock::Stock;
use super::{Transport, certified_key, provider};

/// Accepts TLS for one listener; shared by all workers, so that a session ticket of one is good
/// at all.
#[derive(Clone)]
pub(crate) struct Acceptor {
    keys: Arc<BySni>,
    stock: tokio_rustls::TlsAcceptor,
    /// TLS 1.3 only, for records of our own.
    own: Option<Arc<ServerConfig>>,
    /// For QUIC, where it is served.
    quic: Option<Arc<QuicServerConfig>>,
}

impl Acceptor {
    /// An acceptor with a listener's certificates, for TCP and, with `http3`, for QUIC; the first
    /// certificate is the default.
    pub(crate) fn new(
        certificates: &[Certificate],
        records: TlsRecords,
        http3: bool,
    ) -> Result<Self, Vec<Diagnostic>> {
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
        let keys = Arc::new(BySni(keys));
        let config = |versions, protocol: &[u8], ticketer: &Arc<dyn ProducesTickets>| {
            let builder =
                ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
            let mut config = builder
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&keys) as Arc<dyn ResolvesServerCert>);
            config.alpn_protocols = vec![protocol.to_vec()];
            config.ticketer = Arc::clone(ticketer);
            // 0-RTT stays off, because it can be replayed: `max_early_data_size` is 0 by default.
            Ok(config)
        };
        let ticketer = Ticketer::new().map_err(unusable)?;
        let own = match records {
            TlsRecords::Own => {
                let mut config = config(&NEW, b"http/1.1", &ticketer).map_err(unusable)?;
                config.enable_secret_extraction = true;
                Some(Arc::new(config))
            }
            TlsRecords::Stock => None,
        };
        let stock = config(ALL_VERSIONS, b"http/1.1", &ticketer).map_err(unusable)?;
        let quic = http3.then(|| {
            // Its own tickets: what was agreed on by TCP is nothing that QUIC could go on with.
            let mut config = config(&NEW, b"h3", &Ticketer::new()?)?;
            // A client has one connection, and one ticket more with each: two would be for as many
            // connections at once, which HTTP/1.1 has.
            config.send_tls13_tickets = 1;
            let config = QuicServerConfig::try_from(config);
            config.map_err(|error| rustls::Error::General(error.to_string()))
        });
        Ok(Self {
            keys,
            stock: tokio_rustls::TlsAcceptor::from(Arc::new(stock)),
            own,
            quic: quic.transpose().map_err(unusable)?.map(Arc::new),
        })
    }

    /// The TLS of QUIC (RFC 9001), if it is served.
    pub(crate) fn quic(&self) -> Option<&Arc<QuicServerConfig>> {
        self.quic.as_ref()
    }

    /// Performs the handshake. Returns the server name that the client asked for, in lower case.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(Transport, Option<Box<str>>)> {
        let Some(config) = &self.own else {
            return self.accept_stock(stream, &[]).await;
        };
        // rustls tells the name to nobody but the resolver, so each handshake has its own.
        let names = Arc::new(Named {
            keys: Arc::clone(&self.keys),
            asked: OnceLock::new(),
        });
        let mut config = ServerConfig::clone(config);
        config.cert_resolver = Arc::clone(&names) as Arc<dyn ResolvesServerCert>;
        match Records::accept(stream, Arc::new(config)).await? {
            Shaken::Done(records) => Ok((Transport::records(records), names.asked.get().cloned())),
            Shaken::Stock(stream, received) => self.accept_stock(stream, &received).await,
        }
    }

    /// As [`Acceptor::accept`], by stock rustls, once some bytes were received.
    async fn accept_stock(
        &self,
        stream: TcpStream,
        received: &[u8],
    ) -> io::Result<(Transport, Option<Box<str>>)> {
        let mut replayed = Ok(());
        let accept = self.stock.accept_with(Socket::new(stream), |connection| {
            replayed = replay(connection, received);
        });
        let mut accept = pin!(accept);
        if let Err(error) = replayed {
            // It has an alert to send, as a courtesy: what went wrong is known.
            poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx).is_ready())).await;
            return Err(error);
        }
        let stream = accept.await?;
        let sni = stream
            .get_ref()
            .1
            .server_name()
            .map(|name| name.to_ascii_lowercase().into());
        Ok((Transport::stock(Stock::Server(Box::new(stream))), sni))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor(..)")
    }
}

/// Shows a connection what was received before.
fn replay(connection: &mut ServerConnection, mut received: &[u8]) -> io::Result<()> {
    while !received.is_empty() {
        connection.read_tls(&mut received)?;
        let state = connection.process_new_packets();
        state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(())
}

/// One handshake's view of the certificates; remembers the name that was asked for.
#[derive(Debug)]
struct Named {
    keys: Arc<BySni>,
    /// In lower case.
    asked: OnceLock<Box<str>>,
}

impl ResolvesServerCert for Named {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // A second hello of the same handshake is shown with the first one's name.
            self.asked.get_or_init(|| name.to_ascii_lowercase().into());
        }
        self.keys.resolve(hello)
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

/// The version that has records of our own, and the only one that QUIC has (RFC 9001 §4.2).
static NEW: [&SupportedProtocolVersion; 1] = [&TLS13];
