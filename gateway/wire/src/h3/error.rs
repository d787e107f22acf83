//! What can be wrong with a connection or a stream, and the code that says so to the peer.

use std::fmt;

use crate::h1::HeadError;

/// A fault of the peer's, and what ends by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection is closed with this code (RFC 9114 §8).
    #[error("{code}: {why}")]
    Connection {
        /// The code.
        code: Code,
        /// The rule that was broken; a constant text, fit for a log or a reason phrase.
        why: &'static str,
    },
    /// The stream is reset, and reading it aborted, with this code.
    #[error("{code}: {why}")]
    Stream {
        /// The code.
        code: Code,
        /// The rule that was broken; a constant text.
        why: &'static str,
    },
}

impl Error {
    /// The code.
    pub fn code(&self) -> Code {
        match *self {
            Self::Connection { code, .. } | Self::Stream { code, .. } => code,
        }
    }

    /// Whether the whole connection ends, and not one stream.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Connection { .. })
    }

    pub(super) const fn connection(code: Code, why: &'static str) -> Self {
        Self::Connection { code, why }
    }

    pub(super) const fn stream(code: Code, why: &'static str) -> Self {
        Self::Stream { code, why }
    }
}

/// Why a field section was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// Not QPACK, or QPACK that nobody may send here: the connection ends.
    #[error(transparent)]
    Broken(Error),
    /// A malformed message (RFC 9114 §4.1.2): an answer of 400, as with HTTP/1.1, or a stream
    /// error of [`Code::MessageError`].
    #[error("malformed message: {0}")]
    Malformed(HeadError),
    /// Larger than this endpoint said that it takes (RFC 9114 §4.2.2), or more field lines than
    /// [`Fields::MAX`](crate::Fields::MAX), or more crumbs than
    /// [`MAX_CRUMBS`](super::MAX_CRUMBS): an answer of 431.
    #[error("field section too large")]
    TooLarge,
}

impl SectionError {
    /// The error to end stream or connection with where no answer is given.
    pub fn as_error(&self) -> Error {
        match *self {
            Self::Broken(error) => error,
            Self::Malformed(_) => Error::stream(Code::MessageError, "malformed message"),
            Self::TooLarge => Error::stream(Code::ExcessiveLoad, "field section too large"),
        }
    }
}

impl From<Error> for SectionError {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<HeadError> for SectionError {
    fn from(error: HeadError) -> Self {
        Self::Malformed(error)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $value:literal $text:literal,)*) => {
        /// An error code of HTTP/3 (RFC 9114 §8.1) or QPACK (RFC 9204 §6).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The value on the wire.
            pub const fn value(self) -> u64 {
                match self {
                    $(Self::$variant => $value,)*
                }
            }

            /// The code with that value. What is none counts as [`Code::NoError`] on the wire
            /// (RFC 9114 §9).
            pub fn of(value: u64) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name in the registry.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// A stream that the connection cannot do without was closed.
    ClosedCriticalStream = 0x104 "H3_CLOSED_CRITICAL_STREAM",
    /// The connection of a CONNECT was reset.
    ConnectError = 0x10f "H3_CONNECT_ERROR",
    /// The peer does what may generate too much load.
    ExcessiveLoad = 0x107 "H3_EXCESSIVE_LOAD",
    /// A frame whose layout or size is wrong.
    FrameError = 0x106 "H3_FRAME_ERROR",
    /// A frame where it may not be.
    FrameUnexpected = 0x105 "H3_FRAME_UNEXPECTED",
    /// A fault of the protocol that has no code of its own.
    GeneralProtocolError = 0x101 "H3_GENERAL_PROTOCOL_ERROR",
    /// An ID that was used twice, or that may not be used, or that grew or shrank.
    IdError = 0x108 "H3_ID_ERROR",
    /// A fault of this endpoint's own.
    InternalError = 0x102 "H3_INTERNAL_ERROR",
    /// A malformed message.
    MessageError = 0x10e "H3_MESSAGE_ERROR",
    /// The control stream does not begin with SETTINGS.
    MissingSettings = 0x10a "H3_MISSING_SETTINGS",
    /// No error: the end of a connection or stream that is over.
    NoError = 0x100 "H3_NO_ERROR",
    /// A field section that cannot be decoded.
    QpackDecompressionFailed = 0x200 "QPACK_DECOMPRESSION_FAILED",
    /// A fault on the peer's decoder stream.
    QpackDecoderStreamError = 0x202 "QPACK_DECODER_STREAM_ERROR",
    /// A fault on the peer's encoder stream.
    QpackEncoderStreamError = 0x201 "QPACK_ENCODER_STREAM_ERROR",
    /// The request or its answer is not needed any more.
    RequestCancelled = 0x10c "H3_REQUEST_CANCELLED",
    /// The stream ended without a whole request.
    RequestIncomplete = 0x10d "H3_REQUEST_INCOMPLETE",
    /// The request was not looked at: it may be sent again.
    RequestRejected = 0x10b "H3_REQUEST_REJECTED",
    /// A fault in a SETTINGS frame.
    SettingsError = 0x109 "H3_SETTINGS_ERROR",
    /// A stream that the peer may not open.
    StreamCreationError = 0x103 "H3_STREAM_CREATION_ERROR",
    /// The request cannot be served over HTTP/3.
    VersionFallback = 0x110 "H3_VERSION_FALLBACK",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_registry() {
        let mut values: Vec<_> = Code::ALL.iter().map(|code| code.value()).collect();
        values.sort_unstable();
        let expected: Vec<_> = (0x100..=0x110).chain(0x200..=0x202).collect();
        assert_eq!(values, expected);
        for code in Code::ALL {
            assert_eq!(Code::of(code.value()), Some(*code));
        }
        assert_eq!(Code::of(0x111), None);
        assert_eq!(Code::of(0), None);
    }

    #[test]
    fn an_error_says_what_ends() {
        let malformed = SectionError::Malformed(HeadError::Host).as_error();
        assert_eq!(
            (malformed.code(), malformed.ends_connection()),
            (Code::MessageError, false)
        );
        assert_eq!(malformed.to_string(), "H3_MESSAGE_ERROR: malformed message");
        let broken = Error::connection(Code::QpackDecompressionFailed, "why");
        assert_eq!(SectionError::from(broken).as_error(), broken);
        assert!(broken.ends_connection());
        assert!(!SectionError::TooLarge.as_error().ends_connection());
    }
}
