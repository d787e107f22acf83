//! The path on which decisions are taken (docs/lanes.md): a normalised copy. The raw bytes are what
//! is forwarded.

use std::borrow::Cow;

/// A path, percent-decoded once, `\` as `/`, `//` collapsed, dot segments resolved, `;params`
/// removed. Borrowed where the raw path already is normal, which is nearly always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionPath<'a> {
    path: Cow<'a, [u8]>,
    plain: bool,
}

impl<'a> DecisionPath<'a> {
    /// Normalises a raw path.
    pub fn new(raw: &'a [u8]) -> Result<Self, AmbiguousPath> {
        if is_normal(raw) {
            return Ok(Self {
                path: Cow::Borrowed(raw),
                plain: true,
            });
        }
        if !raw.starts_with(b"/") {
            return Err(AmbiguousPath);
        }
        let (decoded, mut plain) = decode(raw)?;
        // An overlong encoding (`%c0%ae`) is a dot to a careless reader.
        plain &= std::str::from_utf8(&decoded).is_ok();
        let path = resolve(&decoded, &mut plain)?;
        Ok(Self {
            path: Cow::Owned(path),
            plain,
        })
    }

    /// The normal form; starts with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// Whether the raw path had no encoded slash, backslash, dot, semicolon or percent sign, nothing
    /// encoded that is not UTF-8, no `\`, `;`, `//` or dot segment: only such a path may use a lane without authentication by
    /// path.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether the raw path was normal already, so that there is nothing to compare.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.path, Cow::Borrowed(_))
    }

    /// What a reader that decodes twice would see, if that differs.
    pub(crate) fn decoded_again(&self) -> Option<Result<DecisionPath<'_>, AmbiguousPath>> {
        self.path
            .windows(3)
            .any(|window| triple(window).is_some())
            .then(|| DecisionPath::new(&self.path))
    }
}

/// A path that two readers would read in two ways: climbs above the root, or decodes to a control
/// character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ambiguous path")]
pub struct AmbiguousPath;

/// Whether normalising would change nothing. The common case: one pass, no allocation.
fn is_normal(raw: &[u8]) -> bool {
    let mut previous = 0;
    for (index, &byte) in raw.iter().enumerate() {
        let special = match byte {
            b'%' | b'\\' | b';' | 0..=0x1f | 0x7f => true,
            b'/' => previous == b'/',
            // A dot that begins a segment: `.well-known` goes on, `.` and `..` do not.
            b'.' => previous == b'/' && is_dot_segment(raw.get(index..).unwrap_or_default()),
            _ => false,
        };
        if special {
            return false;
        }
        previous = byte;
    }
    raw.starts_with(b"/")
}

/// Whether a path that begins within a segment begins with `.` or `..` as that whole segment.
fn is_dot_segment(rest: &[u8]) -> bool {
    let segment = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    segment == b"." || segment == b".."
}

/// Decodes once and turns `\` into `/`. The flag says whether everything was plain.
fn decode(raw: &[u8]) -> Result<(Vec<u8>, bool), AmbiguousPath> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut plain = true;
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        let byte = match triple(rest) {
            Some(byte) => {
                rest = rest.get(3..).unwrap_or_default();
                plain &= !matches!(byte, b'/' | b'.' | b'%');
                byte
            }
            None => {
                rest = after;
                *first
            }
        };
        plain &= !matches!(byte, b'\\' | b';');
        match byte {
            0..=0x1f | 0x7f => return Err(AmbiguousPath),
            b'\\' => decoded.push(b'/'),
            byte => decoded.push(byte),
        }
    }
    Ok((decoded, plain))
}

/// Removes parameters and resolves empty and dot segments (RFC 3986 §5.2.4, but an empty segment
/// counts as none, and climbing above the root is an error).
fn resolve(decoded: &[u8], plain: &mut bool) -> Result<Vec<u8>, AmbiguousPath> {
    let below_root = decoded.strip_prefix(b"/").ok_or(AmbiguousPath)?;
    let mut path = Vec::with_capacity(decoded.len());
    let mut segments = below_root.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let name = segment.split(|byte| *byte == b';').next();
        let name = name.unwrap_or_default();
        match name {
            b"" | b"." => *plain &= last && name.is_empty(),
            b".." => {
                *plain = false;
                let parent = path.iter().rposition(|byte| *byte == b'/');
                path.truncate(parent.ok_or(AmbiguousPath)?);
            }
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
        if last && matches!(name, b"" | b"." | b"..") {
            path.push(b'/');
        }
    }
    Ok(path)
}

