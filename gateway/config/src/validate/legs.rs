//! How a back-end server is connected to: what a pool says for all its servers, and a server for
//! itself.

use rustls_pki_types::{CertificateDer, ServerName};

use crate::context::Missing;
use crate::raw::Section;
use crate::value::Text;
use crate::{Certificate, Origin, ServerTls, Verify, pem};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Mutual,
    Off,
    Verify,
}

/// What one table, the pool's or the server's, says of trust. `None`: nothing.
pub(super) struct Credentials {
    ca: Option<Result<(Vec<CertificateDer<'static>>, Origin), Missing>>,
    client: Option<Result<Certificate, Missing>>,
}

impl Credentials {
    /// Reads `ca`, `client_certificate` and `client_key`. What the mode would ignore is a fault:
    /// who wrote it believes in a protection that is not there.
    pub(super) fn read(section: &mut Section<'_>, tls: Result<Tls, Missing>) -> Self {
        let ca = text(section, "ca");
        let certificate = text(section, "client_certificate");
        let key = text(section, "client_key");
        let context = section.context();
        let ignored = |text: &Option<Result<Text<'_>, Missing>>, message: &str| {
            if let Some(Ok(text)) = text {
                context.fault(text.origin(), message);
            }
        };
        match tls {
            Ok(Tls::Off) => {
                for text in [&ca, &certificate, &key] {
                    ignored(text, OFF_IGNORES);
                }
            }
            Ok(Tls::Verify) => {
                for text in [&certificate, &key] {
                    ignored(text, VERIFY_IGNORES);
                }
            }
            Ok(Tls::Mutual) | Err(_) => {}
        }
        let ca = ca.map(|text| {
            let text = text?;
            Ok((pem::certificates(context, &text)?, text.origin().clone()))
        });
        let half = |given: &str, lacking: &str| {
            let message = format!("missing: {given} needs it beside itself");
            context.fault(&section.place(lacking), message)
        };
        let client = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(pem::certificate(context, certificate, key)),
            (Some(_), None) => Some(Err(half("client_certificate", "client_key"))),
            (None, Some(_)) => Some(Err(half("client_key", "client_certificate"))),
        };
        Self { ca, client }
    }

    /// What a server uses: what it says itself, else what its pool says.
    pub(super) fn leg(
        self,
        pool: &Self,
        section: &Section<'_>,
        tls: Tls,
        expected_name: Result<ServerName<'static>, Missing>,
    ) -> Result<ServerTls, Missing> {
        if tls == Tls::Off {
            return Ok(ServerTls::Off);
        }
        let missing = |key: &str, what: &str| {
            let message = format!("missing: expected {what}, here or in the pool");
            section.context().fault(&section.place(key), message)
        };
        let ca = self.ca.or_else(|| pool.ca.clone());
        let ca = ca.unwrap_or_else(|| Err(missing("ca", "the PEM file that signs the server")));
        let verify = ca.and_then(|(ca, ca_origin)| {
            Ok(Verify {
                ca,
                ca_origin,
                expected_name: expected_name?,
            })
        });
        if tls == Tls::Verify {
            return verify.map(ServerTls::Verify);
        }
        let client = match (self.client, &pool.client) {
            (Some(own), _) => own,
            (None, Some(shared)) => shared.as_ref().map(copy).map_err(|missing| *missing),
            (None, None) => Err(missing(
                "client_certificate",
                "our certificate and client_key for tls = \"mutual\"",
            )),
        };
        Ok(ServerTls::Mutual {
            verify: verify?,
            certificate: client?,
        })
    }
}

fn text<'a>(section: &mut Section<'a>, key: &'static str) -> Option<Result<Text<'a>, Missing>> {
    let value = section.key(key)?;
    Some(value.text("the path of a PEM file"))
}

fn copy(certificate: &Certificate) -> Certificate {
    Certificate {
        chain: certificate.chain.clone(),
        key: certificate.key.clone_key(),
        chain_origin: certificate.chain_origin.clone(),
        key_origin: certificate.key_origin.clone(),
    }
}

pub(super) const OFF_IGNORES: &str =
    r#"the pool's tls = "off" ignores this: remove it, or say tls = "verify" or "mutual""#;
const VERIFY_IGNORES: &str =
    r#"the pool's tls = "verify" ignores this: remove it, or say tls = "mutual""#;
