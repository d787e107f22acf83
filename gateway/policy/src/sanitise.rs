//! Which fields of a request go on to the back-end: the one choke point of promise P1.

use wire::Fields;

/// The field lines to forward, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept(u128);

impl Kept {
    /// Whether the field line at this index is forwarded.
    pub fn contains(self, index: usize) -> bool {
        self.0.checked_shr(index as u32).unwrap_or(0) & 1 == 1
    }

    /// Adds the field line at this index.
    pub fn insert(&mut self, index: usize) {
        debug_assert!(index < Fields::MAX);
        self.0 |= 1_u128.checked_shl(index as u32).unwrap_or(0);
    }

    /// Removes the field line at this index.
    pub fn remove(&mut self, index: usize) {
        self.0 &= !1_u128.checked_shl(index as u32).unwrap_or(0);
    }
}

/// What was removed from a request because the gateway owns it, for the metrics and the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Field lines with an owned name, in any spelling.
    pub owned: u32,
    /// Aliases of credential, framing and routing names (`X_Auth_Token`, `Content_Length`).
    pub aliases: u32,
    /// Well-spelled credential headers that this lane does not use.
    pub credentials: u32,
}
