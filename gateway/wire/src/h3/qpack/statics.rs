//! The static table (RFC 9204 §3.1, Appendix A).

/// The name and the value at `index`; `None` beyond the table.
pub(super) fn entry(index: u64) -> Option<(&'static [u8], &'static [u8])> {
    let index = usize::try_from(index).ok()?;
    let (name, value) = TABLE.get(index)?;
    Some((name.as_bytes(), value.as_bytes()))
}

/// What the table has of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All of it.
    Line(u8),
    /// Its name.
    Name(u8),
    /// Not even that.
    Nothing,
}

/// Looks for a field line, no pseudo-header field; the name in any case.
pub(super) fn find(name: &[u8], value: &[u8]) -> Found {
    let mut found = Found::Nothing;
    for index in with_length(name.len()) {
        let Some((known, its_value)) = entry((*index).into()) else {
            continue;
        };
        if known.eq_ignore_ascii_case(name) {
            if its_value == value {
                return Found::Line(*index);
            }
            if found == Found::Nothing {
                found = Found::Name(*index);
            }
        }
    }
    found
}

/// The indices of the fields whose names have that length.
fn with_length(len: usize) -> &'static [u8] {
    let bounds = STARTS.get(len).zip(STARTS.get(len + 1));
    bounds
        .and_then(|(start, end)| BY_LENGTH.get(usize::from(*start)..usize::from(*end)))
        .unwrap_or_default()
}

/// The indices, but for those of pseudo-header fields, by the length of the name.
static BY_LENGTH: [u8; COUNT] = by_length().0;

/// Where each length begins in [`BY_LENGTH`].
static STARTS: [u8; LONGEST + 2] = by_length().1;

#[expect(
    clippy::indexing_slicing,
    reason = "by the compiler alone, which refuses what is out of bounds"
)]
const fn by_length() -> ([u8; COUNT], [u8; LONGEST + 2]) {
    let mut indices = [0; COUNT];
    let mut starts = [0; LONGEST + 2];
    let mut count = 0;
    let mut len = 0;
    while len <= LONGEST {
        starts[len] = count as u8;
        let mut index = 0;
        while index < COUNT {
            let name = TABLE[index].0.as_bytes();
            if name.len() == len && name[0] != b':' {
                indices[count] = index as u8;
                count += 1;
            }
            index += 1;
        }
        len += 1;
    }
    starts[len] = count as u8;
    (indices, starts)
}

const COUNT: usize = 99;

/// The length of the longest name.
const LONGEST: usize = "access-control-allow-credentials".len();

static TABLE: [(&str, &str); COUNT] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    (
        "strict-transport-security",
        "max-age=31536000; includesubdomains",
    ),
    (
        "strict-transport-security",
        "max-age=31536000; includesubdomains; preload",
    ),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    (
        "content-security-policy",
        "script-src 'none'; object-src 'none'; base-uri 'none'",
    ),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_rfc() {
        for (index, name, value) in [
            (0, ":authority", ""),
            (1, ":path", "/"),
            (17, ":method", "GET"),
            (28, ":status", "503"),
            (41, "cache-control", "public, max-age=31536000"),
            (63, ":status", "100"),
            (71, ":status", "500"),
            (72, "accept-language", ""),
            (83, "alt-svc", "clear"),
            (98, "x-frame-options", "sameorigin"),
        ] {
            assert_eq!(entry(index), Some((name.as_bytes(), value.as_bytes())));
        }
        assert_eq!(entry(99), None);
        assert_eq!(entry(u64::MAX), None);
    }

    #[test]
    fn every_field_is_found_and_pseudo_header_fields_are_not() {
        for (index, (name, value)) in TABLE.iter().enumerate() {
            let shout = name.to_uppercase();
            let found = find(shout.as_bytes(), value.as_bytes());
            if name.starts_with(':') {
                assert_eq!(found, Found::Nothing, "{name}");
                continue;
            }
            assert_eq!(found, Found::Line(index as u8), "{name}: {value}");
            let first = TABLE.iter().position(|(one, _)| one == name).unwrap();
            let found = find(shout.as_bytes(), b"no such value");
            assert_eq!(found, Found::Name(first as u8), "{name}");
        }
        for name in [
            "",
            "x",
            "accept-",
            "access-control-allow-credential_",
            &"x".repeat(99),
        ] {
            assert_eq!(find(name.as_bytes(), b""), Found::Nothing, "{name}");
        }
    }
}
