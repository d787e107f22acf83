//! Reading answers, strictly: what the gateway sends must leave no doubt.

/// An answer as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The interim answers (1xx but 101) that came before it: status and fields.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    /// The status.
    pub status: u16,
    /// Names as they came, values without surrounding blanks; each byte is one character.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the body was delimited.
    pub framing: Framing,
}

/// How an answer's body was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`.
    Length(u64),
    /// No body can follow: HEAD, 1xx, 204, 304.
    None,
    /// Until the connection ended; over HTTP/3, its stream.
    UntilClose,
}

/// Why no whole answer could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended before the first byte.
    Nothing,
    /// The connection ended, or was cut, in the middle; with what had come by then.
    Truncated(Vec<u8>),
}

impl Answer {
    /// The value of the only field with that name; none if there is none. Two fail the test.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(
            values.len() < 2,
            "{name} came {} times: {self:?}",
            values.len()
        );
        values.first().copied()
    }

    /// The values of all fields with that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails the test unless it has that status; shows the whole answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.fields, self.text());
        self
    }

    /// Fails the test unless it is Connect's JSON error with that status (domain §5.6).
    #[track_caller]
    pub fn expect_json(self, status: u16) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let json: serde_json::Value =
            serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
        assert!(json["code"].is_u64(), "{json}");
        assert!(
            json["error"].as_str().is_some_and(|text| !text.is_empty()),
            "{json}"
        );
        assert!(
            json.get("payload").is_some_and(serde_json::Value::is_null),
            "{json}"
        );
        answer
    }
}

/// A head, parsed: the first line and the fields.
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Parses a head without its empty line. `None` if it is not strict HTTP.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text: String = bytes.iter().copied().map(char::from).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next()?.to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(token) || value.contains(['\r', '\n', '\0']) {
                return None;
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        (!start.contains(['\r', '\n'])).then_some(Self { start, fields })
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body's framing; two answers to that question, or an impossible one, fail the test.
    pub(crate) fn framing(&self, status: u16, to_head: bool) -> Framing {
        let lengths = self.all("content-length");
        let codings = self.all("transfer-encoding");
        assert!(
            lengths.len() + codings.len() < 2,
            "ambiguous answer: {:?}",
            self.fields
        );
        if to_head || status < 200 || status == 204 || status == 304 {
            return Framing::None;
        }
        match (lengths.first(), codings.first()) {
            (Some(length), _) => Framing::Length(length.parse().unwrap()),
            (None, Some(coding)) => {
                assert_eq!(*coding, "chunked");
                Framing::Chunked
            }
            (None, None) => Framing::UntilClose,
        }
    }
}

/// Splits a status line of the gateway's.
pub(crate) fn status(start: &str) -> u16 {
    let rest = start
        .strip_prefix("HTTP/1.1 ")
        .unwrap_or_else(|| panic!("not a status line: {start:?}"));
    let digits = rest
        .get(..3)
        .unwrap_or_else(|| panic!("not a status line: {start:?}"));
    assert_eq!(
        rest.as_bytes().get(3),
        Some(&b' '),
        "not a status line: {start:?}"
    );
    digits
        .parse()
        .unwrap_or_else(|_| panic!("not a status line: {start:?}"))
}
