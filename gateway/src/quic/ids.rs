//! Connection IDs that say, to whoever has the keys, which worker has the connection.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use gateway_ebpf::connection_id::{Home, Keys, LEN};
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;

use crate::telemetry::Cells;

/// Makes the IDs of one endpoint, and knows them again.
pub(super) struct Ids {
    keys: Keys,
    home: Home,
    cells: Arc<Cells>,
    /// The index of the listener that the endpoint is of.
    listener: usize,
    /// Nonces are the hashes of a counter under a random key: no two are alike for as long as it
    /// matters, nobody else can tell what comes next, and drawing one cannot fail.
    nonces: RandomState,
    count: u64,
}

impl Ids {
    pub(super) fn new(keys: Keys, home: Home, cells: Arc<Cells>, listener: usize) -> Self {
        Self {
            keys,
            home,
            cells,
            listener,
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
            Some(_) => {
                if let Some(cells) = self.cells.http3(self.listener) {
                    cells.stray();
                }
                Err(InvalidCid)
            }
            None => Err(InvalidCid),
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
    use crate::telemetry::{Labels, Telemetry};

    #[test]
    fn an_endpoint_knows_its_own_ids_and_no_others() {
        let home = |generation, worker| Home { generation, worker };
        let telemetry = Telemetry::new(&Labels {
            apps: &[],
            auth_causes: &[],
            listeners: &["public"],
            pools: &[],
        });
        let cells = telemetry.worker(0);
        let ids = |keys, home| Ids::new(keys, home, Arc::clone(&cells), 0);
        let keys = Keys::new([1, 2], [3, 4]);
        let mut own = ids(keys, home(5, 1));
        let mut others = [home(5, 2), home(6, 1)].map(|home| ids(keys, home));
        for _ in 0..100 {
            let id = own.generate_cid();
            assert!(own.validate(&id).is_ok());
            for other in &mut others {
                assert!(other.validate(&id).is_err());
                assert!(own.validate(&other.generate_cid()).is_err());
            }
        }
        let strays = "connect_gateway_http3_strays_total{listener=\"public\"} 400\n";
        assert!(telemetry.render().contains(strays));

        // What is nobody's is none.
        assert_ne!(own.generate_cid(), own.generate_cid());
        assert!(own.validate(&ConnectionId::new(&[0; 8])).is_err());
        let mut foreign = ids(Keys::new([1, 2], [3, 5]), home(5, 1));
        assert!(own.validate(&foreign.generate_cid()).is_err());
        assert!(telemetry.render().contains(strays));
    }
}
