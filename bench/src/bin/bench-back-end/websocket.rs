//! A WebSocket that sends back what comes (RFC 6455 §5.2).

use anyhow::{Result, bail};
use bytes::{Buf, BytesMut};
use gateway_bench::http::{HttpError, read_more};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Each frame unmasked, until the other side ends.
pub(crate) async fn echo(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    mut buffer: BytesMut,
) -> Result<()> {
    loop {
        while let Some(frame) = take(&mut buffer)? {
            io.write_all(&frame).await?;
            io.flush().await?;
            if frame.first().is_some_and(|first| first & OPCODE == CLOSE) {
                io.shutdown().await?;
                return Ok(());
            }
        }
        match read_more(&mut io, &mut buffer).await {
            // A tunnel that is cut is no fault of the back-end's.
            Err(HttpError::Ended | HttpError::Io(_)) => return Ok(()),
            done => done?,
        }
    }
}

/// The next whole frame as it goes back; of at most 65535 bytes, as the generator sends them.
fn take(buffer: &mut BytesMut) -> Result<Option<Vec<u8>>> {
    // A masked frame is at least 6 bytes long.
    let Some(&[first, second, high, low]) = buffer.first_chunk() else {
        return Ok(None);
    };
    let (header, payload) = match second & !MASKED {
        short @ ..126 => (2, usize::from(short)),
        126 => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => bail!("a longer frame than the generator sends"),
    };
    if second & MASKED == 0 {
        bail!("a frame that is not masked");
    }
    let Some(mask) = buffer.get(header..header + 4).map(<[u8]>::to_vec) else {
        return Ok(None);
    };
    if buffer.len() < header + 4 + payload {
        return Ok(None);
    }
    let mut frame = vec![first, second & !MASKED];
    if header == 4 {
        frame.extend([high, low]);
    }
    buffer.advance(header + 4);
    let data = buffer.split_to(payload);
    frame.extend(
        data.iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    Ok(Some(frame))
}

const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_back_unmasked_once_it_is_whole() {
        // The example of §5.7: "Hello" masked, and the same unmasked.
        let masked = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        for len in 0..masked.len() {
            let mut part = BytesMut::from(&masked[..len]);
            assert_eq!(take(&mut part).unwrap(), None, "{len}");
            assert_eq!(part.len(), len);
        }
        let mut whole = BytesMut::from(&masked[..]);
        let answer = take(&mut whole).unwrap().unwrap();
        assert_eq!(answer, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert!(whole.is_empty());
        let mut plain = BytesMut::from(&answer[..]);
        assert!(take(&mut plain).is_err());
    }
}
