//! Connection IDs that say, to whoever has the keys, which worker has the connection.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use gateway_ebpf::connection_id::{Home, Keys, LEN};
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;

/// Makes the IDs of one endpoint, and knows them again.
pub(super) struct Ids {
    keys: Keys,
    home: Home,
    /// Nonces are the hashes of a counter under a random key: no two are alike for as long as it
    /// matters, nobody else can tell what comes next, and drawing one cannot fail.
    nonces: RandomState,
    count: u64,
}

impl Ids {
    pub(super) fn new(keys: Keys, home: Home) -> Self {
        Self {
            keys,
            home,
            nonces: RandomState::new(),
            count: 0,
        }
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.count = self.count.wrapping_add(1);
        let nonce = self.nonces.hash_one(self.count);
        ConnectionId::new(&self.keys.seal(self.home, nonce.to_le_bytes()))
    }

    /// A packet for an ID that is valid and unknown is answered by a stateless reset. One of
    /// another's, which the network or the kernel brought here, must not be: its connection lives.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let id = <[u8; LEN]>::try_from(&**id).map_err(|_| InvalidCid)?;
        match self.keys.open(id) {
            Some(home) if home == self.home => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_knows_its_own_ids_and_no_others() {
        let home = |worker| Home {
            generation: 0,
            worker,
        };
        let keys = Keys::new([1, 2], [3, 4]);
        let mut one = Ids::new(keys, home(1));
        let mut two = Ids::new(keys, home(2));
        for _ in 0..100 {
            let (of_one, of_two) = (one.generate_cid(), two.generate_cid());
            assert!(one.validate(&of_one).is_ok() && two.validate(&of_two).is_ok());
            assert!(one.validate(&of_two).is_err() && two.validate(&of_one).is_err());
        }
        assert_ne!(one.generate_cid(), one.generate_cid());
        assert!(one.validate(&ConnectionId::new(&[0; 8])).is_err());
        let mut other = Ids::new(Keys::new([1, 2], [3, 5]), home(1));
        assert!(one.validate(&other.generate_cid()).is_err());
    }
}
