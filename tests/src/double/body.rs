//! Reads request bodies, of any size, in constant memory.

use std::io::{self, BufRead, Read};

use super::digest::{Summarizer, Summary};
use super::head::{Head, Presence, read_line};

/// Where a body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Chunked,
    Length(u64),
    Nothing,
}

impl Framing {
    /// Chunked wins over a length, the first of several lengths counts: as lenient back-ends do.
    pub(super) fn of(head: &Head) -> Self {
        if head.has_token("Transfer-Encoding", "chunked") {
            return Self::Chunked;
        }
        let mut lengths = head
            .values("Content-Length")
            .filter_map(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
        lengths.next().map_or(Self::Nothing, Self::Length)
    }
}

/// Reads a body to its end; trailers join the header lines, which is what careless back-ends do.
///
/// Returns what came and, beside it, why it ended early if it did.
pub(super) fn read(
    reader: &mut impl BufRead,
    framing: Framing,
    head: &mut Head,
) -> (Summary, io::Result<()>) {
    let with_md5 = head.once("X-Content-Checksum") != Presence::Absent;
    let mut summarizer = Summarizer::new(with_md5);
    let outcome = match framing {
        Framing::Chunked => read_chunks(reader, &mut summarizer, &mut head.lines),
        Framing::Length(length) => read_exactly(reader, length, &mut summarizer),
        Framing::Nothing => Ok(()),
    };
    (summarizer.finish(), outcome)
}

fn read_exactly(
    reader: &mut impl BufRead,
    mut left: u64,
    summarizer: &mut Summarizer,
) -> io::Result<()> {
    while left > 0 {
        let mut bounded = reader.take(left);
        let piece = bounded.fill_buf()?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = piece.len();
        summarizer.update(piece);
        bounded.consume(length);
        left -= length as u64;
    }
    Ok(())
}

fn read_chunks(
    reader: &mut impl BufRead,
    summarizer: &mut Summarizer,
    trailers: &mut Vec<Vec<u8>>,
) -> io::Result<()> {
    loop {
        let line = chunk_line(reader)?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits.trim_ascii())
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "bad chunk size"))?;
        if size == 0 {
            break;
        }
        read_exactly(reader, size, summarizer)?;
        if !chunk_line(reader)?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "overlong chunk"));
        }
    }
    loop {
        let line = chunk_line(reader)?;
        if line.is_empty() {
            return Ok(());
        }
        trailers.push(line);
        if trailers.len() > TRAILER_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "too many trailers",
            ));
        }
    }
}

fn chunk_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    match read_line(&mut reader.take(LINE_LIMIT))? {
        Some((line, true)) => Ok(line),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

const LINE_LIMIT: u64 = 64 << 10;

/// Header lines and trailers together.
const TRAILER_LIMIT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::head::Arrival;
    use super::*;

    fn read_request(mut bytes: &[u8]) -> (Head, Summary, io::Result<()>, &[u8]) {
        let Arrival::Complete(mut head) = Head::read(&mut bytes).unwrap() else {
            panic!("no head");
        };
        let framing = Framing::of(&head);
        let (summary, outcome) = read(&mut bytes, framing, &mut head);
        (head, summary, outcome, bytes)
    }

    #[test]
    fn reads_by_length_and_leaves_the_rest() {
        let (_, body, outcome, rest) = read_request(
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nX-Content-Checksum: x\r\n\r\nabcdef",
        );
        outcome.unwrap();
        assert_eq!(
            (body.length, body.prefix.as_slice(), rest),
            (3, &b"abc"[..], &b"def"[..])
        );
        // The test vectors of RFC 1321 and FIPS 180-2.
        assert_eq!(body.md5, "kAFQmDzST7DWlj99KOF/cg==");
        assert_eq!(
            body.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn reads_chunks_and_shows_trailers() {
        let (head, body, outcome, rest) = read_request(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nContent-Length: 99\r\n\r\n\
              2;x=y\r\nab\r\n1\nc\n0\r\nX-Auth-Username: eve\r\n\r\nnext",
        );
        outcome.unwrap();
        assert_eq!(
            (body.length, body.prefix.as_slice(), rest),
            (3, &b"abc"[..], &b"next"[..])
        );
        assert_eq!(head.once("x-auth-username"), Presence::Once(b"eve"));
        assert!(body.md5.is_empty());
    }

    #[test]
    fn reports_what_came_before_a_failure() {
        for (bytes, length) in [
            (&b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"[..], 3),
            (
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
                2,
            ),
            (
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                0,
            ),
            (
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
                2,
            ),
        ] {
            let (_, body, outcome, _) = read_request(bytes);
            outcome.unwrap_err();
            assert_eq!(body.length, length);
        }
    }

    #[test]
    fn keeps_only_a_prefix() {
        let bytes = [
            b"POST / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n".as_slice(),
            &[b'x'; 200_000],
        ]
        .concat();
        let (_, body, outcome, _) = read_request(&bytes);
        outcome.unwrap();
        assert_eq!((body.length, body.prefix.len()), (200_000, 64 << 10));
    }
}
