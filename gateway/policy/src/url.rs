//! Public URLs, mounts and path prefixes, validated when the configuration is read.

use wire::Authority;

use crate::DecisionPath;

/// The public URL of an app: `https://host[:port]/mount/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: Box<str>,
    authority: Authority,
    mount: Mount,
}

impl PublicUrl {
    /// Parses and validates: https, no user info, query or fragment, a path in normal form that
    /// ends with a slash.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let rest = text.strip_prefix("https://").ok_or(InvalidPublicUrl)?;
        let slash = rest.find('/').ok_or(InvalidPublicUrl)?;
        let (authority, path) = rest.split_at(slash);
        let parse =
            |authority: &str| Authority::parse(authority.as_bytes()).map_err(|_| InvalidPublicUrl);
        let mut authority = parse(authority)?;
        if authority.port() == Some(HTTPS_PORT) {
            authority = parse(authority.host())?;
        }
        if !is_plain_path(path) {
            return Err(InvalidPublicUrl);
        }
        let mount = path.strip_suffix('/').ok_or(InvalidPublicUrl)?;
        Ok(Self {
            origin: format!("https://{authority}").into(),
            authority,
            mount: Mount(mount.into()),
        })
    }

    /// `https://host[:port]`, no slash; the default port is not written.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and, unless it is the default, port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The port, 443 if none is written.
    pub fn port(&self) -> u16 {
        self.authority.port().unwrap_or(HTTPS_PORT)
    }

    /// The path under which the app is mounted.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }
}

/// The path prefix of an app: empty for the root, else `/a/b` without a trailing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount(Box<str>);

impl Mount {
    /// The prefix: `""` or `"/a/b"`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the mount, starting with `/`; `None` outside of it. `Some(b"")` is the mount
    /// itself without its slash.
    pub fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(self.0.as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }
}

/// A path prefix under a mount; matches whole segments of the decision path only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(Box<[u8]>);

impl PathPrefix {
    /// A prefix: starts with `/`, already in normal form, plain characters only.
    pub fn new(text: &str) -> Result<Self, InvalidPathPrefix> {
        if !is_plain_path(text) {
            return Err(InvalidPathPrefix);
        }
        // `/a/` and `/a` are the same segments; `/` has none, and everything lies beneath it.
        let text = text.strip_suffix('/').unwrap_or(text);
        Ok(Self(text.as_bytes().into()))
    }

    /// Whether `path` (below the mount, starting with `/`) is this prefix or lies beneath it.
    pub fn matches(&self, path: &[u8]) -> bool {
        path.strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// Why a text cannot be a path prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a path that starts with / and has no //, dot segments, %, ;, ? or #")]
pub struct InvalidPathPrefix;

/// Why a URL cannot be a `public_url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected https://host[:port]/ or https://host[:port]/mount/")]
pub struct InvalidPublicUrl;

/// Whether a path begins with `/`, is in normal form and needs no encoding: every reader reads it
/// alike (`pchar` of RFC 3986 §3.3 without `%` and `;`).
fn is_plain_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte);
    text.bytes().all(plain) && DecisionPath::new(text.as_bytes()).is_ok_and(|path| path.is_raw())
}

/// The port of an https URL that names none.
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_have_origin_and_mount() {
        for (text, origin, port, mount) in [
            ("https://a.example/", "https://a.example", 443, ""),
            ("https://A.Example:443/", "https://a.example", 443, ""),
            (
                "https://a.example:8443/rsc/",
                "https://a.example:8443",
                8443,
                "/rsc",
            ),
            (
                "https://127.0.0.1:1/a/b.c/",
                "https://127.0.0.1:1",
                1,
                "/a/b.c",
            ),
            ("https://[::1]:8443/", "https://[::1]:8443", 8443, ""),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!(url.origin(), origin);
            assert_eq!(url.port(), port);
            assert_eq!(url.mount().as_str(), mount);
            assert_eq!(format!("https://{}", url.authority()), origin);
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "a.example",
            "http://a.example/",
            "https://a.example",
            "https://a.example/rsc",
            "https:///",
            "https://user@a.example/",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://a.example/?q",
            "https://a.example/#f/",
            "https://a.example//",
            "https://a.example/a//b/",
            "https://a.example/../",
            "https://a.example/a/./",
            "https://a.example/%61/",
            "https://a.example/a;b/",
            "https://a.example/a b/",
            "https://a.example/\u{e4}/",
        ] {
            assert_eq!(PublicUrl::parse(text), Err(InvalidPublicUrl), "{text}");
        }
    }

    #[test]
    fn mounts_strip_whole_segments() {
        let root = PublicUrl::parse("https://a.example/").unwrap();
        assert_eq!(root.mount().strip(b"/x"), Some(&b"/x"[..]));
        let url = PublicUrl::parse("https://a.example/rsc/").unwrap();
        for (path, rest) in [
            ("/rsc/x", Some("/x")),
            ("/rsc/", Some("/")),
            ("/rsc", Some("")),
            ("/rscx", None),
            ("/RSC/", None),
            ("/", None),
        ] {
            let stripped = url.mount().strip(path.as_bytes());
            assert_eq!(stripped, rest.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn prefixes_match_whole_segments() {
        for (prefix, inside, outside) in [
            (
                "/public",
                &["/public", "/public/", "/public/x"][..],
                &["/publicx", "/", "/Public"][..],
            ),
            ("/public/", &["/public", "/public/x"], &["/publicx"]),
            (
                "/favicon.ico",
                &["/favicon.ico"],
                &["/favicon.icon", "/faviconxico"],
            ),
            ("/a/b", &["/a/b/c"], &["/a", "/a/", "/a/bc"]),
            ("/", &["/", "/x"], &[]),
        ] {
            let prefix = PathPrefix::new(prefix).unwrap();
            for path in inside {
                assert!(prefix.matches(path.as_bytes()), "{prefix:?} {path}");
            }
            for path in outside {
                assert!(!prefix.matches(path.as_bytes()), "{prefix:?} {path}");
            }
        }
    }

    #[test]
    fn prefixes_with_two_readings_are_refused() {
        for text in [
            "",
            "public",
            "//",
            "/a//b",
            "/a/../b",
            "/./",
            "/a%20b",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\\b",
            "/a*\u{e4}",
        ] {
            assert_eq!(PathPrefix::new(text), Err(InvalidPathPrefix), "{text}");
        }
    }
}
