//! A client of HTTPS: hosted content that calls Connect's public address, or somebody who has found a
//! way to the service.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Outcome;
use crate::harness::{ALICE, Client, Request, trust};

/// The answer is the status and the body.
#[derive(Args)]
pub(super) struct Get {
    address: SocketAddr,
    /// The authority that signed the server's certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Its own certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The host
    #[arg(long)]
    host: String,
    /// The path
    #[arg(long, default_value = "/content/1/")]
    path: String,
}

impl Get {
    pub(super) fn attempt(&self) -> Result<Outcome> {
        if let Err(error) = TcpStream::connect(self.address) {
            return Ok(Outcome::of(&error));
        }
        let ca = CertificateDer::from_pem_file(&self.ca)?;
        let mut client = Client::tls(self.address, self.config(ca)?, &self.host);
        let request = Request::get(&self.path).on(&self.host).by(&ALICE);
        // A server that asks for a certificate may have ended it already.
        if let Err(error) = client.try_send(&request.bytes()) {
            return Ok(Outcome::of(&error));
        }
        Ok(match client.read_answer(false) {
            Ok(answer) => Outcome::Connected {
                answer: format!("{} {}", answer.status, answer.text().trim_end()),
            },
            Err(_) => Outcome::Cut,
        })
    }

    fn config(&self, ca: CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(trust(ca));
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca)?;
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        Ok(Arc::new(config))
    }
}
