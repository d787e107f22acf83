//! Finding the end of a head that arrives in pieces, each byte looked at once.

use super::HeadError;

/// Remembers how far a growing head has been searched for its empty line.
///
/// Re-parsing on every read is quadratic in the head's length, so
/// parsing waits until this has seen the end. Each head takes a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadEnd {
    searched: usize,
    line_start: usize,
}

impl HeadEnd {
    /// Looks at the bytes that came since the last call; `buffer` is the same head, grown.
    /// Returns its length, terminator included, once it is complete.
    ///
    /// A bare LF, and an empty first line, are errors at once: waiting for more would only let
    /// the sender time out.
    pub fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        debug_assert!(self.line_start <= self.searched && self.searched <= buffer.len());
        let fresh = buffer.get(self.searched..).unwrap_or_default();
        let searched = self.searched;
        for offset in memchr::memchr_iter(b'\n', fresh) {
            let lf = searched + offset;
            // RFC 9112 §2.2: a recipient may take a bare LF for a line end; others do not.
            let Some(cr) = lf
                .checked_sub(1)
                .filter(|at| buffer.get(*at) == Some(&b'\r'))
            else {
                return Err(HeadError::BareLineBreak);
            };
            if cr == self.line_start {
                return match cr {
                    0 => Err(HeadError::NoStartLine),
                    _ => Ok(Some(lf + 1)),
                };
            }
            self.line_start = lf + 1;
        }
        self.searched = buffer.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_is_the_first_empty_line() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Ok(Some(18))),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n",
                Ok(Some(27)),
            ),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r", Ok(None)),
            (b"", Ok(None)),
            (b"\r", Ok(None)),
            (b"\r\n", Err(HeadError::NoStartLine)),
            (b"\n", Err(HeadError::BareLineBreak)),
            (b"GET / HTTP/1.1\n", Err(HeadError::BareLineBreak)),
            (
                b"GET / HTTP/1.1\r\nHost: a\r\n\n",
                Err(HeadError::BareLineBreak),
            ),
            (
                b"GET / HTTP/1.1\r\nHost: a\n\r\n",
                Err(HeadError::BareLineBreak),
            ),
        ] {
            assert_eq!(HeadEnd::default().find(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn every_split_finds_the_same_end() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut end = HeadEnd::default();
        for len in 0..head.len() {
            assert_eq!(end.find(&head[..len]), Ok(None), "{len}");
        }
        assert_eq!(end.find(head), Ok(Some(head.len())));
    }
    /// The rule, line by line over the whole.
    fn naive(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let mut end = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            match line {
                b"\r\n" if end == 2 => return Err(HeadError::NoStartLine),
                b"\r\n" => return Ok(Some(end)),
                [.., b'\r', b'\n'] => {}
                [.., b'\n'] => return Err(HeadError::BareLineBreak),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_split_agrees_with_a_naive_search(
            lines in prop::collection::vec(
                prop::sample::select(vec!["a", "bc", "\r\n", "\r\n", "\r\n\r\n", "\r", "\n"]),
                0..30,
            ),
            lens in prop::collection::vec(0_usize..9, 0..30),
        ) {
            let bytes = lines.concat().into_bytes();
            let mut end = HeadEnd::default();
            let mut found = Ok(None);
            let mut len = 0;
            for step in lens.into_iter().chain([bytes.len()]) {
                len = (len + step).min(bytes.len());
                found = end.find(&bytes[..len]);
                if found != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(found, naive(&bytes));
        }
    }
}
