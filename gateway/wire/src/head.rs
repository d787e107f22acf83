//! The one head that every protocol version yields.

use bytes::Bytes;

/// A request head: start line and fields, as spans into the bytes they came in.
///
/// Invariant: `path` starts with `/` and holds only RFC 3986 path characters and well-formed
/// percent-encodings; there is exactly one authority; all field names are tokens and all field
/// values are free of control characters other than HTAB.
#[derive(Clone, Debug)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) method_span: Span,
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    pub(crate) authority: Span,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

impl Head {
    /// The method, interned where the gateway treats it specially.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as received (RFC 9110 §9.1: case-sensitive).
    pub fn method_bytes(&self) -> &[u8] {
        self.method_span.of(&self.fields.bytes)
    }

    /// The raw path: starts with `/`, without the query, not decoded.
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.fields.bytes)
    }

    /// The raw query without its `?`; `Some(b"")` for a bare `?`.
    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| span.of(&self.fields.bytes))
    }

    /// The raw authority: `Host` (h1) or `:authority` (h3).
    pub fn authority(&self) -> &[u8] {
        self.authority.of(&self.fields.bytes)
    }

    /// The protocol version of the request line; h3 counts as [`Version::Http11`].
    pub fn version(&self) -> Version {
        self.version
    }

    /// The fields in the order in which they came, `Host` included.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Gives the field table back for the next head, emptied.
    pub fn recycle(self) -> Vec<Field> {
        self.fields.recycle()
    }
}

/// An answer's head, from a back-end.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) reason: Span,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

impl AnswerHead {
    /// The status code, 100–599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, possibly empty.
    pub fn reason(&self) -> &[u8] {
        self.reason.of(&self.fields.bytes)
    }

    /// The protocol version of the status line.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The fields in the order in which they came.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Gives the field table back for the next head, emptied.
    pub fn recycle(self) -> Vec<Field> {
        self.fields.recycle()
    }
}

/// The field lines of a head, with the bytes that they point into.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pub(crate) bytes: Bytes,
    pub(crate) table: Vec<Field>,
}

impl Fields {
    /// How many field lines there are, at most [`Fields::MAX`].
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no field line.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All field lines as (known name, raw name, raw value), in order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FieldLine<'_>> + Clone {
        self.table.iter().map(|field| FieldLine {
            known: field.known,
            name: field.name.of(&self.bytes),
            value: field.value.of(&self.bytes),
        })
    }

    /// The values of all field lines with that name, in order of arrival.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |line| line.known == name)
            .map(|line| line.value)
    }

    /// The value, if exactly one field line has that name.
    pub fn only(&self, name: Name) -> Option<&[u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Whether any field line has that name.
    pub fn contains(&self, name: Name) -> bool {
        self.table.iter().any(|field| field.known == name)
    }

    /// Gives the table back for the next head, emptied.
    fn recycle(mut self) -> Vec<Field> {
        self.table.clear();
        self.table
    }

    /// The most field lines that a head can have; a decision about fields is one `u128`.
    pub const MAX: usize = 128;
}

/// One field line, borrowed from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLine<'a> {
    /// The name, if it is one that the gateway treats specially.
    pub known: Name,
    /// The name as received.
    pub name: &'a [u8],
    /// The value as received, without surrounding blanks.
    pub value: &'a [u8],
}

/// One field line in the table of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub(crate) known: Name,
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// A range of bytes of a head. Heads are far shorter than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The span of `part` within `whole`; empty if `part` lies outside of it.
    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        match start.checked_add(part.len()) {
            Some(end) if end <= whole.len() => Self {
                start: start as u32,
                end: end as u32,
            },
            _ => Self::default(),
        }
    }

    /// The span of so many bytes from `start` on; empty beyond what 32 bits hold.
    pub(crate) fn at(start: usize, len: usize) -> Self {
        let end = start
            .checked_add(len)
            .and_then(|end| u32::try_from(end).ok());
        match (u32::try_from(start), end) {
            (Ok(start), Some(end)) => Self { start, end },
            _ => Self::default(),
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// From the start of this span to the end of a later one.
    pub(crate) fn to(self, later: Self) -> Self {
        debug_assert!(self.end <= later.start);
        Self {
            start: self.start,
            end: later.end,
        }
    }

    /// The bytes of this span.
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// The version of HTTP that the message claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no persistence unless asked for, no chunked coding, no interim answers.
    Http10,
    /// HTTP/1.1 semantics.
    Http11,
}

/// A method, interned where the gateway treats it specially (RFC 9110 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: its answer has no body.
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`
    Post,
    /// Any other token; never `CONNECT`, which no codec lets through.
    Other,
}

impl Method {
    /// Interns a method (case-sensitive, RFC 9110 §9.1).
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" => Self::Post,
            _ => Self::Other,
        }
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A field name that some rule names, compared case-insensitively and otherwise exactly.
        ///
        /// Aliases (`X_Auth_Token`) are [`Name::Other`]: only [`Folded`](crate::Folded) sees them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Name {
            $($(#[$doc])* #[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other name.
            Other,
        }

        impl Name {
            /// Every known name.
            pub const KNOWN: &[Self] = &[$(Self::$variant,)*];

            /// Interns a field name.
            pub fn of(name: &[u8]) -> Self {
                $(if name.len() == $text.len() && name.eq_ignore_ascii_case($text.as_bytes()) {
                    return Self::$variant;
                })*
                Self::Other
            }

            /// The name in lower case; empty for [`Name::Other`].
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }
        }
    };
}

names! {
    Accept = "accept",
    AltSvc = "alt-svc",
    Authorization = "authorization",
    ClearSiteData = "clear-site-data",
    Connection = "connection",
    ContentLength = "content-length",
    Cookie = "cookie",
    Date = "date",
    Expect = "expect",
    Host = "host",
    KeepAlive = "keep-alive",
    Origin = "origin",
    Proxy = "proxy",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    SecFetchMode = "sec-fetch-mode",
    SecWebSocketKey = "sec-websocket-key",
    SecWebSocketVersion = "sec-websocket-version",
    SetCookie = "set-cookie",
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    XAuthSignature = "x-auth-signature",
    XAuthToken = "x-auth-token",
    XContentChecksum = "x-content-checksum",
    XCorrelationId = "x-correlation-id",
    XRequestedWith = "x-requested-with",
    XRscAuthorization = "x-rsc-authorization",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_interned_without_regard_to_case() {
        for name in Name::KNOWN {
            assert_eq!(Name::of(name.as_str().as_bytes()), *name);
            assert_eq!(Name::of(name.as_str().to_uppercase().as_bytes()), *name);
        }
        assert_eq!(Name::of(b"x_auth_token"), Name::Other);
    }

    #[test]
    fn a_span_beyond_32_bits_is_empty() {
        assert_eq!(Span::at(1, 2).of(b"whole"), b"ho");
        let most = u32::MAX as usize;
        for (start, len) in [(most, 1), (most + 1, 0), (usize::MAX, 1)] {
            assert_eq!(Span::at(start, len), Span::default());
        }
    }

    #[test]
    fn a_part_from_elsewhere_has_an_empty_span() {
        let whole = b"whole".to_vec();
        let elsewhere = b"elsewhere".to_vec();
        assert_eq!(Span::within(&whole, &elsewhere), Span::default());
        assert_eq!(Span::within(&whole, &whole[1..3]).of(&whole), b"ho");
    }
}
