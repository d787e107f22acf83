//! Answers, and how they go out.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    /// Header lines, verbatim.
    lines: Vec<Vec<u8>>,
    content: Content,
}

/// The body of an answer.
#[derive(Debug)]
enum Content {
    /// These bytes, with their length.
    Bytes(Vec<u8>),
    /// Byte `i` is `i mod 251`.
    Pattern { length: u64, chunked: bool },
    /// So many lines, chunked, a tenth of a second between them.
    Slow { lines: u64 },
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self::bytes(status, Vec::new())
    }

    /// HTML.
    pub(super) fn html(status: u16, page: String) -> Self {
        Self::bytes(status, page.into_bytes())
            .with_line("Content-Type: text/html; charset=utf-8")
            .with_line("Cache-Control: no-store")
    }

    /// JSON with status 200.
    pub(super) fn json(value: &Value) -> Self {
        Self::bytes(200, value.to_string().into_bytes()).with_line("Content-Type: application/json")
    }

    /// An error in the form of Connect's.
    pub(super) fn error(status: u16, code: u32, message: &str) -> Self {
        let body = json!({"code": code, "error": message, "payload": null});
        Self {
            status,
            ..Self::json(&body)
        }
    }

    /// The error for what is not there.
    pub(super) fn not_found() -> Self {
        Self::error(404, 4, "The requested object does not exist.")
    }

    /// A body of any length, made up while it is sent.
    pub(super) fn pattern(length: u64, chunked: bool) -> Self {
        Self {
            content: Content::Pattern { length, chunked },
            ..Self::empty(200)
        }
        .with_line("Content-Type: application/octet-stream")
    }

    /// A body that trickles.
    pub(super) fn slow(lines: u64) -> Self {
        Self {
            content: Content::Slow { lines },
            ..Self::empty(200)
        }
        .with_line("Content-Type: text/plain")
    }

    /// The same answer with one more header line, verbatim.
    pub(super) fn with_line(mut self, line: impl Into<Vec<u8>>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Sends the answer; without the body if the request's method was HEAD.
    pub(super) fn write(&self, to: &mut impl Write, to_head: bool, close: bool) -> io::Result<()> {
        // An interim answer needs a final one behind it.
        let status = if (100..200).contains(&self.status) {
            write!(to, "HTTP/1.1 {} Interim\r\n\r\n", self.status)?;
            200
        } else {
            self.status
        };
        let bodiless = matches!(status, 204 | 304);
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
        let mut line = |line: &[u8]| {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        };
        self.lines.iter().for_each(|verbatim| line(verbatim));
        match (&self.content, bodiless) {
            (_, true) => {}
            (Content::Bytes(bytes), false) => {
                line(format!("Content-Length: {}", bytes.len()).as_bytes());
            }
            (
                Content::Pattern {
                    length,
                    chunked: false,
                },
                false,
            ) => {
                line(format!("Content-Length: {length}").as_bytes());
            }
            (Content::Pattern { .. } | Content::Slow { .. }, false) => {
                line(b"Transfer-Encoding: chunked");
            }
        }
        if close {
            line(b"Connection: close");
        }
        line(b"");
        to.write_all(&head)?;
        if !to_head && !bodiless {
            self.content.write(to)?;
        }
        to.flush()
    }

    fn bytes(status: u16, bytes: Vec<u8>) -> Self {
        Self {
            status,
            lines: Vec::new(),
            content: Content::Bytes(bytes),
        }
    }
}

impl Content {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => to.write_all(bytes),
            Self::Pattern { length, chunked } => write_pattern(to, *length, *chunked),
            Self::Slow { lines } => {
                for number in 0..*lines {
                    if number > 0 {
                        thread::sleep(TICK);
                    }
                    let line = format!("tick {number}\n");
                    write!(to, "{:x}\r\n{line}\r\n", line.len())?;
                    to.flush()?;
                }
                to.write_all(b"0\r\n\r\n")
            }
        }
    }
}

fn write_pattern(to: &mut impl Write, mut left: u64, chunked: bool) -> io::Result<()> {
    let block: Vec<u8> = (0..PERIOD).cycle().take(BLOCK).collect();
    while left > 0 {
        let length = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        let piece = block.get(..length).unwrap_or(&block);
        if chunked {
            write!(to, "{length:x}\r\n")?;
        }
        to.write_all(piece)?;
        if chunked {
            to.write_all(b"\r\n")?;
        }
        left -= length as u64;
    }
    if chunked {
        to.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

const TICK: Duration = Duration::from_millis(100);

const PERIOD: u8 = 251;

/// A multiple of the period, so that every block begins with a zero.
const BLOCK: usize = PERIOD as usize * 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(reply: &Reply, to_head: bool, close: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        reply.write(&mut bytes, to_head, close).unwrap();
        bytes
    }

    #[test]
    fn frames_each_kind_of_answer() {
        assert_eq!(
            sent(&Reply::json(&json!([])), false, true),
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
              Connection: close\r\n\r\n[]"
        );
        assert_eq!(
            sent(&Reply::json(&json!([])), true, false),
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(
            sent(&Reply::empty(204), false, false),
            b"HTTP/1.1 204 No Content\r\n\r\n"
        );
        assert_eq!(
            sent(&Reply::empty(103), false, false),
            b"HTTP/1.1 103 Interim\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(
            sent(&Reply::slow(2), false, false)
                .ends_with(b"chunked\r\n\r\n7\r\ntick 0\n\r\n7\r\ntick 1\n\r\n0\r\n\r\n")
        );
    }

    #[test]
    fn sends_the_pattern() {
        let length = 2 * BLOCK as u64 + 5;
        let plain = sent(&Reply::pattern(length, false), false, false);
        let start = plain.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let body = &plain[start..];
        assert_eq!(body.len() as u64, length);
        assert!(
            body.iter()
                .enumerate()
                .all(|(i, byte)| i % 251 == usize::from(*byte))
        );
        let chunked = sent(&Reply::pattern(3, true), false, false);
        assert!(chunked.ends_with(b"\r\n\r\n3\r\n\0\x01\x02\r\n0\r\n\r\n"));
    }
}
