//! The deployment clients' signature: RSA with SHA-1 over method, path, date and MD5 of the body.

use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::digest::Summary;
use super::head::{Head, Presence};
use super::public_url::Original;
use super::recorder::lossy;
use super::tokens::Tokens;

/// Verifies the triple `X-Auth-Token`, `X-Auth-Signature`, `X-Content-Checksum`.
///
/// `None` if one of them is missing; `Some(true)` if the checksum is that of the body that arrived
/// and the token's key signed it together with method, path and date. The path is the one that the
/// client saw: that of `X-RSC-Request` if there is one.
pub(super) fn verify(head: &Head, body: &Summary, tokens: &Tokens) -> Option<bool> {
    let [token, signature, checksum] = TRIPLE.map(|name| head.once(name));
    if [token, signature, checksum].contains(&Presence::Absent) {
        return None;
    }
    let (
        Presence::Once(token),
        Presence::Once(signature),
        Presence::Once(checksum),
        Presence::Once(date),
    ) = (token, signature, checksum, head.once("Date"))
    else {
        return Some(false);
    };
    let path = match Original::of(head) {
        Original::Absent => head.path().to_owned(),
        Original::Malformed => return Some(false),
        Original::Url { path, .. } => path,
    };
    let (Some(token), Ok(signature)) = (tokens.get(&lossy(token)), STANDARD.decode(signature))
    else {
        return Some(false);
    };
    let text = format!("{}\n{path}\n{}\n{}", head.method, lossy(date), body.md5);
    let key = UnparsedPublicKey::new(
        &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        token.public_key,
    );
    let signed = key.verify(text.as_bytes(), &signature).is_ok();
    Some(signed && checksum == body.md5.as_bytes())
}

const TRIPLE: [&str; 3] = ["X-Auth-Token", "X-Auth-Signature", "X-Content-Checksum"];

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC_KEY: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDMlT37dwZVy/XBNgsAxakya/IRY2wn\
        XFDoRul7Hoiz5v1KqxqNYgbRu9OWFZcJ4pX5hpwbHUA9J6HdH8xETBTh/Nn6PQtlnnNhDwtebHm2I1+HsSL+JwJw\
        HOp+3x5lvI8yE3L/9EN5bvjvhEohrR8G2wQwQVpor3tpBVd2YhZu2wIDAQAB";

    /// The signatures of a client, made with `openssl dgst -sha1 -sign`, over the path with and
    /// without the mount `/rsc`, and the body `abc`.
    const WITH_MOUNT: &str = "P8XeeSSXHsOMIizpajVmBNBV0ulgdY3vzaUJ/f3oYBJKljmPhQmUkPctCAgla3Bzf9/Fq54XX4oY4CwM\
        Q6HyjY/VsEPpVCddjfoBXWNoN8NxM/2kXnoMmsIIjIgS3ii3Sn9U/plv/U8lDgNsT553aShq4fRfSdwH\
        T2pb/LgIo0c=";
    const WITHOUT_MOUNT: &str = "CWiiITDdeGgoG7VpQD3YYpqDBfvficai1JEGFZU/sfmlAKbyRFbBBuGs4VqAtP5zncCWOz6TlPYMqmOU\
        4wWpTqjeKJTxg1u1hkvmcm7N1pBzNr4kOsd9Ngbxu/DFHkSxIz7Sdy199BioqYNwIS9IKz/zbXvoAwTp\
        3NSSX1HiY14=";
    const CHECKSUM: &str = "kAFQmDzST7DWlj99KOF/cg==";
    const DATE: &str = "Sun, 22 Nov 2026 05:00:00 GMT";

    fn head(signature: &str) -> Head {
        let lines = [
            format!("Date: {DATE}"),
            "X-Auth-Token: T1".to_owned(),
            format!("X-Auth-Signature: {signature}"),
            format!("X-Content-Checksum: {CHECKSUM}"),
        ];
        Head {
            method: "POST".to_owned(),
            target: "/__api__/tokens?x=y".to_owned(),
            version: "HTTP/1.1".to_owned(),
            lines: lines.map(String::into_bytes).to_vec(),
        }
    }

    fn verdict(head: &Head, md5: &str) -> Option<bool> {
        let tokens = Tokens::default();
        assert!(tokens.register("T1".to_owned(), STANDARD.decode(PUBLIC_KEY).unwrap()));
        let body = Summary {
            md5: md5.to_owned(),
            ..Summary::default()
        };
        verify(head, &body, &tokens)
    }

    fn with(mut head: Head, line: &str) -> Head {
        head.lines.push(line.as_bytes().to_vec());
        head
    }

    #[test]
    fn verifies_what_a_client_signed() {
        assert_eq!(verdict(&head(WITHOUT_MOUNT), CHECKSUM), Some(true));
        let mounted = with(
            head(WITH_MOUNT),
            "X-RSC-Request: https://h/rsc/__api__/tokens?x=y",
        );
        assert_eq!(verdict(&mounted, CHECKSUM), Some(true));
    }

    #[test]
    fn refuses_what_was_changed() {
        assert_eq!(verdict(&head(WITH_MOUNT), CHECKSUM), Some(false));
        let mounted = with(
            head(WITHOUT_MOUNT),
            "X-RSC-Request: https://h/rsc/__api__/tokens?x=y",
        );
        assert_eq!(verdict(&mounted, CHECKSUM), Some(false));
        let malformed = with(head(WITHOUT_MOUNT), "X-RSC-Request: (null)");
        assert_eq!(verdict(&malformed, CHECKSUM), Some(false));
        let body = "1B2M2Y8AsgTpgAmY7PhCfg==";
        assert_eq!(verdict(&head(WITHOUT_MOUNT), body), Some(false));
        for line in [
            "X-Auth-Token: T1",
            "x-auth-signature: AAAA",
            "X-Content-Checksum: x",
            "Date: now",
        ] {
            assert_eq!(
                verdict(&with(head(WITHOUT_MOUNT), line), CHECKSUM),
                Some(false)
            );
        }
        for (field, value) in [
            (0, "Date: now"),
            (1, "X-Auth-Token: T2"),
            (2, "X-Auth-Signature: !"),
        ] {
            let mut head = head(WITHOUT_MOUNT);
            head.lines[field] = value.as_bytes().to_vec();
            assert_eq!(verdict(&head, CHECKSUM), Some(false), "{value}");
        }
        let mut other = head(WITHOUT_MOUNT);
        other.method = "PUT".to_owned();
        assert_eq!(verdict(&other, CHECKSUM), Some(false));
    }

    #[test]
    fn says_nothing_without_a_triple() {
        for field in 1..4 {
            let mut head = head(WITHOUT_MOUNT);
            head.lines.remove(field);
            assert_eq!(verdict(&head, CHECKSUM), None);
        }
    }
}
