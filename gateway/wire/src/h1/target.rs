//! The request target (RFC 9112 §3.2, RFC 3986 §3).

use super::HeadError;
use crate::authority;
use crate::grammar::split_once;

/// A request target in origin form or absolute form, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The authority of an absolute form; not checked but to be compared with `Host`.
    pub(crate) authority: Option<&'a [u8]>,
    /// The path: not empty, starts with `/`.
    pub(crate) path: &'a [u8],
    /// The query without its `?`.
    pub(crate) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Parses a target; all parts are slices of `raw`.
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Self, HeadError> {
        let (hier_part, query) = match split_once(raw, b'?') {
            Some((hier_part, query)) => (hier_part, Some(query)),
            None => (raw, None),
        };
        let (authority, path) = if hier_part.starts_with(b"/") {
            (None, hier_part)
        } else {
            let (authority, path) = absolute(hier_part).ok_or_else(|| refusal(raw))?;
            (Some(authority), path)
        };
        if !is_path(path)
            || !query
                .unwrap_or_default()
                .iter()
                .all(|byte| is_query_byte(*byte))
        {
            return Err(HeadError::Target);
        }
        Ok(Self {
            authority,
            path,
            query,
        })
    }
}

/// Whether a scheme is one of those that HTTP has (RFC 9110 §4.2), in any case.
pub(crate) fn is_http(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

/// The authority and the path of `http[s]://authority[/path]`.
fn absolute(hier_part: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = split_once(hier_part, b':')?;
    if !is_http(scheme) {
        return None;
    }
    let slash = rest.get(..1)?;
    let rest = rest.strip_prefix(b"//")?;
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    // RFC 9110 §4.2.3: an empty path means `/`. A path is a slice of the target, and the scheme's
    // first slash serves as well as any.
    Some((authority, if path.is_empty() { slash } else { path }))
}

/// Names the rule that a target in neither form broke.
fn refusal(raw: &[u8]) -> HeadError {
    match raw.contains(&b':') && authority::is_valid(raw) {
        true => HeadError::Connect,
        false => HeadError::Target,
    }
}

/// `1*( "/" / pchar )` with well-formed percent-encodings (RFC 3986 §3.3).
fn is_path(path: &[u8]) -> bool {
    let mut rest = path;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                tail
            }
            [byte, tail @ ..] if is_path_byte(*byte) => tail,
            _ => return false,
        }
    }
}

fn is_path_byte(byte: u8) -> bool {
    matches!(byte,
        b'/' | b':' | b'@' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
        | b'*' | b'+' | b',' | b';' | b'=' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Looser than RFC 3986 §3.4, because clients are: R sends raw `filter=account_id:7`, browsers
/// send `|` and `"`. A query takes no part in a decision.
fn is_query_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0x80..) && byte != b'#'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<(Option<&str>, &str, Option<&str>), HeadError> {
        let text = |bytes| str::from_utf8(bytes).unwrap();
        let target = Target::parse(raw.as_bytes())?;
        Ok((
            target.authority.map(text),
            text(target.path),
            target.query.map(text),
        ))
    }

    #[test]
    fn origin_and_absolute_forms_are_taken_apart() {
        for (raw, expected) in [
            ("/", (None, "/", None)),
            ("//x", (None, "//x", None)),
            ("/a/b;c=1/%2e%2E", (None, "/a/b;c=1/%2e%2E", None)),
            ("/a?", (None, "/a", Some(""))),
            ("/a?b?c=/d", (None, "/a", Some("b?c=/d"))),
            (
                "/a?filter=account_id:7&x=[1]|\"<>\\^`{}%zz\u{e9}",
                (
                    None,
                    "/a",
                    Some("filter=account_id:7&x=[1]|\"<>\\^`{}%zz\u{e9}"),
                ),
            ),
            ("/http://a/b", (None, "/http://a/b", None)),
            ("http://a:80/b?c", (Some("a:80"), "/b", Some("c"))),
            ("HTTPS://a//b", (Some("a"), "//b", None)),
            ("http://a", (Some("a"), "/", None)),
            ("http://a?b", (Some("a"), "/", Some("b"))),
            ("http:///b", (Some(""), "/b", None)),
            ("http://u@a/", (Some("u@a"), "/", None)),
        ] {
            assert_eq!(parse(raw), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        for raw in [
            "",
            "*",
            "?",
            "?a",
            "foo",
            "foo/bar",
            "\\",
            "#",
            "/a#b",
            "/a?b#c",
            "http://a/#b",
            "http:/a",
            "http:a",
            "http:",
            "ftp://a/b",
            "ws://a/b",
            "://a/",
            "/%",
            "/%4",
            "/%4g",
            "/%g4",
            "/%%41",
            "/a\\b",
            "/\"",
            "/<",
            "/>",
            "/[",
            "/]",
            "/^",
            "/`",
            "/{",
            "/|",
            "/}",
            "/\u{e9}",
            "/a b",
            "/\t",
            "/\0",
            "/\u{7f}",
            "/a? ",
            "/a?\t",
            "/a?\0",
            "/a?\u{7f}",
        ] {
            assert_eq!(parse(raw), Err(HeadError::Target), "{raw:?}");
        }
        for raw in ["a:80", "connect.example:443", "[::1]:443"] {
            assert_eq!(parse(raw), Err(HeadError::Connect), "{raw:?}");
        }
    }
}
