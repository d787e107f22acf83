//! The records of a connection after its handshake: payload, key updates, alerts, the end.

use std::fmt;

use bytes::{Buf, BytesMut};
use rustls::ExtractedSecrets;
use rustls::kernel::KernelConnection;

use crate::key::DATA;
use crate::{Fault, KEY_UPDATE, Key, KeyError, MAX_PAYLOAD, OVERHEAD, Opened};

/// Where the next keys come from (RFC 8446 §7.2).
pub trait KeySchedule {
    /// The key after the one that opens now.
    ///
    /// # Errors
    ///
    /// There is none: the connection cannot go on.
    fn next_receiving(&mut self) -> Result<Key, KeyError>;

    /// The key after the one that seals now.
    ///
    /// # Errors
    ///
    /// There is none: the connection cannot go on.
    fn next_sending(&mut self) -> Result<Key, KeyError>;
}

/// A connection's records, in both directions.
pub struct Session<S> {
    receiving: Key,
    sending: Key,
    schedule: S,
    state: State,
    /// The beginning of a key update whose rest is in the next record.
    partial: Vec<u8>,
    /// Records without payload since the last with some.
    barren: u8,
    /// The peer asked for a key update of ours.
    update_due: bool,
    /// Our direction has ended.
    ended: bool,
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The peer has ended its direction.
    Closed,
    /// One record's payload, never empty, in the memory that it was received in.
    Data(BytesMut),
    /// At least so many bytes are missing for a whole record.
    NeedMore(usize),
}

/// Why nothing can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Our direction has ended.
    #[error("TLS has ended")]
    Ended,
    /// The key cannot seal, or there is no next one.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Failed(Fault),
    Open,
}

impl<S: KeySchedule> Session<S> {
    /// The records that follow a handshake.
    ///
    /// # Errors
    ///
    /// [`KeyError::Secrets`]: they are of no cipher that is known here.
    pub fn new(secrets: &ExtractedSecrets, schedule: S) -> Result<Self, KeyError> {
        let ((sent, sending), (received, receiving)) = (&secrets.tx, &secrets.rx);
        Ok(Self {
            receiving: Key::new(*received, receiving)?,
            sending: Key::new(*sent, sending)?,
            schedule,
            state: State::Open,
            partial: Vec::new(),
            barren: 0,
            update_due: false,
            ended: false,
        })
    }

    /// Takes records off `received`, up to and including one with payload.
    ///
    /// # Errors
    ///
    /// Nothing more can be received, and this is said again by each later call. Of the record at
    /// fault nothing is handed out; [`Session::end`] has the alert for it.
    pub fn open(&mut self, received: &mut BytesMut) -> Result<Received, Fault> {
        loop {
            match self.state {
                State::Closed => {
                    // RFC 8446 §6.1: what follows the end is ignored.
                    received.clear();
                    return Ok(Received::Closed);
                }
                State::Failed(fault) => return Err(fault),
                State::Open => {}
            }
            let taken = self.receiving.open(received);
            let judged = taken.and_then(|opened| match opened {
                Opened::NeedMore(missing) => Ok(Some(Received::NeedMore(missing))),
                Opened::Record(kind, content) => self.judge(kind, content),
            });
            match judged {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => {}
                Err(fault) => self.state = State::Failed(fault),
            }
        }
    }

    /// Seals as much of `payload` as fits `out` in full records and a last one. Returns how much
    /// of `out` is used. From [`crate::room_for`] one record on, something always fits.
    ///
    /// # Errors
    ///
    /// Our direction has ended, or cannot go on.
    pub fn seal(&mut self, payload: &mut impl Buf, out: &mut [u8]) -> Result<usize, SealError> {
        if self.ended || matches!(self.state, State::Failed(_)) {
            return Err(SealError::Ended);
        }
        let mut used = 0;
        while payload.has_remaining() {
            let rest = out.get_mut(used..).unwrap_or_default();
            // RFC 8446 §4.6.3: an update that was asked for comes before more payload.
            if self.update_due || self.sending.is_worn() {
                if rest.len() < KEY_UPDATE.len() + OVERHEAD {
                    break;
                }
                let mut message = &KEY_UPDATE[..];
                let length = message.len();
                used += self.sending.seal(HANDSHAKE, &mut message, length, rest)?;
                self.sending = self.schedule.next_sending()?;
                self.update_due = false;
                continue;
            }
            let length = payload.remaining().min(MAX_PAYLOAD);
            if rest.len() < length + OVERHEAD {
                break;
            }
            used += self.sending.seal(DATA, payload, length, rest)?;
        }
        Ok(used)
    }

