//! Session tickets of one name, and hellos with another.

use std::sync::Mutex;

use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::pki_types::ServerName;
use rustls::{Error, HandshakeKind, NamedGroup};

use super::*;

/// RFC 6066 §3: it must not be resumed. Else whoever is sent the one name's certificate could ask the
/// other name's applications.
#[test]
fn a_ticket_is_of_no_use_for_another_name() {
    for records in [TlsRecords::Own, TlsRecords::Stock] {
        for retry in [false, true] {
            println!("{records:?}, again: {retry}");
            let hosts = NAMES.map(self_signed);
            let certificates = hosts.each_ref().map(certificate);
            let acceptor = Acceptor::new(&certificates, records, false).unwrap();
            let config = config_of(&hosts, retry);
            let full = match retry {
                false => HandshakeKind::Full,
                true => HandshakeKind::FullWithHelloRetryRequest,
            };
            // How a resumed one came about is not told.
            let resumed = HandshakeKind::Resumed;
            for (host, kind) in [(0, full), (0, resumed), (1, full), (1, resumed), (0, full)] {
                let config = Arc::clone(&config);
                let connect = move |address| Peer::by(config, NAMES[host], address, b"");
                accepted(&acceptor, connect, async |mut peer, transport, sni| {
                    assert_eq!(sni.as_deref(), Some(NAMES[host]));
                    // The tickets come before it.
                    transport.shutdown().await.unwrap();
                    assert_eq!(peer.read_to_end(), b"");
                    assert_eq!(peer.tls.handshake_kind(), Some(kind), "{host}");
                    let shown = peer.tls.peer_certificates().unwrap();
                    assert_eq!(shown, [hosts[host].cert.der().clone()]);
                });
            }
        }
    }
}

/// A client that has one ticket for all names, and whose first choice of a key exchange is nobody's if
/// it is to say hello again.
fn config_of(hosts: &[rcgen::CertifiedKey<KeyPair>], retry: bool) -> Arc<ClientConfig> {
    let mut crypto = rustls::crypto::CryptoProvider::clone(&provider());
    if retry {
        crypto.kx_groups.insert(0, &Foreign);
    }
    let mut roots = RootCertStore::empty();
    for host in hosts {
        roots.add(host.cert.der().clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(OneTicket::default()));
    Arc::new(config)
}

/// The last ticket, whoever gave it; it remembers no server's key exchange.
#[derive(Debug, Default)]
struct OneTicket(Mutex<Option<Tls13ClientSessionValue>>);

impl ClientSessionStore for OneTicket {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        *self.0.lock().unwrap() = Some(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap().take()
    }
}

/// A key exchange by a name that no server here knows.
#[derive(Debug)]
struct Foreign;

impl SupportedKxGroup for Foreign {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(ForeignExchange(kx_group::X25519.start()?)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

struct ForeignExchange(Box<dyn ActiveKeyExchange>);

impl ActiveKeyExchange for ForeignExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.0.complete(peer)
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn group(&self) -> NamedGroup {
        Foreign.name()
    }
}

const NAMES: [&str; 2] = ["one.example", "two.example"];
