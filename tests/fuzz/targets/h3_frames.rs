//! A request stream says the same however it arrives, and holds one message in its order.
//!
//! Input: one byte, of which the two lowest bits are the reader's side and whether the head begins
//! a tunnel, and the others the size of the pieces; then the stream.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::h3::{Error, Event, Message, Side};

fuzz_target!(|data: &[u8]| {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let side = match first & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let tunnel = first & 2 != 0;
    let size = usize::from(first >> 2).max(1);
    let read = read_stream(side, tunnel, stream, stream.len().max(1));
    assert_eq!(read_stream(side, tunnel, stream, size), read);
    assert_eq!(read_stream(side, tunnel, stream, 1), read);

    // Nothing is made up.
    assert!(read.data.len() + read.sections <= stream.len());
    if tunnel {
        assert!(!read.order.contains(&'T'));
    }
    // §4.1: one head, then payload, then trailers.
    let order: String = read.order.iter().collect();
    let rest = order.trim_start_matches('H').trim_start_matches('D');
    assert!(["", "T", "L"].contains(&rest), "{order}");
    assert!(order.matches('H').count() <= 1);
    if order.contains('D') || order.contains('T') {
        assert!(order.starts_with('H'));
    }
    if read.end.is_ok() {
        assert!(order.starts_with('H') || order == "L");
    }
});

/// What a stream came to.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// Head, data, trailers, too large.
    order: Vec<char>,
    data: Vec<u8>,
    /// The sections' bytes.
    sections: usize,
    end: Result<(), Error>,
}

fn read_stream(side: Side, tunnel: bool, stream: &[u8], size: usize) -> Read {
    let mut message = Message::new(side, MAX_SECTION);
    let mut read = Read {
        order: Vec::new(),
        data: Vec::new(),
        sections: 0,
        end: Ok(()),
    };
    for piece in stream.chunks(size) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match message.read(&mut input) {
                Ok(Event::Data(data)) => {
                    assert!(!data.is_empty());
                    read.data.extend_from_slice(&data);
                    if read.order.last() != Some(&'D') {
                        read.order.push('D');
                    }
                }
                Ok(Event::Head(section)) => {
                    assert!(section.len() <= MAX_SECTION);
                    read.sections += section.len();
                    read.order.push('H');
                    if tunnel {
                        message.tunnel();
                    }
                }
                Ok(Event::NeedMore) => break assert!(input.is_empty()),
                Ok(Event::TooLarge) => read.order.push('L'),
                Ok(Event::Trailers(section)) => {
                    assert!(section.len() <= MAX_SECTION);
                    read.sections += section.len();
                    read.order.push('T');
                }
                Err(error) => {
                    assert!(error.ends_connection());
                    read.end = Err(error);
                    return read;
                }
            }
        }
    }
    read.end = message.end();
    read
}

const MAX_SECTION: usize = 64;
