//! Records of a client that may seal anything, and of one who has no key: what is opened does not
//! depend on how it arrives, is payload that was sealed as payload, and nothing from the first
//! forged bit on.
//!
//! Input: the size of the pieces; a bit to change, 0 for none, and where, in two bytes; then records:
//! content type, length, content. Those bytes are opened as they are as well.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use record::{Fault, Key, KeyError, KeySchedule, OVERHEAD, Received, Session};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

fuzz_target!(|data: &[u8]| {
    let Some((&[size, bit, high, low], rest)) = data.split_first_chunk() else {
        return;
    };
    // Without the key nothing is opened, except nothing at all.
    let (payload, end) = open(rest, rest.len().max(1));
    assert!(payload.is_empty());
    assert!(!matches!(end, End::Closed));

    let Client {
        mut sealed,
        mut starts,
        payloads,
    } = Client::sealing(rest);
    let mut intact = starts.len();
    if bit != 0 && !sealed.is_empty() {
        let place = usize::from(u16::from_be_bytes([high, low])) % sealed.len();
        sealed[place] ^= bit;
        starts.retain(|start| *start <= place);
        intact = starts.len() - 1;
    }
    let size = usize::from(size).max(1);
    let (payload, end) = open(&sealed, sealed.len().max(1));
    assert_eq!(
        (&payload, &end),
        (&open(&sealed, size).0, &open(&sealed, size).1),
        "it depends on how it arrives"
    );
    // Whole records, and none but the intact ones.
    let mut expected = Vec::new();
    let mut prefixes = vec![expected.clone()];
    for each in payloads.into_iter().take(intact) {
        expected.extend(each);
        prefixes.push(expected.clone());
    }
    assert!(prefixes.contains(&payload));
    if end == End::Open && bit == 0 {
        assert_eq!(payload, expected);
    }
});

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Fault(Fault),
    Open,
}

fn open(sealed: &[u8], size: usize) -> (Vec<u8>, End) {
    let secrets = ExtractedSecrets {
        tx: (0, secrets(0)),
        rx: (0, secrets(0)),
    };
    let mut session = Session::new(&secrets, Numbered::default()).expect("a known cipher");
    let mut received = BytesMut::new();
    let mut payload = Vec::new();
    for piece in sealed.chunks(size) {
        received.extend_from_slice(piece);
        loop {
            match session.open(&mut received) {
                Ok(Received::Closed) => return (payload, End::Closed),
                Ok(Received::Data(data)) => {
                    assert!(!data.is_empty());
                    payload.extend_from_slice(&data);
                }
                Ok(Received::NeedMore(missing)) => {
                    assert!(missing > 0);
                    break;
                }
                Err(fault) => {
                    assert_eq!(session.open(&mut received), Err(fault));
                    let mut out = [0; 32];
                    let told = session.end(&mut out).expect("there is room");
                    assert_eq!(told > 0, fault.alert().is_some());
                    return (payload, End::Fault(fault));
                }
            }
        }
    }
    (payload, End::Open)
}

/// Records, where each begins, and what of each is payload.
struct Client {
    sealed: Vec<u8>,
    starts: Vec<usize>,
    payloads: Vec<Vec<u8>>,
}

impl Client {
    fn sealing(mut input: &[u8]) -> Self {
        let mut client = Self {
            sealed: Vec::new(),
            starts: Vec::new(),
            payloads: Vec::new(),
        };
        let mut keys = Numbered::default();
        let mut key = Key::new(0, &secrets(0)).expect("a known cipher");
        while let Some((&[kind, length], rest)) = input.split_first_chunk() {
            let (content, rest) = rest.split_at(usize::from(length).min(rest.len()));
            input = rest;
            let mut out = vec![0; content.len() + OVERHEAD];
            let mut payload = content;
            key.seal(kind, &mut payload, content.len(), &mut out)
                .expect("there is room");
            client.starts.push(client.sealed.len());
            client.sealed.extend(out);
            if (kind, content.len()) == (22, 5) && content[..4] == [24, 0, 0, 1] {
                key = keys.next_receiving().expect("always");
            }
            // The last byte that is not zero is the content type.
            let mut inner = content.to_vec();
            inner.push(kind);
            while inner.last() == Some(&0) {
                inner.pop();
            }
            client.payloads.push(match inner.pop() {
                Some(23) => inner,
                _ => Vec::new(),
            });
        }
        client
    }
}

/// Keys by number.
#[derive(Default)]
struct Numbered(u8);

impl KeySchedule for Numbered {
    fn next_receiving(&mut self) -> Result<Key, KeyError> {
        self.0 = self.0.wrapping_add(1);
        Key::new(0, &secrets(self.0))
    }

    fn next_sending(&mut self) -> Result<Key, KeyError> {
        Err(KeyError::Schedule)
    }
}

fn secrets(number: u8) -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Aes256Gcm {
        key: AeadKey::from([number; 32]),
        iv: Iv::from([3; 12]),
    }
}
