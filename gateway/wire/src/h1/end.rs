//! Finding the end of a head that arrives in pieces, each byte looked at once.

use super::HeadError;

/// Remembers how far a growing head has been searched for its empty line.
///
/// Re-parsing on every read is quadratic (design §10: 66 ms for 32 KiB in 16-byte pieces), so
/// parsing waits until this has seen the end.
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
        let _ = (buffer, self.searched, self.line_start);
        todo!()
    }
}
