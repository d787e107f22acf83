//! Requests, as they are sent again and again.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use quinn::{SendStream, WriteError};
use wire::h3::{HeadWriter, push_data_header};

use crate::http::FIELDS;
use crate::order;

/// A request, and what must come back.
pub struct Request {
    /// HEADERS, and the head of the DATA frame if there is a body.
    head: Bytes,
    pub(super) body: u64,
    pub(super) expect: u16,
}

impl Request {
    /// From one of HTTP/1.1.
    ///
    /// # Errors
    ///
    /// If the head is no HTTP/1.1, or asks for an upgrade.
    pub fn new(request: &order::Request) -> Result<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        if parsed.parse(request.head.as_bytes())?.is_partial() {
            bail!("a request without an end");
        }
        let method = parsed.method.context("no method")?;
        let path = parsed.path.context("no path")?;
        let host = crate::http::find(parsed.headers, "host").context("no Host")?;
        let mut out = BytesMut::new();
        let mut head =
            HeadWriter::request(&mut out, method.as_bytes(), host, path.as_bytes(), None);
        for field in parsed.headers.iter() {
            match field.name.to_ascii_lowercase().as_str() {
                "host" => {}
                // RFC 9114 §4.2.
                "connection" | "upgrade" => bail!("{:?} is nothing for HTTP/3", field.name),
                name => head.field(name.as_bytes(), field.value),
            }
        }
        head.finish();
        if request.body > 0 {
            push_data_header(&mut out, request.body);
        }
        Ok(Self {
            head: out.freeze(),
            body: request.body,
            expect: request.expect,
        })
    }

    /// Sends all of it, and ends the stream.
    pub(super) async fn send(&self, stream: &mut SendStream) -> Result<(), WriteError> {
        stream.write_chunk(self.head.clone()).await?;
        let mut left = self.body;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(FILL.len());
            let fill = Bytes::from_static(FILL.get(..len).unwrap_or(FILL));
            stream.write_chunk(fill).await?;
            left -= len as u64;
        }
        // It fails if the server has stopped it, which is no fault: the answer tells.
        let _ = stream.finish();
        Ok(())
    }
}

/// What bodies consist of.
static FILL: &[u8] = &[b'u'; 64 * 1024];

#[cfg(test)]
mod tests {
    use wire::h3::{Event, Message, Side, parse_request};

    use super::*;

    fn request(head: &str, body: u64) -> Result<Request> {
        Request::new(&order::Request {
            head: head.to_owned(),
            body,
            expect: 200,
        })
    }

    #[test]
    fn a_head_says_the_same_in_http3() {
        let text = "POST /a/b?c HTTP/1.1\r\nHost: h:1\r\nAuthorization: Basic eA==\r\n\
                    Content-Length: 70000\r\n\r\n";
        let mut bytes = request(text, 70_000).unwrap().head;
        let mut message = Message::new(Side::Server, 1 << 16);
        let Event::Head(section) = message.read(&mut bytes).unwrap() else {
            panic!("no head");
        };
        let arena = &mut BytesMut::new();
        let parsed = parse_request(&section, 1 << 16, arena, Vec::new(), || [0; 16]);
        let head = parsed.unwrap().message.head;
        assert_eq!(head.method_bytes(), b"POST");
        assert_eq!((head.path(), head.query()), (&b"/a/b"[..], Some(&b"c"[..])));
        assert_eq!(head.authority(), b"h:1");
        let names: Vec<&[u8]> = head.fields().iter().map(|line| line.name).collect();
        assert_eq!(names, [&b"host"[..], b"authorization", b"content-length"]);
        // Then the DATA frame, of which only type and length are here.
        assert_eq!(bytes, [0, 0x80, 0x01, 0x11, 0x70][..]);
        assert_eq!(message.read(&mut bytes), Ok(Event::NeedMore));
    }

    #[test]
    fn what_http3_does_not_have_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n",
        ] {
            assert!(request(head, 0).is_err(), "{head}");
        }
    }
}
