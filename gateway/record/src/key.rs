//! One direction's key: single records, sealed and opened (RFC 8446 §5.2).

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use bytes::{Buf, BytesMut};
use rustls::ConnectionTrafficSecrets;

use crate::{Fault, HEADER, MAX_PAYLOAD, OVERHEAD, TAG};

/// A traffic key with its sequence number. aws-lc erases the key when it is dropped; the
/// initialisation vector, which alone is no secret, is not erased.
pub struct Key {
    aead: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    limit: u64,
}

/// A key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cipher took no more, or there was no room.
    #[error("a TLS record cannot be sealed")]
    Seal,
    /// rustls has no next key.
    #[error("TLS keys cannot be updated")]
    Schedule,
    /// Not a cipher of TLS 1.3, or not a key of it.
    #[error("unusable TLS keys")]
    Secrets,
}

/// What opening found.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// At least so many bytes are missing for a whole record.
    NeedMore(usize),
    /// A record's content type and content, without padding; authentic.
    Record(u8, BytesMut),
}

impl Key {
    /// A key as rustls hands it out, with the number of the next record.
    ///
    /// # Errors
    ///
    /// [`KeyError::Secrets`]: the cipher is none that is known here.
    pub fn new(sequence: u64, secrets: &ConnectionTrafficSecrets) -> Result<Self, KeyError> {
        let (algorithm, key, iv, limit): (&'static Algorithm, _, _, _) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, GCM_LIMIT),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, GCM_LIMIT),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&CHACHA20_POLY1305, key, iv, u64::MAX)
            }
            _ => return Err(KeyError::Secrets),
        };
        let unusable = |_| KeyError::Secrets;
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(unusable)?;
        Ok(Self {
            aead: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().map_err(|_| KeyError::Secrets)?,
            sequence,
            limit,
        })
    }

    /// Takes the first record off `received`, if it is whole. Its content stays in the memory that
    /// it was received in.
    ///
    /// # Errors
    ///
    /// [`Fault::BadMac`], [`Fault::Overflow`] and [`Fault::Unexpected`] of RFC 8446 §5; nothing
    /// can be received with this key any more.
    pub fn open(&mut self, received: &mut BytesMut) -> Result<Opened, Fault> {
        let Some(&header) = received.first_chunk::<HEADER>() else {
            return Ok(Opened::NeedMore(HEADER - received.len()));
        };
        let [kind, _, _, high, low] = header;
        // RFC 8446 §5: change_cipher_spec has no place behind the handshake. What is not encrypted
        // may be anybody's.
        if kind != DATA {
            return Err(Fault::Unexpected);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_CIPHERTEXT {
            return Err(Fault::Overflow);
        }
        let missing = (HEADER + length).saturating_sub(received.len());
        if missing > 0 {
            return Ok(Opened::NeedMore(missing));
        }
        let nonce = self.next_nonce().ok_or(Fault::Overflow)?;
        let mut record = received.split_to(HEADER + length);
        record.advance(HEADER);
        // The header as it was received: a changed version is as bad as a changed payload.
        let inner = self
            .aead
            .open_in_place(nonce, Aad::from(header), &mut record)
            .map_err(|_| Fault::BadMac)?;
        if inner.len() > MAX_PAYLOAD + 1 {
            return Err(Fault::Overflow);
        }
        // RFC 8446 §5.4: the content type is the last byte that is not zero; what follows is padding.
        let end = inner.iter().rposition(|byte| *byte != 0);
        let end = end.ok_or(Fault::Unexpected)?;
        let kind = inner.get(end).copied().ok_or(Fault::Unexpected)?;
        record.truncate(end);
        Ok(Opened::Record(kind, record))
    }

    /// Seals the next `length` bytes of `payload` as one record of a content type at the beginning
    /// of `out`. Returns the record's size: `length` and [`OVERHEAD`]. A peer refuses more than
    /// [`MAX_PAYLOAD`].
    ///
    /// # Errors
    ///
    /// [`KeyError::Seal`]: `out` is too small, or the key has been used up.
    pub fn seal(
        &mut self,
        kind: u8,
        payload: &mut impl Buf,
        length: usize,
        out: &mut [u8],
    ) -> Result<usize, KeyError> {
        debug_assert!(length <= payload.remaining());
        let (header, rest) = out.split_first_chunk_mut().ok_or(KeyError::Seal)?;
        let (content, rest) = rest.split_at_mut_checked(length).ok_or(KeyError::Seal)?;
        let (end, _) = rest
            .split_first_chunk_mut::<{ 1 + TAG }>()
            .ok_or(KeyError::Seal)?;
        let size = u16::try_from(length + end.len()).map_err(|_| KeyError::Seal)?;
        let [high, low] = size.to_be_bytes();
        *header = [DATA, 3, 3, high, low];
        let aad = Aad::from(*header);
        let nonce = self.next_nonce().ok_or(KeyError::Seal)?;
        if let Some(whole) = payload.chunk().get(..length) {
            // In one piece, the cipher itself moves it.
            self.aead
                .seal_out_of_place_scatter(nonce, aad, whole, content, &[kind], end)
                .map_err(|_| KeyError::Seal)?;
            payload.advance(length);
        } else {
            payload.copy_to_slice(content);
            self.aead
                .seal_in_place_scatter(nonce, aad, content, &[kind], end)
                .map_err(|_| KeyError::Seal)?;
        }
        Ok(length + OVERHEAD)
    }

    /// Whether this key has sealed so much that it must be replaced.
    pub(crate) fn is_worn(&self) -> bool {
        self.sequence >= self.limit
    }

    /// RFC 8446 §5.3. `None` when no number is left.
    fn next_nonce(&mut self) -> Option<Nonce> {
        let mut nonce = self.iv;
        let number = self.sequence.to_be_bytes();
        for (byte, number) in nonce.iter_mut().rev().zip(number.iter().rev()) {
            *byte ^= number;
        }
        self.sequence = self.sequence.checked_add(1)?;
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// As if the cipher stood fewer records.
    #[cfg(test)]
    pub(crate) fn wear(&mut self, limit: u64) {
        self.limit = limit;
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", self.aead.algorithm())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// application_data, which each protected record pretends to be (RFC 8446 §5.2).
pub(crate) const DATA: u8 = 23;

/// RFC 8446 §5.2.
const MAX_CIPHERTEXT: usize = MAX_PAYLOAD + 256;

/// Records of full size under one key of AES-GCM: 2^24.5 by RFC 8446 §5.5; as in rustls, a little
/// less. ChaCha20-Poly1305 has no limit that a sequence number could reach.
const GCM_LIMIT: u64 = 1 << 24;
