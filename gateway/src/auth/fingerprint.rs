//! Fingerprints: what the process remembers instead of secrets, names and addresses.

use std::hash::{BuildHasher, Hash, Hasher};

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use policy::SessionToken;

use crate::address::AddressBlock;

/// Makes fingerprints of what can be guessed: HMAC-SHA256 under a key that only this process has,
/// for as long as it lives.
#[derive(Debug)]
pub(super) struct Fingerprints {
    key: hmac::Key,
}

/// A fingerprint: 256 bits, from which nobody finds what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// Hashes fingerprints for maps by taking their first eight bytes: they are uniform already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prehashed(u64);

impl Fingerprints {
    /// With a fresh key.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        Ok(Self { key })
    }

    /// An account, whether it exists or not.
    pub(super) fn account(&self, realm: usize, user: &str) -> Fingerprint {
        self.make(b'a', realm, &[user.as_bytes()])
    }

    /// An account as used from an address block.
    pub(super) fn account_at(&self, realm: usize, user: &str, block: AddressBlock) -> Fingerprint {
        self.make(b'b', realm, &[user.as_bytes(), block.as_bytes()])
    }

    /// An address block.
    pub(super) fn address(&self, realm: usize, block: AddressBlock) -> Fingerprint {
        self.make(b'c', realm, &[block.as_bytes()])
    }

    /// User and password.
    pub(super) fn credentials(&self, realm: usize, user: &str, password: &[u8]) -> Fingerprint {
        self.make(b'd', realm, &[user.as_bytes(), password])
    }

    /// User and password as used from an address block.
    pub(super) fn credentials_at(
        &self,
        realm: usize,
        user: &str,
        password: &[u8],
        block: AddressBlock,
    ) -> Fingerprint {
        self.make(b'e', realm, &[user.as_bytes(), password, block.as_bytes()])
    }

    /// Chooses the entry against which an unknown user's password is hashed: always the same one
    /// for a name, so that it looks like an account of its own.
    pub(super) fn decoy_seed(&self, realm: usize, user: &str) -> u64 {
        // 32 bits, which `usize` holds everywhere.
        self.make(b'f', realm, &[user.as_bytes()]).first_word() >> 32
    }

    /// Each part is preceded by its length, so that no two lists of parts read the same.
    fn make(&self, purpose: u8, realm: usize, parts: &[&[u8]]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[purpose]);
        context.update(&realm.to_le_bytes());
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        Fingerprint::new(context.sign().as_ref())
    }
}

impl Fingerprint {
    /// A session's token. It differs by realm, so that a session of one is absent in another.
    /// Plain SHA-256 will do, in a quarter of the time: nobody guesses 256 random bits.
    pub(super) fn session(realm: usize, token: &SessionToken) -> Self {
        let mut message = [0; 40];
        let (head, tail) = message.split_at_mut(8);
        head.copy_from_slice(&(realm as u64).to_le_bytes());
        tail.copy_from_slice(token.as_bytes());
        Self::new(digest(&digest::SHA256, &message).as_ref())
    }

    /// A shard's index, from bytes that the maps within a shard do not hash by.
    pub(super) fn shard(&self) -> usize {
        usize::from(self.0[31])
    }

    fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; 32];
        debug_assert_eq!(digest.len(), bytes.len());
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(bytes)
    }

    fn first_word(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.first_word());
    }
}

impl BuildHasher for Prehashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only fingerprints are hashed, and they write one `u64`; anything else still works.
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(8) ^ word;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn fingerprints_differ_by_purpose_realm_and_where_parts_end() {
        let fingerprints = Fingerprints::new().unwrap();
        let block = AddressBlock::from(IpAddr::from([192, 0, 2, 1]));
        let token = SessionToken::new([7; 32]);
        let all = [
            fingerprints.account(0, "alice"),
            fingerprints.account(1, "alice"),
            fingerprints.account_at(0, "alice", block),
            fingerprints.address(0, block),
            fingerprints.credentials(0, "alice", b""),
            fingerprints.credentials(0, "alic", b"e"),
            fingerprints.credentials(0, "ali", b"ce"),
            fingerprints.credentials_at(0, "ali", b"ce", block),
            Fingerprint::session(0, &token),
            Fingerprint::session(1, &token),
            Fingerprint::session(0, &SessionToken::new([8; 32])),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(fingerprints.account(0, "alice"), all[0]);
        let other_process = Fingerprints::new().unwrap();
        assert_ne!(other_process.account(0, "alice"), all[0]);
    }
}
