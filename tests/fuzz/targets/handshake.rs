//! A handshake in front of a client that may send anything, and of one that has the keys and may
//! seal anything: it never panics, holds no more than it may, is never done, and leaves all for
//! another configuration until something was said.
//!
//! Input: the size of the pieces, times 64; then records: content type, length, padding in units of
//! 64 bytes, content. Those bytes are also sent as they are.

#![no_main]

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use record::{Handshake, HandshakeError, Key, MAX_HANDSHAKE, MAX_PAYLOAD, OVERHEAD, Step};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::tls13::{OkmBlock, expand};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, Error, KeyLog, RootCertStore,
    ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite,
};

fuzz_target!(|data: &[u8]| {
    let Some((&size, rest)) = data.split_first() else {
        return;
    };
    let size = (usize::from(size) * 64).max(1);
    Server::new().show(rest, size);

    let mut server = Server::new();
    let mut client = Client::new(&mut server);
    let sealed = client.seal(rest);
    server.show(&sealed, size);
});

/// The handshake under test, and all that it was sent.
struct Server {
    handshake: Handshake,
    sent: Vec<u8>,
    received: BytesMut,
    out: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        Self {
            handshake: Handshake::new(Arc::clone(&SERVER)).expect("a fitting configuration"),
            sent: Vec::new(),
            received: BytesMut::new(),
            out: Vec::new(),
        }
    }

    /// Sends it `bytes` in pieces, up to where it fails.
    fn show(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.sent.extend_from_slice(piece);
            self.received.extend_from_slice(piece);
            match self.handshake.advance(&mut self.received, &mut self.out) {
                Ok(Step::Done) => panic!("done without a proof"),
                Ok(Step::NeedMore) => assert!(self.received.len() < MAX_HANDSHAKE),
                Err(HandshakeError::First(_)) => {
                    assert!(self.out.is_empty());
                    assert_eq!(self.received, self.sent);
                    return;
                }
                Err(HandshakeError::Later(_)) => {
                    assert!(!self.out.is_empty());
                    return;
                }
            }
        }
    }
}

/// A client that has heard the server's first answer.
struct Client {
    key: Key,
}

impl Client {
    fn new(server: &mut Server) -> Self {
        let secret = Arc::new(Secret::default());
        let mut config = ClientConfig::clone(&CLIENT);
        config.key_log = Arc::clone(&secret) as Arc<dyn KeyLog>;
        let name = "localhost".try_into().expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("there is memory");
        server.show(&hello, hello.len());
        let mut answer = &server.out[..];
        client.read_tls(&mut answer).expect("there is something");
        let trusted = client.process_new_packets();
        assert!(trusted.is_err(), "it trusts nobody");
        let secret = secret.0.get().expect("it knows the secret before that");
        Self {
            key: Key::new(0, &secrets(secret)).expect("a known cipher"),
        }
    }

    fn seal(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        while let Some((&[kind, length, padding], rest)) = input.split_first_chunk() {
            let (content, rest) = rest.split_at(usize::from(length).min(rest.len()));
            input = rest;
            let mut content = content.to_vec();
            content.push(kind);
            content.resize(content.len() + usize::from(padding) * 64, 0);
            content.truncate(MAX_PAYLOAD + 1);
            let kind = content.pop().expect("at least a content type");
            let mut out = vec![0; content.len() + OVERHEAD];
            self.key
                .seal(kind, &mut &content[..], content.len(), &mut out)
                .expect("there is room");
            sealed.extend(out);
        }
        sealed
    }
}

/// What the client's handshake is sealed with.
#[derive(Debug, Default)]
struct Secret(OnceLock<Vec<u8>>);

impl KeyLog for Secret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "CLIENT_HANDSHAKE_TRAFFIC_SECRET" {
            self.0.set(secret.to_vec()).expect("there is one");
        }
    }
}

/// RFC 8446 §7.3.
fn secrets(secret: &[u8]) -> ConnectionTrafficSecrets {
    let hkdf = SUITE.tls13().expect("a suite of TLS 1.3").hkdf_provider;
    let expander = hkdf.expander_for_okm(&OkmBlock::new(secret));
    ConnectionTrafficSecrets::Chacha20Poly1305 {
        key: expand(expander.as_ref(), &[&[0, 32, 9], b"tls13 key", &[0]]),
        iv: expand(expander.as_ref(), &[&[0, 12, 8], b"tls13 iv", &[0]]),
    }
}

/// A certificate and a key that prove nothing: the client's keys come before the proof.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = CertificateDer::from(&b"no certificate"[..]);
        let key = CertifiedKey::new(vec![certificate], Arc::new(Self));
        Some(Arc::new(key))
    }
}

impl SigningKey for Nobody {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![0; 64])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

static SERVER: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("they fit")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nobody));
    config.enable_secret_extraction = true;
    Arc::new(config)
});

static CLIENT: LazyLock<ClientConfig> = LazyLock::new(|| {
    let mut provider = default_provider();
    provider.cipher_suites = vec![SUITE];
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("they fit")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
});

/// Its key has the one length that rustls lets others make.
static SUITE: SupportedCipherSuite = cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
