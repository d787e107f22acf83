//! rustls configurations for the test's own ends.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::Leaf;

/// A server that asks its clients for nothing.
pub fn accept(leaf: &Leaf) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain(), leaf.key())
        .unwrap();
    Arc::new(config)
}

/// A server that lets in only clients with a certificate of that authority.
pub fn accept_clients_of(ca: CertificateDer<'static>, leaf: &Leaf) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca), provider.clone())
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(leaf.chain(), leaf.key())
        .unwrap();
    Arc::new(config)
}

/// A client that trusts one authority.
pub(crate) fn trust(ca: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A client of HTTP/3 that trusts one authority.
pub fn trust_http3(ca: CertificateDer<'static>) -> ClientConfig {
    let mut config = ClientConfig::clone(&trust(ca));
    config.alpn_protocols = vec![b"h3".to_vec()];
    config
}

fn roots(ca: CertificateDer<'static>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    Arc::new(roots)
}
