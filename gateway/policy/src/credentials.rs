//! The credentials that a request presents, as far as lanes depend on them (docs/lanes.md).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::Name;
use wire::authorization::{Basic, Credential};

/// How often a field occurs, and its value if that is once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Occurs<'a> {
    /// Not at all.
    #[default]
    Never,
    /// Once.
    Once(&'a [u8]),
    /// More often: whom the back-end would believe is anybody's guess.
    Repeatedly,
}

impl<'a> Occurs<'a> {
    fn see(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Repeatedly => Self::Repeatedly,
        };
    }

    fn once(self) -> Option<&'a [u8]> {
        match self {
            Self::Once(value) => Some(value),
            Self::Never | Self::Repeatedly => None,
        }
    }
}

/// The credential fields of a request, and its `Date`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CredentialFields<'a> {
    authorization: Occurs<'a>,
    checksum: Occurs<'a>,
    date: Occurs<'a>,
    rsc_authorization: Occurs<'a>,
    signature: Occurs<'a>,
    token: Occurs<'a>,
}

impl<'a> CredentialFields<'a> {
    /// Takes note of a field line with such a name.
    pub(crate) fn see(&mut self, name: Name, value: &'a [u8]) {
        match name {
            Name::Authorization => self.authorization.see(value),
            Name::Date => self.date.see(value),
            Name::XAuthSignature => self.signature.see(value),
            Name::XAuthToken => self.token.see(value),
            Name::XContentChecksum => self.checksum.see(value),
            Name::XRscAuthorization => self.rsc_authorization.see(value),
            _ => debug_assert!(false, "{name:?} is no credential"),
        }
    }

    /// Reads them. The password of a `Basic` credential comes apart, because it is the gateway's
    /// and goes no further.
    pub(crate) fn read(self) -> Result<(Credentials, Option<Basic>), BadAuthorization> {
        let mut password = None;
        let authorization = match self.authorization {
            Occurs::Never => Authorization::Absent,
            Occurs::Repeatedly => return Err(BadAuthorization::Repeated),
            Occurs::Once(value) => match Credential::parse(value) {
                Credential::Basic(basic) => {
                    password = Some(basic);
                    Authorization::Basic
                }
                Credential::Bearer => Authorization::Bearer,
                Credential::ConnectBootstrap => Authorization::ConnectBootstrap,
                Credential::Key => Authorization::Key,
                Credential::MalformedBasic => return Err(BadAuthorization::MalformedBasic),
                Credential::Other => Authorization::Other,
            },
        };
        let rsc_authorization = self.rsc_authorization.once();
        let credentials = Credentials {
            authorization,
            deploy: self.deploy(),
            rsc_authorization: rsc_authorization.is_some_and(|value| !value.is_empty()),
        };
        Ok((credentials, password))
    }

    fn deploy(self) -> Deploy {
        let Self {
            checksum,
            date,
            signature,
            token,
            ..
        } = self;
        match (token, signature, checksum) {
            (Occurs::Never, Occurs::Never, Occurs::Never) => Deploy::Absent,
            (Occurs::Once(token), Occurs::Once(signature), Occurs::Once(checksum))
                if is_token(token)
                    && !signature.is_empty()
                    && is_base64(signature)
                    && checksum.len() == CHECKSUM
                    && is_base64(checksum)
                    && date.once().is_some() =>
            {
                Deploy::Signed
            }
            (Occurs::Once(ANONYMOUS), Occurs::Never, Occurs::Never) => Deploy::Anonymous,
            (token, ..) => Deploy::Malformed {
                anonymous_token: token == Occurs::Once(ANONYMOUS),
            },
        }
    }
}

/// What is wrong with `Authorization`, on every app and lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadAuthorization {
    /// `Basic` that is none.
    MalformedBasic,
    /// Several fields.
    Repeated,
}

/// The credentials of a request, without their secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// `Authorization`.
    pub(crate) authorization: Authorization,
    /// The deployment headers.
    pub(crate) deploy: Deploy,
    /// Whether there is exactly one `X-RSC-Authorization`, and not empty.
    pub(crate) rsc_authorization: bool,
}

/// The scheme of `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// None.
    Absent,
    /// The gateway's own.
    Basic,
    /// Connect's as OAuth server, or DeployR's.
    Bearer,
    /// Connect's, before it has its first user.
    ConnectBootstrap,
    /// Connect's API key.
    Key,
    /// Nobody's.
    Other,
}

/// `X-Auth-Token`, `X-Auth-Signature` and `X-Content-Checksum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deploy {
    /// None of the three.
    Absent,
    /// `X-Auth-Token: anonymous-access` alone: what R `rsconnect` sends before it has a token.
    Anonymous,
    /// Some, but neither of the other two.
    Malformed {
        /// Whether the token among them is `anonymous-access`.
        anonymous_token: bool,
    },
    /// A well-formed triple with its `Date`. Whether the signature is right, Connect says.
    Signed,
}

/// `^T[0-9a-f]{24,40}$`.
fn is_token(value: &[u8]) -> bool {
    match value {
        [b'T', digits @ ..] => {
            (24..=40).contains(&digits.len())
                && digits
                    .iter()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        }
        _ => false,
    }
}

/// Canonical base64 with padding (RFC 4648 §4).
fn is_base64(value: &[u8]) -> bool {
    STANDARD.decode(value).is_ok()
}