/// The byte that a percent-encoding at the front stands for.
fn triple(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(raw: &str) -> Result<(String, bool), AmbiguousPath> {
        DecisionPath::new(raw.as_bytes()).map(|path| {
            let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
            (text, path.is_plain())
        })
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for raw in [
            "/",
            "/a",
            "/a/",
            "/__api__/v1/content/0-1/bundles",
            "/.well-known/x",
            "/a/..b/c...d/.e/f.",
            "/a/...",
            "/a,b=c@d:e!$&'()*+~",
        ] {
            let path = DecisionPath::new(raw.as_bytes()).unwrap();
            assert!(path.is_raw() && path.is_plain(), "{raw}");
            assert_eq!(path.as_bytes(), raw.as_bytes());
            assert!(path.decoded_again().is_none());
        }
    }

    #[test]
    fn spellings_of_a_path_meet_in_one_normal_form() {
        for (raw, expected, plain) in [
            ("/a%20b", "/a b", true),
            ("/%61pi", "/api", true),
            ("/a%2Fb", "/a/b", false),
            ("/a%5cb", "/a/b", false),
            ("/a\\b", "/a/b", false),
            ("/a//b", "/a/b", false),
            ("//a", "/a", false),
            ("/a//", "/a/", false),
            ("/a/./b", "/a/b", false),
            ("/a/.", "/a/", false),
            ("/a/%2e", "/a/", false),
            ("/a/../b", "/b", false),
            ("/a/..", "/", false),
            ("/a/b/..", "/a/", false),
            ("/a/%2E%2e/b", "/b", false),
            ("/a/.%2e/b", "/b", false),
            ("/a;x=1/b", "/a/b", false),
            ("/a%3bx/b", "/a/b", false),
            ("/a/..;/b", "/b", false),
            ("/a/;x/b", "/a/b", false),
            ("/a;x", "/a", false),
            ("/a/;x", "/a/", false),
            ("/a%252fb", "/a%2fb", false),
            ("/a%2eb", "/a.b", false),
            ("/%C3%A4", "/\u{e4}", true),
        ] {
            assert_eq!(normal(raw), Ok((expected.to_owned(), plain)), "{raw}");
        }
    }

    #[test]
    fn what_has_no_single_reading_is_refused() {
        for raw in [
            "",
            "a",
            "%2fa",
            "/..",
            "/../a",
            "/a/../..",
            "/%2e%2e",
            "/a/..%2f..",
            "/a%00",
            "/a%0a",
            "/a%0D",
            "/%1f",
            "/%7f",
            "/a\tb",
            "/a\u{7f}",
            "/..;/a",
        ] {
            assert_eq!(normal(raw), Err(AmbiguousPath), "{raw:?}");
        }
    }

    #[test]
    fn a_second_decoding_is_shown() {
        let path = DecisionPath::new(b"/public/%252e%252e/admin").unwrap();
        assert_eq!(path.as_bytes(), b"/public/%2e%2e/admin");
        let again = path.decoded_again().unwrap().unwrap();
        assert_eq!(again.as_bytes(), b"/admin");
        let path = DecisionPath::new(b"/a%2500").unwrap();
        assert_eq!(path.decoded_again(), Some(Err(AmbiguousPath)));
        let path = DecisionPath::new(b"/100%25").unwrap();
        assert!(path.decoded_again().is_none());
    }

    proptest! {
        #[test]
        fn normalising_is_stable_and_never_leaves_dots(raw in "/[a.%/;25eEfF\\\\]{0,24}") {
            if let Ok(path) = DecisionPath::new(raw.as_bytes()) {
                let normal = path.as_bytes();
                prop_assert!(normal.starts_with(b"/"));
                prop_assert!(!normal.windows(2).any(|pair| pair == b"//"));
                let mut segments = normal.split(|byte| *byte == b'/');
                prop_assert!(segments.all(|name| name != b"." && name != b".."));
                prop_assert!(!normal.contains(&b'\\') && !normal.contains(&b';'));
                if !normal.contains(&b'%') {
                    let again = DecisionPath::new(normal).unwrap();
                    prop_assert!(again.is_raw());
                }
                if path.is_raw() {
                    prop_assert_eq!(normal, raw.as_bytes());
                }
            }
        }
    }
}
