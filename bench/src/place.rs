//! The files of a run: certificates, users, and what the subjects write.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::scenario::{PASSWORD, USER, users};
use crate::tls::BACK_END_NAME;

/// A directory that is made anew for each run.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Makes it, with everything that the programs of a run read.
    pub fn make(directory: &Path) -> Result<Self> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot clear {}", directory.display()));
            }
            _ => (),
        }
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let place = Self(directory.to_owned());
        place.make_certificates()?;
        // Costly hashes are for passwords that are worth it.
        let hash = bcrypt::hash(PASSWORD, 4).context("cannot hash the password")?;
        let all = std::iter::once(USER.to_owned()).chain(users());
        let lines: String = all.map(|user| format!("{user}:{hash}\n")).collect();
        place.write("users", &lines)?;
        Ok(place)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// All on P-256, as the keys of public certificates are.
    fn make_certificates(&self) -> Result<()> {
        let mut params = params("connect-gateway bench CA", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        self.write("ca.pem", &ca.pem())?;
        for (file, name, purpose) in [
            ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
            (
                "backend",
                BACK_END_NAME,
                ExtendedKeyUsagePurpose::ServerAuth,
            ),
            (
                "authentication",
                "gateway.internal",
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
        ] {
            self.make_certificate(&ca, file, name, purpose)
                .with_context(|| format!("cannot make the certificate of {name}"))?;
        }
        Ok(())
    }

    fn make_certificate(
        &self,
        ca: &Issuer<'_, KeyPair>,
        file: &str,
        name: &str,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<()> {
        let mut params = params(name, &[name])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, ca)?.pem();
        let key = key.serialize_pem();
        self.write(&format!("{file}.pem"), &chain)?;
        self.write(&format!("{file}-key.pem"), &key)?;
        // HAProxy wants both in one file.
        self.write(&format!("{file}-both.pem"), &format!("{chain}{key}"))?;
        Ok(())
    }
}

/// An address with a port that nobody listens on.
pub fn free_address(on: IpAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((on, 0));
    let free = listener.and_then(|listener| listener.local_addr());
    free.with_context(|| format!("no free port on {on}"))
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}
