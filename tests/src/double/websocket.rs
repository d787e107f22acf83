//! A WebSocket echo (RFC 6455). Frames pass through piece by piece, so their size does not matter.

use std::io::{self, BufReader, Read};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::head::{Head, Presence};
use super::recorder::lossy;
use super::reply::Reply;
use super::stream::{Stream, finish};

/// Whether a request wants a WebSocket at `…/ws`.
pub(super) fn is_upgrade(head: &Head) -> bool {
    head.path().ends_with("/ws") && head.has_token("Upgrade", "websocket")
}

/// Shakes hands and echoes until the peer closes.
pub(super) fn serve(mut reader: BufReader<impl Stream>, head: &Head) -> io::Result<()> {
    let (Presence::Once(key), Presence::Once(b"13"), true) = (
        head.once("Sec-WebSocket-Key"),
        head.once("Sec-WebSocket-Version"),
        head.method == "GET" && head.has_token("Connection", "upgrade"),
    ) else {
        let reply = Reply::error(426, 1, "not a WebSocket handshake of RFC 6455")
            .with_line("Sec-WebSocket-Version: 13");
        reply.write(reader.get_mut(), false, true)?;
        return finish(reader.get_mut());
    };
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        accept(key)
    );
    if let Some(protocol) = first_protocol(head) {
        answer.push_str(&format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    }
    answer.push_str("\r\n");
    reader.get_mut().write_all(answer.as_bytes())?;
    reader.get_mut().flush()?;
    while let Next::Frame = echo(&mut reader)? {}
    finish(reader.get_mut())
}

/// Whether more frames follow.
#[derive(Debug, Eq, PartialEq)]
enum Next {
    End,
    Frame,
}

/// Reading and writing halves of one connection.
trait Duplex: Read {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl<S: Stream> Duplex for BufReader<S> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.get_mut().write_all(bytes)?;
        self.get_mut().flush()
    }
}

/// Takes one frame in and sends its echo: data as it is, a pong for a ping, a close for a close.
fn echo(peer: &mut impl Duplex) -> io::Result<Next> {
    let mut start = [0; 2];
    if peer.read(&mut start[..1])? == 0 {
        return Ok(Next::End);
    }
    peer.read_exact(&mut start[1..])?;
    let [first, second] = start;
    let (end, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    let (masked, short) = (second & 0x80 != 0, second & 0x7f);
    let control = opcode & 0x08 != 0;
    let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
    if !masked || reserved != 0 || !known || (control && (!end || short > 125)) {
        peer.send(&[0x80 | CLOSE, 2, PROTOCOL_ERROR[0], PROTOCOL_ERROR[1]])?;
        return Ok(Next::End);
    }
    let length = read_length(peer, short)?;
    let mut mask = [0; 4];
    peer.read_exact(&mut mask)?;
    let reply = if opcode == PING { PONG } else { opcode };
    if opcode != PONG {
        peer.send(&frame_head(first & 0x80 | reply, length))?;
    }
    let mut piece = vec![0; PIECE];
    let mut mask = mask.into_iter().cycle();
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = piece.get_mut(..size).unwrap_or_default();
        peer.read_exact(piece)?;
        for (byte, key) in piece.iter_mut().zip(&mut mask) {
            *byte ^= key;
        }
        if opcode != PONG {
            peer.send(piece)?;
        }
        left -= size as u64;
    }
    Ok(if opcode == CLOSE {
        Next::End
    } else {
        Next::Frame
    })
}

fn read_length(peer: &mut impl Read, short: u8) -> io::Result<u64> {
    match short {
        126 => {
            let mut bytes = [0; 2];
            peer.read_exact(&mut bytes)?;
            Ok(u64::from(u16::from_be_bytes(bytes)))
        }
        127 => {
            let mut bytes = [0; 8];
            peer.read_exact(&mut bytes)?;
            Ok(u64::from_be_bytes(bytes))
        }
        length => Ok(u64::from(length)),
    }
}

/// The start of an unmasked frame.
fn frame_head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => head.push(short),
        (_, Ok(middle)) => {
            head.push(126);
            head.extend(middle.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

fn accept(key: &[u8]) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    STANDARD.encode(digest.as_ref())
}

/// The double speaks whatever is offered first.
fn first_protocol(head: &Head) -> Option<String> {
    let offered = head.values("Sec-WebSocket-Protocol").next()?;
    let first = offered.split(|&byte| byte == b',').next()?.trim_ascii();
    Some(lossy(first))
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Close code 1002.
const PROTOCOL_ERROR: [u8; 2] = 1002_u16.to_be_bytes();

/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    struct Script<'a> {
        from: &'a [u8],
        sent: Vec<u8>,
    }

    impl Read for Script<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.from.read(buffer)
        }
    }

    impl Duplex for Script<'_> {
        fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.sent.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = frame_head(first, payload.len() as u64);
        frame[1] |= 0x80;
        frame.extend([1, 2, 3, 4]);
        frame.extend(
            payload
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(a, b)| a ^ b),
        );
        frame
    }

    fn run(from: &[u8]) -> (Vec<u8>, bool) {
        let mut script = Script {
            from,
            sent: Vec::new(),
        };
        while let Next::Frame = echo(&mut script).unwrap() {}
        (script.sent, script.from.is_empty())
    }

    #[test]
    fn accepts_as_the_rfc_says() {
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn echoes_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let expected = [frame_head(0x82, u64::from(length as u32)), payload.clone()].concat();
            assert_eq!(run(&masked(0x82, &payload)), (expected, true), "{length}");
        }
    }

    #[test]
    fn keeps_fragments_and_answers_between_them() {
        let from = [
            masked(0x01, b"ab"),
            masked(0x89, b"ping"),
            masked(0x8a, b"unasked"),
            masked(0x80, b"c"),
            masked(0x88, &[0x03, 0xe8]),
            masked(0x81, b"after the close"),
        ]
        .concat();
        let (sent, all_read) = run(&from);
        assert_eq!(sent, b"\x01\x02ab\x8a\x04ping\x80\x01c\x88\x02\x03\xe8");
        assert!(!all_read, "nothing is read behind a close");
    }

    #[test]
    fn refuses_what_the_rfc_forbids() {
        let close = [0x88, 2, 0x03, 0xea];
        for frame in [
            vec![0x81, 1, b'a'],
            masked(0xc1, b"a"),
            masked(0x83, b"a"),
            masked(0x09, b"a"),
            masked(0x89, &[0; 126]),
        ] {
            assert_eq!(run(&frame).0, close, "{frame:x?}");
        }
    }
}
