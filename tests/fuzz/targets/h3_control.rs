//! A unidirectional stream says the same however it arrives, and what ends by it is the connection.
//!
//! Input: one byte, of which the lowest bit is the reader's side and the others the size of the
//! pieces; then the stream, its type first.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::h3::{
    Control, ControlStream, DecoderStream, EncoderStream, Error, PeerStreams, Side, StreamKind,
    StreamType,
};

fuzz_target!(|data: &[u8]| {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let side = match first & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let size = usize::from(first >> 1).max(1);
    let (said, end) = read(side, stream, stream.len().max(1));
    assert_eq!(read(side, stream, size), (said.clone(), end));
    assert_eq!(read(side, stream, 1), (said.clone(), end));

    if let Err(error) = end {
        assert!(error.ends_connection());
    }
    let mut last = u64::MAX;
    for (place, control) in said.iter().enumerate() {
        match control {
            Control::GoAway(id) => {
                assert!(*id <= last);
                assert!(side == Side::Server || id % 4 == 0);
                last = *id;
            }
            Control::NeedMore => unreachable!("it is not kept"),
            Control::Priority { stream, priority } => {
                assert!(side == Side::Server && stream % 4 == 0 && priority.urgency < 8);
            }
            Control::Settings(_) => assert_eq!(place, 0),
        }
    }
});

/// What the stream says, up to its first fault, and that fault.
fn read(side: Side, stream: &[u8], size: usize) -> (Vec<Control>, Result<(), Error>) {
    let mut said = Vec::new();
    let end = follow(side, stream, size, &mut said);
    (said, end)
}

fn follow(side: Side, stream: &[u8], size: usize, said: &mut Vec<Control>) -> Result<(), Error> {
    let mut stream_type = StreamType::default();
    let mut streams = PeerStreams::new(side);
    let mut kind = None;
    let mut control = ControlStream::new(side);
    let mut encoder = EncoderStream::default();
    let mut decoder = DecoderStream::default();
    for piece in stream.chunks(size) {
        let mut input = Bytes::copy_from_slice(piece);
        if kind.is_none() {
            let Some(number) = stream_type.read(&mut input) else {
                assert!(input.is_empty());
                continue;
            };
            kind = Some(streams.admit(number)?);
            assert_eq!(
                streams.admit(number).is_ok(),
                kind == Some(StreamKind::Unknown)
            );
        }
        match kind {
            Some(StreamKind::Control) => loop {
                match control.read(&mut input)? {
                    Control::NeedMore => break assert!(input.is_empty()),
                    other => said.push(other),
                }
            },
            Some(StreamKind::QpackDecoder) => decoder.read(&input)?,
            Some(StreamKind::QpackEncoder) => encoder.read(&input)?,
            Some(StreamKind::Unknown) | None => {}
        }
    }
    Ok(())
}