    /// Ends our direction: with the alert that a fault calls for, else with close_notify (RFC 8446
    /// §6.1). Returns how much of `out` is used: nothing if nothing is owed, or the end was told.
    ///
    /// # Errors
    ///
    /// The key cannot seal, or `out` is smaller than 32 bytes.
    pub fn end(&mut self, out: &mut [u8]) -> Result<usize, KeyError> {
        if self.ended {
            return Ok(0);
        }
        self.ended = true;
        let alert = match self.state {
            State::Closed | State::Open => [WARNING, CLOSE_NOTIFY],
            State::Failed(fault) => match fault.alert() {
                Some(description) => [FATAL, description],
                None => return Ok(0),
            },
        };
        self.sending.seal(ALERT, &mut &alert[..], alert.len(), out)
    }

    /// What a record means; `None` if nothing for the caller.
    fn judge(&mut self, kind: u8, content: BytesMut) -> Result<Option<Received>, Fault> {
        // RFC 8446 §5.1: a message that spans records has nothing between them.
        if kind != HANDSHAKE && !self.partial.is_empty() {
            return Err(Fault::Unexpected);
        }
        if kind == DATA && !content.is_empty() {
            self.barren = 0;
            return Ok(Some(Received::Data(content)));
        }
        self.barren += 1;
        if self.barren > MOST_BARREN {
            return Err(Fault::Flood);
        }
        match kind {
            DATA => {}
            ALERT => self.alert(&content)?,
            HANDSHAKE => self.handshake(&content)?,
            _ => return Err(Fault::Unexpected),
        }
        Ok(None)
    }

    /// RFC 8446 §6: the level says nothing.
    fn alert(&mut self, content: &[u8]) -> Result<(), Fault> {
        match *content {
            // RFC 8446 §5.4.
            [] => Err(Fault::Unexpected),
            [_, CLOSE_NOTIFY] => {
                self.state = State::Closed;
                Ok(())
            }
            // RFC 8446 §6.1: close_notify follows.
            [_, USER_CANCELED] => Ok(()),
            [_, description] => Err(Fault::Alerted(description)),
            _ => Err(Fault::BadAlert),
        }
    }

    /// After the handshake a server expects nothing but key updates (RFC 8446 §4.6).
    fn handshake(&mut self, content: &[u8]) -> Result<(), Fault> {
        // RFC 8446 §5.1.
        if content.is_empty() {
            return Err(Fault::Unexpected);
        }
        self.partial.extend_from_slice(content);
        let request = match *self.partial {
            [24] | [24, 0] | [24, 0, 0] | [24, 0, 0, 1] => return Ok(()),
            [24, 0, 0, 1, request] => request,
            // RFC 8446 §5.1: the record ends where the key does.
            [24, 0, 0, 1, _, ..] => return Err(Fault::Unexpected),
            [24, ..] => return Err(Fault::BadKeyUpdate),
            _ => return Err(Fault::Unexpected),
        };
        self.partial = Vec::new();
        match request {
            0 => {}
            // Asked twice before we send: one update answers both (RFC 8446 §4.6.3).
            1 => self.update_due = true,
            _ => return Err(Fault::BadRequest),
        }
        self.receiving = self.schedule.next_receiving()?;
        Ok(())
    }

    /// As if the cipher stood fewer records under the sending key.
    #[cfg(test)]
    pub(crate) fn wear(&mut self, limit: u64) {
        self.sending.wear(limit);
    }
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<D> KeySchedule for KernelConnection<D> {
    fn next_receiving(&mut self) -> Result<Key, KeyError> {
        let (sequence, secrets) = self.update_rx_secret().map_err(|_| KeyError::Schedule)?;
        Key::new(sequence, &secrets)
    }

    fn next_sending(&mut self) -> Result<Key, KeyError> {
        let (sequence, secrets) = self.update_tx_secret().map_err(|_| KeyError::Schedule)?;
        Key::new(sequence, &secrets)
    }
}

/// Content types (RFC 8446 §5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Alerts and their levels (RFC 8446 §6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// As many key updates, empty records and the like are taken in a row, as rustls and BoringSSL
/// take key updates.
const MOST_BARREN: u8 = 32;