/// What `rsconnect` sends as its token before it has one (rsconnect #217).
const ANONYMOUS: &[u8] = b"anonymous-access";

/// The length of an MD5 sum in base64.
const CHECKSUM: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "Tdeadbeefdeadbeefdeadbeefdeadbeef";
    const CHECKSUM_VALUE: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

    fn deploy(lines: &[(Name, &'static str)]) -> Deploy {
        let mut fields = CredentialFields::default();
        for (name, value) in lines {
            fields.see(*name, value.as_bytes());
        }
        fields.read().unwrap().0.deploy
    }

    fn triple(token: &'static str, signature: &'static str, checksum: &'static str) -> Deploy {
        deploy(&[
            (Name::XAuthToken, token),
            (Name::XAuthSignature, signature),
            (Name::XContentChecksum, checksum),
            (Name::Date, "Sun, 22 Nov 2026 10:00:00 GMT"),
        ])
    }

    #[test]
    fn a_well_formed_triple_is_a_signed_deployment() {
        assert_eq!(triple(TOKEN, "c2ln", CHECKSUM_VALUE), Deploy::Signed);
        // rsconnect 0.8.29 does not pad its tokens with zeros.
        assert_eq!(
            triple("T0123456789abcdef01234567", "c2k=", CHECKSUM_VALUE),
            Deploy::Signed
        );
    }

    #[test]
    fn anything_less_is_malformed() {
        let malformed = Deploy::Malformed {
            anonymous_token: false,
        };
        for token in [
            "",
            "T",
            "T0123456789abcdef0123456",
            "T0123456789abcdef0123456789abcdef012345678",
            "tdeadbeefdeadbeefdeadbeefdeadbeef",
            "TDEADBEEFdeadbeefdeadbeefdeadbeef",
            "Tdeadbeefdeadbeefdeadbeefdeadbeefg",
            "T deadbeefdeadbeefdeadbeefdeadbee",
            "XTdeadbeefdeadbeefdeadbeefdeadbeef",
        ] {
            assert_eq!(triple(token, "c2ln", CHECKSUM_VALUE), malformed, "{token}");
        }
        for signature in [
            "",
            "c2l",
            "c2l=x",
            "c2-_",
            "c2ln=",
            "c2lu c2lu",
            "c2l=",
            "====",
        ] {
            // `c2l=` has bits set beyond its last byte.
            assert_eq!(
                triple(TOKEN, signature, CHECKSUM_VALUE),
                malformed,
                "{signature}"
            );
        }
        for checksum in [
            "",
            "c2ln",
            "1B2M2Y8AsgTpgAmY7PhCfg",
            "1B2M2Y8AsgTpgAmY7PhCfg=x",
        ] {
            assert_eq!(triple(TOKEN, "c2ln", checksum), malformed, "{checksum}");
        }
    }

    #[test]
    fn each_of_the_four_must_occur_exactly_once() {
        let lines = [
            (Name::XAuthToken, TOKEN),
            (Name::XAuthSignature, "c2ln"),
            (Name::XContentChecksum, CHECKSUM_VALUE),
            (Name::Date, "Sun, 22 Nov 2026 10:00:00 GMT"),
        ];
        assert_eq!(deploy(&lines), Deploy::Signed);
        for index in 0..lines.len() {
            let mut fewer = lines.to_vec();
            fewer.remove(index);
            assert_ne!(deploy(&fewer), Deploy::Signed, "without {:?}", lines[index]);
            let mut more = lines.to_vec();
            more.push(lines[index]);
            assert_ne!(deploy(&more), Deploy::Signed, "twice {:?}", lines[index]);
        }
    }

    #[test]
    fn anonymous_access_is_told_apart_only_alone() {
        let anonymous = (Name::XAuthToken, "anonymous-access");
        assert_eq!(deploy(&[anonymous]), Deploy::Anonymous);
        assert_eq!(deploy(&[]), Deploy::Absent);
        let signature = (Name::XAuthSignature, "c2ln");
        assert_eq!(
            deploy(&[anonymous, signature]),
            Deploy::Malformed {
                anonymous_token: true
            }
        );
        for lines in [
            &[anonymous, anonymous][..],
            &[(Name::XAuthToken, "Anonymous-Access")],
        ] {
            let expected = Deploy::Malformed {
                anonymous_token: false,
            };
            assert_eq!(deploy(lines), expected);
        }
    }

    #[test]
    fn an_empty_or_repeated_key_is_none() {
        for (values, expected) in [
            (&[][..], false),
            (&["Key k"][..], true),
            (&["bare"], true),
            (&[""], false),
            (&["a", "a"], false),
        ] {
            let mut fields = CredentialFields::default();
            for value in values {
                fields.see(Name::XRscAuthorization, value.as_bytes());
            }
            assert_eq!(
                fields.read().unwrap().0.rsc_authorization,
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn authorization_is_read_once() {
        let mut fields = CredentialFields::default();
        fields.see(Name::Authorization, b"Key k");
        let (credentials, password) = fields.read().unwrap();
        assert_eq!(credentials.authorization, Authorization::Key);
        assert!(password.is_none());
        fields.see(Name::Authorization, b"Key k");
        assert_eq!(fields.read().err(), Some(BadAuthorization::Repeated));
    }
}
