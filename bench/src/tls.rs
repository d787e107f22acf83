//! TLS 1.3 as every part of a benchmark speaks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedCipherSuite, WantsVerifier,
    quic,
};
use thiserror::Error;

use crate::order::Group;

/// A client that trusts the authorities in `ca` and offers one key exchange. It resumes its
/// sessions if `resume` says so.
pub fn client(ca: &Path, group: Group, resume: bool) -> Result<ClientConfig, TlsError> {
    // What every subject chooses of `probe`'s, so that all do the same work.
    let suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let mut config = anonymous(ca, vec![group.of()], suites)?;
    if !resume {
        config.resumption = Resumption::disabled();
    }
    Ok(config)
}

/// A client that speaks HTTP/3, else as [`client`]'s without resumption.
pub(crate) fn http3_client(ca: &Path, group: Group) -> Result<ClientConfig, TlsError> {
    let mut config = client(ca, group, false)?;
    config.alpn_protocols = vec![b"h3".to_vec()];
    Ok(config)
}

/// The cipher of QUIC's first packets (RFC 9001 §5.2), which nobody chooses.
pub(crate) fn quic_initial() -> Result<quic::Suite, TlsError> {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = suite.tls13().and_then(rustls::Tls13CipherSuite::quic_suite);
    suite.ok_or(TlsError::NoQuic)
}

/// A client that offers what OpenSSL's do, wrk among them, in their order. It resumes no session.
pub(crate) fn probe(ca: &Path) -> Result<ClientConfig, TlsError> {
    let suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    ];
    let groups = vec![Group::X25519.of(), Group::P256.of()];
    let mut config = anonymous(ca, groups, suites)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A client as the floor is one of its back-end's: it has a certificate of its own.
pub fn mutual_client(ca: &Path, own: &Pair) -> Result<ClientConfig, TlsError> {
    let (chain, key) = own.read()?;
    let suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    Ok(builder(vec![Group::X25519.of()], suites)?
        .with_root_certificates(roots(ca)?)
        .with_client_auth_cert(chain, key)?)
}

/// A server that asks nobody for a certificate.
pub fn server(own: &Pair) -> Result<ServerConfig, TlsError> {
    let (chain, key) = own.read()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A server that wants a certificate signed by an authority in `ca`.
pub fn mutual_server(ca: &Path, own: &Pair) -> Result<ServerConfig, TlsError> {
    let (chain, key) = own.read()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), Arc::clone(&provider))
            .build()?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?)
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Pair {
    /// `NAME.pem` and `NAME-key.pem`.
    pub fn of(directory: &Path, name: &str) -> Self {
        Self {
            chain: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}-key.pem")),
        }
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| TlsError::Read(self.key.clone(), error))?;
        Ok((certificates(&self.chain)?, key))
    }
}

/// The name in the back-end's certificate.
pub const BACK_END_NAME: &str = "backend.internal";

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A configuration that rustls refuses.
    #[error(transparent)]
    Config(#[from] rustls::Error),
    /// A cipher that QUIC cannot use.
    #[error("no cipher for QUIC")]
    NoQuic,
    /// A file that cannot be read, or is no PEM.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, pem::Error),
    /// No authority that clients' certificates could be checked with.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
}

impl Group {
    fn of(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::P256 => aws_lc_rs::kx_group::SECP256R1,
            Self::X25519 => aws_lc_rs::kx_group::X25519,
        }
    }
}

fn anonymous(
    ca: &Path,
    kx_groups: Vec<&'static dyn SupportedKxGroup>,
    cipher_suites: Vec<SupportedCipherSuite>,
) -> Result<ClientConfig, TlsError> {
    let mut config = builder(kx_groups, cipher_suites)?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn builder(
    kx_groups: Vec<&'static dyn SupportedKxGroup>,
    cipher_suites: Vec<SupportedCipherSuite>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = CryptoProvider {
        kx_groups,
        cipher_suites,
        ..aws_lc_rs::default_provider()
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?)
}

fn roots(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system's bundle may have some that webpki cannot use: who needs one of them is told so by
    // the handshake.
    roots.add_parsable_certificates(certificates(ca)?);
    Ok(roots)
}

/// All in a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::Read(path.to_owned(), error))
}
