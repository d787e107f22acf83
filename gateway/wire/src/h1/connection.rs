//! `Connection` and what it says about the connection (RFC 9110 §7.6.1, RFC 9112 §9.3).

use super::HeadError;
use crate::grammar::{is_token, trim_blanks};
use crate::head::{Fields, Name, Version};

/// The members of all `Connection` fields, in order, without blanks around them; empty ones are
/// left out. In a parsed head each is a token. Names are compared case-insensitively.
pub fn connection_tokens(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    fields
        .all(Name::Connection)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(trim_blanks)
        .filter(|member| !member.is_empty())
}

/// What the `Connection` fields of one message ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Connection {
    /// Reads the `Connection` fields. A member that is no token is an error: what it names could
    /// not be removed with certainty.
    pub(super) fn of(fields: &Fields) -> Result<Self, HeadError> {
        let mut connection = Self::default();
        for token in connection_tokens(fields) {
            if !is_token(token) {
                return Err(HeadError::Syntax);
            }
            connection.close |= token.eq_ignore_ascii_case(b"close");
            connection.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            connection.upgrade |= token.eq_ignore_ascii_case(b"upgrade");
        }
        Ok(connection)
    }

    /// Whether the connection persists (RFC 9112 §9.3).
    pub(super) fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether the message asks for, or agrees to, WebSocket and nothing else (RFC 6455 §4).
    pub(super) fn names_websocket(self, fields: &Fields) -> bool {
        let websocket = |value: &[u8]| value.eq_ignore_ascii_case(b"websocket");
        self.upgrade && fields.only(Name::Upgrade).is_some_and(websocket)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::h1::lines;

    fn fields(lines: &str) -> Fields {
        let head = format!("X\r\n{lines}\r\n");
        lines::split(Bytes::from(head), Vec::new()).unwrap().1
    }

    #[test]
    fn tokens_come_from_all_lines() {
        let fields = fields("Connection: a,, B ,\r\nX: y\r\nconnection:\tclose\r\nConnection:\r\n");
        let tokens: Vec<_> = connection_tokens(&fields).collect();
        assert_eq!(tokens, [&b"a"[..], b"B", b"close"]);
    }

    #[test]
    fn persistence_follows_version_and_tokens() {
        for (lines, http10, http11) in [
            ("", false, true),
            ("Connection: close\r\n", false, false),
            ("Connection: x, CLOSE\r\n", false, false),
            ("Connection: Keep-Alive\r\n", true, true),
            (
                "Connection: keep-alive\r\nConnection: close\r\n",
                false,
                false,
            ),
            ("Connection: closed\r\n", false, true),
        ] {
            let connection = Connection::of(&fields(lines)).unwrap();
            assert_eq!(connection.persists(Version::Http10), http10, "{lines:?}");
            assert_eq!(connection.persists(Version::Http11), http11, "{lines:?}");
        }
    }

    #[test]
    fn a_member_that_is_no_token_is_refused() {
        for value in ["a b", "\"close\"", "close;q=1", "a, b/c", "keep\u{e9}"] {
            let fields = fields(&format!("Connection: {value}\r\n"));
            assert_eq!(Connection::of(&fields), Err(HeadError::Syntax), "{value}");
        }
    }
}
