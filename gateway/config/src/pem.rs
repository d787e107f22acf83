//! Certificate chains, trust anchors and private keys from PEM files (RFC 7468).

use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Certificate;
use crate::context::{Context, Missing};
use crate::value::Text;

/// A chain and its key. Both files are tried, so that a fault in one does not hide the other's.
pub(crate) fn certificate(
    context: &Context<'_>,
    chain: Result<Text<'_>, Missing>,
    key: Result<Text<'_>, Missing>,
) -> Result<Certificate, Missing> {
    let chain = chain.and_then(|text| Ok((certificates(context, &text)?, text)));
    let key = key.and_then(|text| Ok((private_key(context, &text)?, text)));
    let ((chain, chain_text), (key, key_text)) = (chain?, key?);
    Ok(Certificate {
        chain,
        key,
        chain_origin: chain_text.origin().clone(),
        key_origin: key_text.origin().clone(),
    })
}

/// Every certificate of a file; at least one.
pub(crate) fn certificates(
    context: &Context<'_>,
    text: &Text<'_>,
) -> Result<Vec<CertificateDer<'static>>, Missing> {
    let (path, bytes) = context.read(text)?;
    let fault = |what: String| {
        let message = format!("{}: {what}", path.display());
        context.fault(text.origin(), message)
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(describe(&error)))?;
    if certificates.is_empty() {
        return Err(fault(format!(
            "no certificate in it: expected PEM, \"{CERTIFICATE}\""
        )));
    }
    Ok(certificates)
}

/// The private key of a file. Nothing of the file's content is repeated in a fault.
pub(crate) fn private_key(
    context: &Context<'_>,
    text: &Text<'_>,
) -> Result<PrivateKeyDer<'static>, Missing> {
    let (path, bytes) = context.read(text)?;
    let fault = |what: String| {
        let message = format!("{}: {what}", path.display());
        context.fault(text.origin(), message)
    };
    let is_encrypted = |line: &[u8]| ENCRYPTED.iter().any(|mark| line.starts_with(mark));
    if bytes
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .any(is_encrypted)
    {
        return Err(fault(
            "encrypted private keys are not supported: expected one without a passphrase"
                .to_owned(),
        ));
    }
    let mut keys: Vec<PrivateKeyDer<'static>> = PrivateKeyDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(describe(&error)))?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), _) => Err(fault("several private keys in it: expected one".to_owned())),
        (None, _) => Err(fault(
            "no private key in it: expected PEM, PKCS#8, SEC1 or PKCS#1".to_owned(),
        )),
    }
}

/// What is wrong with the PEM, without its content: the library's own messages quote lines.
fn describe(error: &Error) -> String {
    let what = match error {
        Error::Base64Decode(_) => "the base64 of a section is broken",
        Error::IllegalSectionStart { .. } => "a \"-----BEGIN …\" line is broken",
        Error::MissingSectionEnd { .. } => "a section has no \"-----END …\" line",
        _ => "it cannot be read as PEM",
    };
    format!("not PEM: {what}")
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// Lines that begin an encrypted PKCS#8 key (RFC 7468 §11) and an encrypted traditional one
/// (RFC 1421 §4.6.1.1).
const ENCRYPTED: [&[u8]; 2] = [
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
    b"Proc-Type: 4,ENCRYPTED",
];
