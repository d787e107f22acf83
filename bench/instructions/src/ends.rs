//! Both ends of a TLS connection after its handshake, with the same keys in each run: a count must
//! not depend on chance.

use record::{Key, KeyError, KeySchedule, Session};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

/// The client's end, and the gateway's.
pub(crate) fn ends() -> Result<(Session<OneKey>, Session<OneKey>), KeyError> {
    let client = Session::new(&secrets(TO_GATEWAY, TO_CLIENT), OneKey)?;
    let gateway = Session::new(&secrets(TO_CLIENT, TO_GATEWAY), OneKey)?;
    Ok((client, gateway))
}

/// Nobody asks for a key update here.
#[derive(Debug)]
pub(crate) struct OneKey;

impl KeySchedule for OneKey {
    fn next_receiving(&mut self) -> Result<Key, KeyError> {
        Err(KeyError::Schedule)
    }

    fn next_sending(&mut self) -> Result<Key, KeyError> {
        Err(KeyError::Schedule)
    }
}

fn secrets(sending: u8, receiving: u8) -> ExtractedSecrets {
    // The cipher that rustls prefers, and that the other benchmarks have.
    let of = |byte| ConnectionTrafficSecrets::Aes256Gcm {
        key: AeadKey::from([byte; 32]),
        iv: Iv::from([byte; 12]),
    };
    ExtractedSecrets {
        tx: (0, of(sending)),
        rx: (0, of(receiving)),
    }
}

/// What the keys consist of.
const TO_CLIENT: u8 = 1;
const TO_GATEWAY: u8 = 2;
