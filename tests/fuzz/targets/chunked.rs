//! A chunked body yields the same payload, the same end and the same fault however it arrives;
//! what the gateway's own encoder writes decodes to what it was given.
//!
//! Input: one byte, the size of the pieces; then the body.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::h1::{CRLF, ChunkError, Chunked, ChunkedDecoder, LAST_CHUNK, chunk_size_line};

fuzz_target!(|data: &[u8]| {
    let Some((size, body)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let whole = decode(body, body.len().max(1));
    assert_eq!(
        whole,
        decode(body, size),
        "the payload depends on how it arrives"
    );
    assert_eq!(
        whole,
        decode(body, 1),
        "the payload depends on how it arrives"
    );

    let mut encoded = encode(body, size);
    encoded.extend_from_slice(b"next message");
    let (payload, end) = decode(&encoded, size + 1);
    assert_eq!(payload, body);
    assert_eq!(end, End::Complete(b"next message".len()));
});

/// How decoding ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With that many bytes of the next message.
    Complete(usize),
    Fault(ChunkError),
    Unfinished,
}

fn decode(body: &[u8], size: usize) -> (Vec<u8>, End) {
    let mut decoder = ChunkedDecoder::default();
    let mut buffer = BytesMut::new();
    let mut payload = Vec::new();
    let mut fed = 0;
    for piece in body.chunks(size) {
        buffer.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Chunked::Data(data)) => {
                    assert!(!data.is_empty());
                    payload.extend_from_slice(&data);
                }
                Ok(Chunked::End) => {
                    assert_eq!(decoder.decode(&mut buffer), Ok(Chunked::End));
                    return (payload, End::Complete(buffer.len() + body.len() - fed));
                }
                Ok(Chunked::NeedMore) => {
                    assert!(buffer.is_empty());
                    break;
                }
                Err(error) => return (payload, End::Fault(error)),
            }
        }
    }
    (payload, End::Unfinished)
}

fn encode(payload: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in payload.chunks(size) {
        let (line, used) = chunk_size_line(piece.len());
        out.extend_from_slice(&line[..used]);
        out.extend_from_slice(piece);
        out.extend_from_slice(CRLF);
    }
    out.extend_from_slice(LAST_CHUNK);
    out
}
