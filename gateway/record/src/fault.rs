//! What is wrong with a peer's record, and the alert that says so.

use crate::key::KeyError;

/// Why nothing more can be received (RFC 8446 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The peer ended the connection with this alert.
    #[error("the peer sent the TLS alert {0}")]
    Alerted(u8),
    /// An alert that is no level and description.
    #[error("a malformed TLS alert")]
    BadAlert,
    /// A key update that is no key update.
    #[error("a malformed TLS key update")]
    BadKeyUpdate,
    /// A record that was not sealed with the expected key as the expected one in order.
    #[error("a TLS record that is not authentic")]
    BadMac,
    /// A key update with an unknown request.
    #[error("a TLS key update with an unknown request")]
    BadRequest,
    /// Too many records in a row without payload.
    #[error("too many TLS records without payload")]
    Flood,
    /// There is no next key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A record that is too long.
    #[error("a TLS record that is too long")]
    Overflow,
    /// Something that may not stand here.
    #[error("an unexpected TLS message")]
    Unexpected,
}

impl Fault {
    /// The description of the alert that the peer is owed, if any (RFC 8446 §6.2).
    pub fn alert(self) -> Option<u8> {
        match self {
            // RFC 8446 §6.2: whoever receives an error alert closes without more ado.
            Self::Alerted(_) => None,
            Self::BadAlert | Self::BadKeyUpdate => Some(DECODE_ERROR),
            Self::BadMac => Some(BAD_RECORD_MAC),
            Self::BadRequest => Some(ILLEGAL_PARAMETER),
            Self::Flood | Self::Unexpected => Some(UNEXPECTED_MESSAGE),
            Self::Key(_) => Some(INTERNAL_ERROR),
            Self::Overflow => Some(RECORD_OVERFLOW),
        }
    }
}

const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const ILLEGAL_PARAMETER: u8 = 47;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
