//! Makes the demo's certificates: `demo-certs DIRECTORY`.
//!
//! One authority signs all of them: the certificate that visitors see, the one of the DeployR-like
//! back-end, and the authentication certificate that proves the gateway to that back-end. They are
//! kept while they are valid, so that a browser that was told to trust the authority goes on.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: demo-certs DIRECTORY");
        return ExitCode::from(2);
    };
    match run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-certs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<()> {
    let now = OffsetDateTime::now_utc();
    if are_valid(directory, now)? {
        return Ok(());
    }
    eprintln!("demo: making certificates in {}", directory.display());
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let not_after = now + LIFE;
    let authority = authority(now, not_after)?;
    write(&directory.join("ca.pem"), &authority.pem(), READABLE)?;
    for certificate in CERTIFICATES {
        certificate.make(&authority, now, not_after, directory)?;
    }
    // Last: without it the others are made again.
    let stamp = not_after.unix_timestamp().to_string();
    write(&directory.join(STAMP), &stamp, READABLE)
}

/// Whether every file is there and stays valid for a while.
fn are_valid(directory: &Path, now: OffsetDateTime) -> Result<bool> {
    let stamp = directory.join(STAMP);
    let text = match fs::read_to_string(&stamp) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", stamp.display()));
        }
    };
    let lasts = text
        .trim()
        .parse()
        .is_ok_and(|end: i64| end > (now + MARGIN).unix_timestamp());
    Ok(lasts && files().all(|name| directory.join(name).is_file()))
}

fn files() -> impl Iterator<Item = String> {
    let pairs = CERTIFICATES
        .iter()
        .flat_map(|certificate| [certificate.chain_file(), certificate.key_file()]);
    std::iter::once("ca.pem".to_owned()).chain(pairs)
}

fn authority(
    now: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = params("connect-gateway demo CA", now, not_after, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().context("cannot make the authority's key")?;
    CertifiedIssuer::self_signed(params, key).context("cannot sign the authority's certificate")
}

fn params(
    common_name: &str,
    now: OffsetDateTime,
    not_after: OffsetDateTime,
    names: &[&str],
) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params =
        CertificateParams::new(names).context("a name that no certificate can carry")?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    // Clocks differ a little.
    params.not_before = now - Duration::hours(1);
    params.not_after = not_after;
    Ok(params)
}

/// A certificate that the authority signs.
struct Certificate {
    file: &'static str,
    common_name: &'static str,
    names: &'static [&'static str],
    purpose: ExtendedKeyUsagePurpose,
}

impl Certificate {
    fn make(
        &self,
        authority: &CertifiedIssuer<'_, KeyPair>,
        now: OffsetDateTime,
        not_after: OffsetDateTime,
        directory: &Path,
    ) -> Result<()> {
        let mut params = params(self.common_name, now, not_after, self.names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.purpose.clone()];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("cannot make a key")?;
        let signed = params
            .signed_by(&key, authority)
            .with_context(|| format!("cannot sign the certificate for {}", self.common_name))?;
        write(&directory.join(self.chain_file()), &signed.pem(), READABLE)?;
        write(
            &directory.join(self.key_file()),
            &key.serialize_pem(),
            SECRET,
        )
    }

    fn chain_file(&self) -> String {
        format!("{}.pem", self.file)
    }

    fn key_file(&self) -> String {
        format!("{}-key.pem", self.file)
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => (),
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

const CERTIFICATES: &[Certificate] = &[
    Certificate {
        file: "server",
        common_name: "connect-gateway demo",
        names: &["localhost", "127.0.0.1", "::1"],
        purpose: ExtendedKeyUsagePurpose::ServerAuth,
    },
    Certificate {
        file: "backend",
        common_name: "deployr.internal",
        names: &["deployr.internal"],
        purpose: ExtendedKeyUsagePurpose::ServerAuth,
    },
    Certificate {
        file: "authentication",
        common_name: "connect-gateway",
        names: &["gateway.internal"],
        purpose: ExtendedKeyUsagePurpose::ClientAuth,
    },
];

/// Holds the second at which the certificates end.
const STAMP: &str = "valid-until";
const LIFE: Duration = Duration::days(90);
/// What must be left of their life for a demo to begin with them.
const MARGIN: Duration = Duration::days(2);
const READABLE: u32 = 0o644;
const SECRET: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_again_when_lost_or_old() {
        let directory =
            std::env::temp_dir().join(format!("demo-certs-test-{}", std::process::id()));
        run(&directory).unwrap();
        let first = fs::read_to_string(directory.join("ca.pem")).unwrap();
        run(&directory).unwrap();
        assert_eq!(fs::read_to_string(directory.join("ca.pem")).unwrap(), first);

        let now = OffsetDateTime::now_utc();
        assert!(are_valid(&directory, now + Duration::days(80)).unwrap());
        assert!(!are_valid(&directory, now + Duration::days(89)).unwrap());

        fs::remove_file(directory.join("authentication-key.pem")).unwrap();
        assert!(!are_valid(&directory, now).unwrap());
        run(&directory).unwrap();
        assert_ne!(fs::read_to_string(directory.join("ca.pem")).unwrap(), first);
        fs::remove_dir_all(&directory).unwrap();
    }
}
