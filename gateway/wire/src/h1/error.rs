//! What can be wrong with a message.

/// Why a head was refused. The message names the rule, never the offending bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A CR or LF that is not part of CRLF (RFC 9112 §2.2).
    #[error("bare CR or LF")]
    BareLineBreak,
    /// More than one `Content-Length`, or one that is not a plain number (RFC 9112 §6.3).
    #[error("bad Content-Length")]
    ContentLength,
    /// `CONNECT`, or a target in authority form.
    #[error("CONNECT is not served")]
    Connect,
    /// More fields than [`Fields::MAX`](crate::Fields::MAX).
    #[error("too many fields")]
    FieldCount,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    #[error("Content-Length with Transfer-Encoding")]
    Framing,
    /// No `Host`, several, or one that is not an authority, or differs from an absolute target or
    /// from `:authority`.
    #[error("bad Host")]
    Host,
    /// An obsolete line fold (RFC 9112 §5.2).
    #[error("obsolete line folding")]
    LineFold,
    /// A field of HTTP/1.1 connections, or `TE` with other than `trailers`, where the version has
    /// none (RFC 9114 §4.2).
    #[error("connection-specific field")]
    ConnectionSpecific,
    /// A head without a start line: an empty line where it should be.
    #[error("no start line")]
    NoStartLine,
    /// An extended CONNECT to a protocol that is not served (RFC 9220 §3).
    #[error("unsupported protocol")]
    Protocol,
    /// A pseudo-header field that is unknown, missing, repeated, out of place or empty
    /// (RFC 9114 §4.3).
    #[error("bad pseudo-header field")]
    PseudoHeader,
    /// A status outside 100–599, a status line that is none, or a body where none may be.
    #[error("bad status line")]
    Status,
    /// Not a token, a control character in a value, a space before the colon.
    #[error("bad field syntax")]
    Syntax,
    /// A target that is no origin form or absolute form, or has bytes that no URI has.
    #[error("bad request target")]
    Target,
    /// `Transfer-Encoding` that is not exactly `chunked`, or in HTTP/1.0 (RFC 9112 §6.1).
    #[error("bad Transfer-Encoding")]
    TransferEncoding,
    /// An upgrade answer that nobody asked for, or that names another protocol; a WebSocket
    /// handshake of RFC 9220 that is none.
    #[error("bad upgrade")]
    Upgrade,
    /// An upper-case letter in a field name (RFC 9114 §4.2).
    #[error("upper case in a field name")]
    UpperCase,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("unsupported HTTP version")]
    Version,
}

/// Why a chunked body was refused (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A CR or LF that is not part of CRLF.
    #[error("bare CR or LF in a chunked body")]
    BareLineBreak,
    /// A chunk that does not end with CRLF.
    #[error("chunk data without its CRLF")]
    DataEnd,
    /// An extension or trailer section beyond its bound, or with control characters.
    #[error("bad chunk extension or trailer")]
    Extension,
    /// A size that is no hexadecimal number of at most 16 digits, or not below 2^63.
    #[error("bad chunk size")]
    Size,
}
