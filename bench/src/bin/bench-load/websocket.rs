//! As much of RFC 6455 as a generator needs.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use gateway_bench::http::{FIELDS, find, read_more};
use gateway_bench::order::WEBSOCKET_ACCEPT;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::target::Target;

/// A WebSocket.
pub(crate) struct Tunnel {
    io: TlsStream<TcpStream>,
    buffer: BytesMut,
}

/// As many as were ordered.
pub(crate) async fn open(target: &Target) -> Result<Vec<Tunnel>> {
    let mut tunnels = Vec::with_capacity(target.connections());
    for _ in 0..target.connections() {
        tunnels.push(Tunnel::open(target).await?);
    }
    Ok(tunnels)
}

impl Tunnel {
    async fn open(target: &Target) -> Result<Self> {
        let mut tunnel = Self {
            io: target.dial().await?,
            buffer: BytesMut::new(),
        };
        let request = target.next()?;
        tunnel.io.write_all(request.head.as_bytes()).await?;
        tunnel.io.flush().await?;
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let mut answer = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(len) = answer.parse(&tunnel.buffer)? {
                let status = answer.code.context("no status")?;
                if status != request.expect {
                    bail!("answered {status}, not {}", request.expect);
                }
                let accept = find(answer.headers, "sec-websocket-accept");
                if accept != Some(WEBSOCKET_ACCEPT.as_bytes()) {
                    bail!("a handshake with the wrong Sec-WebSocket-Accept");
                }
                tunnel.buffer.advance(len);
                return Ok(tunnel);
            }
            read_more(&mut tunnel.io, &mut tunnel.buffer).await?;
        }
    }

    /// Sends a frame and waits until as much has come back: a header of 4 bytes and the payload.
    pub(crate) async fn echo(&mut self, frame: &[u8], payload: usize) -> Result<()> {
        self.io.write_all(frame).await?;
        self.io.flush().await?;
        let len = answer_header(payload).len() + payload;
        while self.buffer.len() < len {
            read_more(&mut self.io, &mut self.buffer).await?;
        }
        if !self.buffer.starts_with(&answer_header(payload)) {
            bail!("not the frame that was sent");
        }
        self.buffer.advance(len);
        Ok(())
    }
}

/// A binary frame with that many bytes, masked as a client's must be (§5.3).
pub(crate) fn frame(payload: u16) -> Vec<u8> {
    let mut frame = header(payload.into(), MASKED);
    frame.extend_from_slice(&MASK);
    let text = std::iter::repeat_n(b'w', payload.into());
    frame.extend(
        text.zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The header under which it comes back.
fn answer_header(payload: usize) -> Vec<u8> {
    header(payload, 0)
}

/// §5.2: the length takes two bytes more from 126 on.
fn header(payload: usize, masked: u8) -> Vec<u8> {
    match u8::try_from(payload) {
        Ok(short @ ..126) => vec![BINARY, masked | short],
        _ => {
            let mut header = vec![BINARY, masked | 126];
            // Messages have at most 65535 bytes.
            let [.., high, low] = payload.to_be_bytes();
            header.extend([high, low]);
            header
        }
    }
}

const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// Any will do: nobody here is to be confused by what a page chooses.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_masked_and_says_its_length() {
        // §5.7 has the header of a masked frame with 5 bytes, and of one with 256.
        let short = frame(5);
        assert_eq!(short[..6], [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(short[6] ^ 0x37, b'w');
        assert_eq!(short.len(), 11);
        assert_eq!(frame(256)[..4], [0x82, 0xfe, 1, 0]);
        assert_eq!(answer_header(256), [0x82, 0x7e, 1, 0]);
        assert_eq!(answer_header(125), [0x82, 125]);
    }
}
