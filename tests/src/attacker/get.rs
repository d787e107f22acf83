//! A visitor of the gateway: what hosted content that calls Connect's public address is.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Outcome;
use crate::harness::{ALICE, Client, Request, trust};

/// The answer is the status and the body.
#[derive(Args)]
pub(super) struct Get {
    address: SocketAddr,
    /// The authority that signed the gateway's certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
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
        let mut client = Client::tls(self.address, trust(ca), &self.host);
        let answer = client.ask(&Request::get(&self.path).on(&self.host).by(&ALICE));
        Ok(Outcome::Connected {
            answer: format!("{} {}", answer.status, answer.text().trim_end()),
        })
    }
}
