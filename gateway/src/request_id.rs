//! Ids under which requests are logged.

use std::cell::Cell;
use std::io;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Makes ids of 20 hexadecimal digits: 40 random bits drawn at the start, then a counter. Unique
/// for a worker's life, and very nearly so between workers and restarts; no secret.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: u64,
    next: Cell<u64>,
}

impl RequestIds {
    /// A new sequence.
    pub(crate) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Ok(Self {
            prefix: u64::from_le_bytes(random) >> 24,
            next: Cell::new(0),
        })
    }

    /// Writes the next id over `id`, whose memory is used again.
    pub(crate) fn write_next(&self, id: &mut String) {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        id.clear();
        for half in [self.prefix, count] {
            let nibbles = (0..HALF).rev().map(|place| half >> (4 * place) & 0xf);
            id.extend(nibbles.filter_map(|nibble| char::from_digit(nibble as u32, 16)));
        }
    }
}

/// The digits of the random part, and those of the counter.
const HALF: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_form_and_differ() {
        let ids = RequestIds::new().unwrap();
        let (mut first, mut second) = (String::new(), String::from("something else"));
        ids.write_next(&mut first);
        ids.write_next(&mut second);
        assert_eq!(first.len(), 20);
        assert_eq!(second.len(), 20);
        assert_ne!(first, second);
        assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
