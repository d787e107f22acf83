//! How the visitor reached this server: from `X-RSC-Request`, or else from `Host`.

use super::head::{Head, Presence};
use super::recorder::lossy;

/// What `X-RSC-Request` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Original {
    Absent,
    /// Not one absolute http(s) URL; Connect answers 500 to that.
    Malformed,
    Url {
        /// Scheme and authority.
        origin: String,
        /// Without the query.
        path: String,
    },
}

impl Original {
    /// Reads the header.
    pub(super) fn of(head: &Head) -> Self {
        let value = match head.once("X-RSC-Request") {
            Presence::Absent => return Self::Absent,
            Presence::Once(value) => lossy(value),
            Presence::Repeated => return Self::Malformed,
        };
        let Some((scheme @ ("http" | "https"), rest)) = value.split_once("://") else {
            return Self::Malformed;
        };
        let whole = rest.split_once('?').map_or(rest, |(path, _)| path);
        let Some(slash) = whole.find('/') else {
            return Self::Malformed;
        };
        let (authority, path) = whole.split_at(slash);
        let sane =
            |character: char| character.is_ascii_alphanumeric() || ".-:[]".contains(character);
        if authority.is_empty() || !authority.chars().all(sane) {
            return Self::Malformed;
        }
        Self::Url {
            origin: format!("{scheme}://{authority}"),
            path: path.to_owned(),
        }
    }
}

/// The public URL of this server's root, without a slash at its end.
pub(super) fn base(head: &Head) -> String {
    match Original::of(head) {
        Original::Url { origin, path } => {
            let mount = path.strip_suffix(head.path()).unwrap_or_default();
            format!("{origin}{mount}")
        }
        Original::Absent | Original::Malformed => match head.once("Host") {
            Presence::Once(host) => format!("http://{}", lossy(host)),
            Presence::Absent | Presence::Repeated => String::new(),
        },
    }
}

/// The path under which visitors see this server's root; empty or `/…` without a slash at its end.
pub(super) fn mount(head: &Head) -> String {
    match Original::of(head) {
        Original::Url { path, .. } => path
            .strip_suffix(head.path())
            .unwrap_or_default()
            .to_owned(),
        Original::Absent | Original::Malformed => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(value: &str) -> Head {
        Head {
            target: "/__api__/tokens?a".to_owned(),
            lines: vec![
                format!("X-RSC-Request: {value}").into_bytes(),
                b"Host: h:1".to_vec(),
            ],
            ..Head::default()
        }
    }

    #[test]
    fn finds_the_mount() {
        let head = head("https://example.com:8443/rsc/__api__/tokens?a");
        assert_eq!(base(&head), "https://example.com:8443/rsc");
        assert_eq!(mount(&head), "/rsc");
        assert_eq!(
            Original::of(&head),
            Original::Url {
                origin: "https://example.com:8443".to_owned(),
                path: "/rsc/__api__/tokens".to_owned()
            }
        );
    }

    #[test]
    fn refuses_nonsense() {
        for value in [
            "(null)://(null)(null)",
            "/path",
            "https://",
            "https:///x",
            "ftp://a/b",
            "https://(null)/",
        ] {
            let head = head(value);
            assert_eq!(Original::of(&head), Original::Malformed, "{value}");
            assert_eq!(base(&head), "http://h:1");
        }
    }
}
