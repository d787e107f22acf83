//! Reads request heads as leniently as the worst back-end, and keeps every line as it came.

use std::io::{self, BufRead, Read};

/// The start of a request: its first line, taken apart, and the header lines, untouched.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: String,
    /// Without their line ends; trailers of the body are appended.
    pub(super) lines: Vec<Vec<u8>>,
}

/// How the attempt to read a head ended.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Nothing more came.
    Closed,
    /// A whole head came.
    Complete(Head),
    /// The peer stopped, or went on for too long, in the middle of one.
    Truncated(Head),
}

/// How often a header is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence<'a> {
    Absent,
    Once(&'a [u8]),
    Repeated,
}

impl Head {
    /// Reads one head; blank lines before it are skipped.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Arrival> {
        let mut reader = reader.take(HEAD_LIMIT);
        let mut head = Self::default();
        let mut started = false;
        loop {
            let (line, ended) = match (read_line(&mut reader), started) {
                (Ok(Some(line)), _) => line,
                (Ok(None) | Err(_), true) => return Ok(Arrival::Truncated(head)),
                (Ok(None), false) => return Ok(Arrival::Closed),
                (Err(error), false) => return Err(error),
            };
            match (started, line.is_empty()) {
                (false, true) => continue,
                (false, false) => head.set_first_line(&line),
                (true, true) if ended => return Ok(Arrival::Complete(head)),
                (true, _) => head.lines.push(line),
            }
            started = true;
            if !ended {
                return Ok(Arrival::Truncated(head));
            }
        }
    }

    /// The values of every header of this name, in order, blanks trimmed.
    ///
    /// Case does not matter, nor do blanks before the colon.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter_map(move |line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (field, value) = line.split_at_checked(colon)?;
            let value = value.strip_prefix(b":")?;
            let matches = field.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
            matches.then(|| value.trim_ascii())
        })
    }

    /// The one value of a header, if it is there once.
    pub(super) fn once<'a>(&'a self, name: &'a str) -> Presence<'a> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (None, _) => Presence::Absent,
            (Some(value), None) => Presence::Once(value),
            (Some(_), Some(_)) => Presence::Repeated,
        }
    }

    /// Whether a comma-separated header contains this token, in any case.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The target's query, empty if there is none.
    pub(super) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether the peer can send another request after this one.
    pub(super) fn keeps_alive(&self) -> bool {
        self.version == "HTTP/1.1" && !self.has_token("Connection", "close")
    }

    /// Whether the peer waits for `100 Continue` before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.version == "HTTP/1.1" && self.has_token("Expect", "100-continue")
    }

    fn set_first_line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (method, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (target, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
        method.clone_into(&mut self.method);
        target.clone_into(&mut self.target);
        version.clone_into(&mut self.version);
    }
}

/// Reads up to a line feed; says whether it was there. `None` at the end of the stream.
///
/// What came before a failure is a line without its end; the next read meets the failure again.
pub(super) fn read_line(reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    let outcome = reader.read_until(b'\n', &mut line);
    if line.is_empty() {
        return outcome.map(|_| None);
    }
    let ended = line.pop_if(|byte| *byte == b'\n').is_some();
    if ended {
        line.pop_if(|byte| *byte == b'\r');
    }
    Ok(Some((line, ended)))
}

/// The most bytes that a head may have.
const HEAD_LIMIT: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(mut bytes: &[u8]) -> Head {
        match Head::read(&mut bytes).unwrap() {
            Arrival::Complete(head) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keeps_lines_as_they_came() {
        let head = complete(b"\r\nGET /a?b=c d HTTP/1.1\r\nx-AUTH-username : a\r\nX-A:  b \n folded\r\n\xff: 1\r\n\r\nrest");
        assert_eq!(head.method, "GET");
        assert_eq!(head.target, "/a?b=c d");
        assert_eq!(head.version, "HTTP/1.1");
        assert_eq!(
            head.lines,
            [
                &b"x-AUTH-username : a"[..],
                b"X-A:  b ",
                b" folded",
                b"\xff: 1"
            ]
        );
        assert_eq!(head.once("X-Auth-Username"), Presence::Once(b"a"));
        assert_eq!(head.once("x-a"), Presence::Once(b"b"));
        assert_eq!(head.once("folded"), Presence::Absent);
        assert_eq!((head.path(), head.query()), ("/a", "b=c d"));
    }

    #[test]
    fn sees_duplicates_and_tokens() {
        let head = complete(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nConnection: x, Close\r\n\r\n");
        assert_eq!(head.once("A"), Presence::Repeated);
        assert!(head.has_token("connection", "close"));
        assert!(!head.keeps_alive());
    }

    #[test]
    fn tells_how_a_head_ends() {
        assert!(matches!(
            Head::read(&mut &b""[..]).unwrap(),
            Arrival::Closed
        ));
        assert!(matches!(
            Head::read(&mut &b"\r\n"[..]).unwrap(),
            Arrival::Closed
        ));
        let Arrival::Truncated(head) = Head::read(&mut &b"GET / HTTP/1.1\r\nX: y"[..]).unwrap()
        else {
            panic!("a head without its end is truncated");
        };
        assert_eq!(head.lines, [b"X: y"]);
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 2 << 20]].concat();
        assert!(matches!(
            Head::read(&mut long.as_slice()).unwrap(),
            Arrival::Truncated(_)
        ));
    }
}
