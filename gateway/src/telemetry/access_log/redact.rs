//! Secrets in queries and paths (docs/access-log.md).

use std::borrow::Cow;

/// Replaces the values of secret names by `***`.
///
/// `separator` divides the text into pieces: `&` in a query, `/` in a path (whose segments can
/// carry parameters: `;jsessionid=…`). A piece is searched as the back-end would read it:
/// percent-decoded, and also behind `;`, `?`, `&` and `#`, so that a secret in a nested URL counts.
/// Where there is one, all after the piece's first `=` goes; rather too much than a rest of it.
pub(super) fn redact(text: &[u8], separator: u8) -> Cow<'_, [u8]> {
    if !text.contains(&b'=') && !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let pieces = || text.split(|byte| *byte == separator);
    if !pieces().any(holds_secret) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for (index, piece) in pieces().enumerate() {
        if index > 0 {
            out.push(separator);
        }
        if holds_secret(piece) {
            // A piece without a plain `=` has its name and value encoded together.
            if let Some(end) = piece.iter().position(|byte| *byte == b'=') {
                out.extend_from_slice(piece.get(..=end).unwrap_or_default());
            }
            out.extend_from_slice(b"***");
        } else {
            out.extend_from_slice(piece);
        }
    }
    Cow::Owned(out)
}

fn holds_secret(piece: &[u8]) -> bool {
    decoded(piece)
        .split(|byte| matches!(byte, b'?' | b'&' | b';' | b'#'))
        .any(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=');
            let name = end.and_then(|end| pair.get(..end));
            // `user[password]` is a name of some frameworks.
            name.is_some_and(|name| {
                name.split(|byte| matches!(byte, b'[' | b']'))
                    .any(is_secret)
            })
        })
}

/// Compares without case and without `-`, `_` and `.`: `refreshToken` is `refresh_token`.
fn is_secret(name: &[u8]) -> bool {
    let folded = || {
        let kept = name
            .iter()
            .filter(|byte| !matches!(byte, b'-' | b'_' | b'.'));
        kept.map(u8::to_ascii_lowercase)
    };
    SECRETS.iter().any(|secret| folded().eq(secret.bytes()))
}

/// Percent-decodes once; what is no percent-encoding stays.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let encoded = match tail {
            [high, low, tail @ ..] if *first == b'%' => hex(*high).zip(hex(*low)).zip(Some(tail)),
            _ => None,
        };
        match encoded {
            Some(((high, low), tail)) => {
                out.push(high << 4 | low);
                rest = tail;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Names whose values are secret, folded. `docs/access-log.md` lists them.
pub(super) const SECRETS: [&str; 25] = [
    "accesstoken",
    "apikey",
    "assertion",
    "clientassertion",
    "clientsecret",
    "code",
    "codeverifier",
    "devicecode",
    "idtoken",
    "idtokenhint",
    "jsessionid",
    "key",
    "password",
    "refreshtoken",
    "samlrequest",
    "samlresponse",
    "secret",
    "sig",
    "signature",
    "state",
    "token",
    "usercode",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries() {
        for (query, expected) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("filter=account_id:7", "filter=account_id:7"),
            (
                "tokens=3&keyword=x&statement=y",
                "tokens=3&keyword=x&statement=y",
            ),
            ("token=abc", "token=***"),
            ("a=1&token=abc&b=2", "a=1&token=***&b=2"),
            ("token=", "token=***"),
            ("token", "token"),
            ("&&token=a&", "&&token=***&"),
            ("token=a&token=b", "token=***&token=***"),
            ("refreshToken=a", "refreshToken=***"),
            ("refresh_token=a", "refresh_token=***"),
            ("code=a&state=b", "code=***&state=***"),
            ("api_key=a", "api_key=***"),
            ("API-KEY=a", "API-KEY=***"),
            ("key=a", "key=***"),
            ("Signature=a", "Signature=***"),
            ("SAMLResponse=PHNhbWw%2B", "SAMLResponse=***"),
            ("PASSWORD=a", "PASSWORD=***"),
            ("access_token=a", "access_token=***"),
            ("id_token=a", "id_token=***"),
            ("X-Amz-Signature=a", "X-Amz-Signature=***"),
            // Spellings that a back-end reads the same way.
            ("%74oken=a", "%74oken=***"),
            ("t%6Fken=a", "t%6Fken=***"),
            ("token%3Da", "***"),
            ("user[password]=a", "user[password]=***"),
            ("token[]=a", "token[]=***"),
            ("x=1;token=a;b", "x=***"),
            ("token=a;b", "token=***"),
            ("token=a=b", "token=***"),
            // Nested URLs.
            ("next=/cb?code=a", "next=***"),
            ("next=%2Fcb%3Fcode%3Da%26state%3Db&c=1", "next=***&c=1"),
            ("next=%2Fhome%3Fpage%3D2", "next=%2Fhome%3Fpage%3D2"),
            // No percent-encodings.
            ("100%=a&%zz=b&%", "100%=a&%zz=b&%"),
        ] {
            let actual = redact(query.as_bytes(), b'&');
            assert_eq!(std::str::from_utf8(&actual).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/token/abc", "/token/abc"),
            (
                "/deployr/login;jsessionid=AB12/x",
                "/deployr/login;jsessionid=***/x",
            ),
            ("/a;JSESSIONID=1;v=2", "/a;JSESSIONID=***"),
            ("/a%3Bjsessionid%3D1", "/***"),
        ] {
            let actual = redact(path.as_bytes(), b'/');
            assert_eq!(std::str::from_utf8(&actual).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn secret_names_are_folded_and_sorted() {
        assert!(SECRETS.is_sorted());
        assert!(
            SECRETS
                .iter()
                .flat_map(|name| name.bytes())
                .all(|b| b.is_ascii_lowercase())
        );
    }

    proptest! {
        #[test]
        fn a_secret_never_shows(
            before in "[a-z=&;%?/]{0,20}",
            index in 0..SECRETS.len(),
            tail in "[a-z=;%?/]{0,20}",
        ) {
            let query = format!("{before}&{}=S3CRET{tail}&z=1", SECRETS[index]);
            let shown = String::from_utf8(redact(query.as_bytes(), b'&').into_owned()).unwrap();
            prop_assert!(!shown.contains("S3CRET"), "{}", shown);
            prop_assert!(shown.ends_with("=***&z=1"), "{}", shown);
        }

        #[test]
        fn nothing_else_changes(query in "[a-c=&;%2?/]{0,40}") {
            prop_assert_eq!(redact(query.as_bytes(), b'&'), query.as_bytes());
        }
    }
}
