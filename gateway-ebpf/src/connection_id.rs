//! The QUIC connection IDs that the gateway gives out (RFC 9000 §5.1), which say to whoever has the
//! keys, and to nobody else, which process and which of its workers has the connection.
//!
//! ```text
//! nonce (8) ‖ home (4) ‖ tag (4)      home = {generation, worker} ⊕ SipHash(conceal, nonce)
//!                                     tag  = SipHash(prove, nonce ‖ home)
//! ```
//!
//! Numbers are little-endian, hashes are SipHash-2-4, of which the low 32 bits are taken. A forged ID
//! passes for one in 2^32.

/// The keys of the connection IDs, drawn at random and kept as long as any of the IDs is in use.
#[derive(Clone, Copy)]
pub struct Keys {
    conceal: Key,
    prove: Key,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The process: it counts up with each that takes the place of another, and wraps.
    pub generation: u16,
    /// The worker in that process.
    pub worker: u16,
}

impl Keys {
    /// Keys from random numbers, those that conceal and those that prove.
    #[inline(always)]
    pub fn new(conceal: [u64; 2], prove: [u64; 2]) -> Self {
        let key = |[low, high]: [u64; 2]| Key(low, high);
        Self {
            conceal: key(conceal),
            prove: key(prove),
        }
    }

    /// The random numbers that they are made from, as [`Keys::new`] takes them.
    pub fn numbers(&self) -> [[u64; 2]; 2] {
        [self.conceal, self.prove].map(|Key(low, high)| [low, high])
    }

    /// The connection ID with this nonce, which must be random: it is all that tells two IDs of one
    /// worker apart.
    pub fn seal(&self, home: Home, nonce: [u8; 8]) -> [u8; LEN] {
        let plain = u32::from(home.generation) << 16 | u32::from(home.worker);
        let sealed = plain ^ self.conceal.hash(nonce, None);
        let tag = self.prove.hash(nonce, Some(sealed));
        let id = u128::from(u64::from_le_bytes(nonce))
            | u128::from(sealed) << 64
            | u128::from(tag) << 96;
        id.to_le_bytes()
    }

    /// Whose a connection is; `None` if the ID is none of ours.
    #[inline(always)]
    pub fn open(&self, id: [u8; LEN]) -> Option<Home> {
        let id = u128::from_le_bytes(id);
        let nonce = (id as u64).to_le_bytes();
        let sealed = (id >> 64) as u32;
        if self.prove.hash(nonce, Some(sealed)) != (id >> 96) as u32 {
            return None;
        }
        let plain = sealed ^ self.conceal.hash(nonce, None);
        Some(Home {
            generation: (plain >> 16) as u16,
            worker: plain as u16,
        })
    }
}

/// How long an ID is, in bytes.
pub const LEN: usize = 16;

/// A key of SipHash.
#[derive(Clone, Copy)]
struct Key(u64, u64);

impl Key {
    /// The low half of SipHash-2-4 over a nonce, and over four bytes behind it if there are any.
    #[inline(always)]
    fn hash(self, nonce: [u8; 8], behind: Option<u32>) -> u32 {
        self.siphash(nonce, behind) as u32
    }

    /// Inline, like all that the kernel program uses: the verifier would refuse a call with what
    /// `None` leaves unset.
    #[inline(always)]
    fn siphash(self, nonce: [u8; 8], behind: Option<u32>) -> u64 {
        let nonce = u64::from_le_bytes(nonce);
        // The last block holds what is left of the message, and its length in the highest byte.
        let last = match behind {
            None => 8 << 56,
            Some(word) => 12 << 56 | u64::from(word),
        };
        let mut state = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        for block in [nonce, last] {
            state[3] ^= block;
            state = round(round(state));
            state[0] ^= block;
        }
        state[2] ^= 0xff;
        let [a, b, c, d] = round(round(round(round(state))));
        a ^ b ^ c ^ d
    }
}

#[inline(always)]
fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(
            [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
            [0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918],
        )
    }

    fn home(generation: u16, worker: u16) -> Home {
        Home { generation, worker }
    }

    /// The vectors of the SipHash paper's reference code, for 8 and 12 bytes.
    #[test]
    fn hashes_are_those_of_the_reference() {
        let key = keys().conceal;
        let nonce = [0, 1, 2, 3, 4, 5, 6, 7];
        let expected = [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93];
        assert_eq!(key.siphash(nonce, None).to_le_bytes(), expected);
        let expected = [0xfb, 0xe5, 0x0e, 0x86, 0xbc, 0x8f, 0x1e, 0x75];
        let behind = Some(0x0b0a_0908);
        assert_eq!(key.siphash(nonce, behind).to_le_bytes(), expected);
    }

    /// Whoever makes IDs elsewhere, another generation or the kernel program, makes these.
    #[test]
    fn ids_are_as_they_were() {
        for (home, nonce, expected) in VECTORS {
            let id = keys().seal(home, nonce.to_le_bytes());
            assert_eq!(u128::from_le_bytes(id), expected, "{home:?}");
        }
    }

    #[test]
    fn keys_are_made_of_their_numbers() {
        let [conceal, prove] = keys().numbers();
        assert_eq!((conceal[1] >> 56, prove[0] & 0xff), (0x0f, 0x10));
        let id = keys().seal(home(1, 2), [3; 8]);
        assert_eq!(Keys::new(conceal, prove).open(id), Some(home(1, 2)));
    }

    #[test]
    fn a_home_comes_back_from_its_id() {
        for value in (0..=u16::MAX).step_by(257) {
            let home = home(value, value.rotate_left(5));
            let nonce = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let id = keys().seal(home, nonce.to_le_bytes());
            assert_eq!(keys().open(id), Some(home));
        }
    }

    #[test]
    fn an_id_with_any_bit_changed_is_nobodys() {
        let id = keys().seal(home(3, 7), [9; 8]);
        for bit in 0..LEN * 8 {
            let mut forged = id;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys().open(forged), None, "bit {bit}");
        }
        let other = Keys::new([1, 2], [3, 4]);
        assert_eq!(other.open(id), None);
    }

    #[test]
    fn an_id_shows_nothing_of_its_home() {
        // Two workers' IDs with the same nonce would, so nonces are random.
        let one = keys().seal(home(0, 0), [1; 8]);
        let two = keys().seal(home(0, 0), [2; 8]);
        assert_ne!(one[8..12], two[8..12]);
        assert_ne!(one[8..12], [0; 4]);
    }

    /// By another implementation of SipHash, in Python.
    const VECTORS: [(Home, u64, u128); 2] = [
        (
            Home {
                generation: 0,
                worker: 0,
            },
            0,
            0xafe6_1a81_a076_81a7_0000_0000_0000_0000,
        ),
        (
            Home {
                generation: 0x0102,
                worker: 0x0304,
            },
            0x0706_0504_0302_0100,
            0xfa3a_03ee_9b91_2766_0706_0504_0302_0100,
        ),
    ];
}
