//! The path on which decisions are taken (domain §9.4): a normalised copy. The raw bytes are what
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
        let _ = raw;
        todo!()
    }

    /// The normal form; starts with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// Whether the raw path had no encoded slash, backslash or dot, no `\`, `;`, `//` or dot
    /// segment: only such a path may use a lane without authentication by path.
    pub fn is_plain(&self) -> bool {
        self.plain
    }
}

/// A path that two readers would read in two ways: climbs above the root, or decodes to a control
/// character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ambiguous path")]
pub struct AmbiguousPath;
