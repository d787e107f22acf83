//! Priorities (RFC 9218).

use crate::grammar::{split_once, trim_blanks};
use crate::head::Fields;

/// What a client says of the order of answers (RFC 9218 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0, the first, to 7, the last.
    pub urgency: u8,
    /// Whether part of the answer is of use before the whole, so that answers of one urgency
    /// should share.
    pub incremental: bool,
}

impl Priority {
    /// Parses a `Priority` value, a dictionary of structured fields (RFC 8941 §3.2). What is
    /// unknown, of another type or out of range is passed over (RFC 9218 §4).
    ///
    /// A wish cannot be wrong: where RFC 8941 would drop a faulty dictionary as a whole, the
    /// members that can be read count.
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self::default();
        priority.read(value);
        priority
    }

    /// What the `Priority` fields say, of which there is usually one at most.
    pub fn of(fields: &Fields) -> Self {
        let mut priority = Self::default();
        for line in fields.iter() {
            if line.name.eq_ignore_ascii_case(b"priority") {
                priority.read(line.value);
            }
        }
        priority
    }

    fn read(&mut self, value: &[u8]) {
        for member in value.split(|byte| *byte == b',') {
            // RFC 8941 §3.1.2: parameters follow, of which none is known.
            let member = split_once(member, b';').map_or(member, |(member, _)| member);
            let member = trim_blanks(member);
            let (key, value) = match split_once(member, b'=') {
                Some((key, value)) => (key, value),
                // RFC 8941 §3.2: a key alone is true.
                None => (member, &b"?1"[..]),
            };
            // Of a member that comes twice the last counts.
            match (key, value) {
                (b"u", [digit @ b'0'..=b'7']) => self.urgency = digit - b'0',
                (b"u", _) => self.urgency = Self::default().urgency,
                (b"i", _) => self.incremental = value == b"?1",
                _ => {}
            }
        }
    }
}

impl Default for Priority {
    /// RFC 9218 §4.1, §4.2.
    fn default() -> Self {
        Self {
            urgency: 3,
            incremental: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_and_incremental_are_read() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=1", 1, true),
            ("u=5, i=?1", 5, true),
            ("u=5, i=?0", 5, false),
            ("\tu=2\t,\t i ", 2, true),
            ("u=2;a=b, i;c", 2, true),
            // RFC 9218 §4: what is unknown, of another type or out of range is passed over.
            ("u=8", 3, false),
            ("u=-1", 3, false),
            ("u=10", 3, false),
            ("u=1.0", 3, false),
            ("u", 3, false),
            ("i=1", 3, false),
            ("U=1, I", 3, false),
            ("x=1, y, u=6", 6, false),
            // RFC 8941 §4.2.2: the last counts.
            ("u=1, u=2", 2, false),
            ("u=1, u=9", 3, false),
            ("i, i=?0", 3, false),
            ("=,;=,\"", 3, false),
        ] {
            let expected = Priority {
                urgency,
                incremental,
            };
            assert_eq!(Priority::parse(value.as_bytes()), expected, "{value:?}");
        }
    }
}
