//! The handshake, by rustls, up to where our records begin.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

use crate::key::DATA;
use crate::{HEADER, MAX_HANDSHAKE, Session, TAG};

/// A server's handshake. rustls is shown no record beyond the client's last of the handshake: all
/// that follow are the [`Session`]'s.
pub struct Handshake {
    connection: UnbufferedServerConnection,
    /// How much of what was received rustls has been shown; whole records, and at most one that
    /// is not.
    shown: usize,
    /// How much of that are whole records.
    whole: usize,
    /// Whether there was anything to be sent.
    begun: bool,
    /// Until then, all that was received, as it was: rustls moves the parts of a message together,
    /// and takes alerts that stand before the first.
    first: Vec<u8>,
    /// How much of that is no longer in what was received.
    taken: usize,
    /// How much early data was skipped, in bytes.
    skipped: usize,
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is complete.
    Done,
    /// The client has to send more, once it has what was written.
    NeedMore,
}

/// A handshake that does not go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandshakeError {
    /// The first message did not please, and nothing was said yet: all that was received is still
    /// there, for a configuration that knows more versions.
    #[error("{0}")]
    First(rustls::Error),
    /// It has failed. The alert was written, if there is one: like stock rustls, we have none for
    /// a client that sends too much.
    #[error("{0}")]
    Later(rustls::Error),
}

impl Handshake {
    /// A handshake that has not begun. `config` should know TLS 1.3 only, and must let its secrets
    /// be extracted.
    ///
    /// # Errors
    ///
    /// rustls does not take the configuration.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            shown: 0,
            whole: 0,
            begun: false,
            first: Vec::new(),
            taken: 0,
            skipped: 0,
        })
    }

    /// Takes what it can use off `received`, and appends what is to be sent to `out`, which the
    /// caller has to send before it waits for more. What is left of `received` when the handshake
    /// is done belongs to the session; while it needs more, it is less than [`MAX_HANDSHAKE`].
    ///
    /// # Errors
    ///
    /// The handshake does not go on.
    pub fn advance(
        &mut self,
        received: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Step, HandshakeError> {
        if !self.begun {
            let known = self.first.len().saturating_sub(self.taken);
            let new = received.get(known..).unwrap_or_default();
            self.first.extend_from_slice(new);
        }
        self.show_more(received);
        loop {
            let shown = received.get_mut(..self.shown).unwrap_or_default();
            let UnbufferedStatus { discard, state, .. } =
                self.connection.process_tls_records(shown);
            let next = match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out).map(|()| Next::Again),
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    // As far as rustls is concerned: it is in `out`.
                    sent.done();
                    Ok(Next::Again)
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    Ok(Next::Judge)
                }
                // Payload, early or not, and the end of the stream cannot come before the end of
                // the handshake.
                Ok(_) => Err(rustls::Error::HandshakeNotComplete),
                Err(error) => Err(error),
            };
            if let Err(error) = next {
                return Err(self.failed(error, received, out));
            }
            if !out.is_empty() {
                self.begun = true;
                self.first = Vec::new();
            }
            self.take_off(received, discard);
            if matches!(next, Ok(Next::Again)) {
                continue;
            }
            if !self.connection.is_handshaking() {
                return Ok(Step::Done);
            }
            self.forget_early_data(received);
            if !self.show_more(received) {
                let held = received.len().max(self.first.len());
                if held + self.skipped >= MAX_HANDSHAKE {
                    let error = rustls::Error::General("message buffer full".into());
                    return Err(self.failed(error, received, out));
                }
                return Ok(Step::NeedMore);
            }
        }
    }

    /// The records that follow.
    ///
    /// # Errors
    ///
    /// The handshake is not done, or not of TLS 1.3.
    pub fn finish(self) -> Result<Session<KernelConnection<ServerConnectionData>>, rustls::Error> {
        let (secrets, kernel) = self.connection.dangerous_into_kernel_connection()?;
        let unusable = |error| rustls::Error::General(format!("{error}"));
        Session::new(&secrets, kernel).map_err(unusable)
    }

    /// Shows rustls the next record, or what there is of it, because it may already be wrong; false
    /// if there is nothing new.
    fn show_more(&mut self, received: &[u8]) -> bool {
        let before = self.shown;
        let rest = received.get(self.whole..).unwrap_or_default();
        let record = rest
            .first_chunk::<HEADER>()
            .map(|&[_, _, _, high, low]| HEADER + usize::from(u16::from_be_bytes([high, low])));
        match record {
            Some(length) if length <= rest.len() => {
                self.whole += length;
                self.shown = self.whole;
            }
            _ => self.shown = received.len(),
        }
        self.shown > before
    }

    /// Takes off what rustls has skipped: payload from before the handshake (RFC 8446 §4.2.10). It
    /// leaves that where it is, and counts it anew with each record that follows.
    fn forget_early_data(&mut self, received: &mut BytesMut) {
        // Behind the beginning of a message there is none.
        if was_skipped(received.get(..self.whole).unwrap_or_default()) {
            self.skipped += self.whole;
            self.take_off(received, self.whole);
        }
    }

    /// Takes off what rustls needs no more.
    fn take_off(&mut self, received: &mut BytesMut, count: usize) {
        received.advance(count);
        self.taken += count;
        self.shown = self.shown.saturating_sub(count);
        self.whole = self.whole.saturating_sub(count);
    }

    /// What is said of an error, and to whom.
    fn failed(
        &mut self,
        error: rustls::Error,
        received: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> HandshakeError {
        if !self.begun && out.is_empty() {
            received.clear();
            received.extend_from_slice(&self.first);
            return HandshakeError::First(error);
        }
        self.encode_alert(out);
        HandshakeError::Later(error)
    }

    /// Appends the alert that rustls has for its error, if any.
    fn encode_alert(&mut self, out: &mut Vec<u8>) {
        // With nothing to say it would look for the rest of a message in what it is shown, which is
        // nothing, and panic.
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
            // Anything but an alert is the error that is being reported, said again.
            let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                return;
            };
            if encode(data, out).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

enum Next {
    Again,
    Judge,
}

/// Whether this is one sealed record that was shown to rustls and could not be opened: aws-lc leaves
/// zeros where it finds a forgery (`EVP_AEAD_CTX_open`), while a record that was opened has its
/// content type there, which is none. Should that change, no record looks skipped.
fn was_skipped(record: &[u8]) -> bool {
    let Some((&[kind, _, _, high, low], sealed)) = record.split_first_chunk() else {
        return false;
    };
    let alone = sealed.len() == usize::from(u16::from_be_bytes([high, low]));
    let mut opened = sealed.iter().rev().skip(TAG);
    alone && kind == DATA && opened.all(|byte| *byte == 0)
}

fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), rustls::Error> {
    // Asked without room, it says how much it needs.
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else {
        return Err(rustls::Error::EncryptError);
    };
    let start = out.len();
    out.resize(start + needed.required_size, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    match data.encode(room) {
        Ok(_) => Ok(()),
        Err(_) => Err(rustls::Error::EncryptError),
    }
}
