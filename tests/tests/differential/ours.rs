//! What our parser makes of a message.

use bytes::{Bytes, BytesMut};
use wire::h1::{
    AnswerBody, Body, Chunked, ChunkedDecoder, HeadEnd, HeadError, parse_answer, parse_request,
};
use wire::{Fields, Method, Version};

use crate::{Message, Verdict};

pub(crate) fn request(bytes: &[u8]) -> Verdict {
    let (head, rest) = match head(bytes) {
        Ok(Some(parts)) => parts,
        Ok(None) => return Verdict::Waiting,
        Err(error) => return Verdict::Refused(format!("{error:?}")),
    };
    let request = match parse_request(head, Vec::new()) {
        Ok(request) => request,
        Err(error) => return Verdict::Refused(format!("{error:?}")),
    };
    let mut target = text(request.head.path());
    if let Some(query) = request.head.query() {
        target = format!("{target}?{}", text(query));
    }
    let start = [
        text(request.head.method_bytes()),
        target,
        version(request.head.version()),
    ];
    let framing = match request.body {
        Body::Chunked => Framing::Chunked,
        Body::Empty | Body::Zero => Framing::Length(0),
        Body::Length(length) => Framing::Length(length),
    };
    message(start, request.head.fields(), framing, bytes, rest)
}

/// An answer to a GET.
pub(crate) fn answer(bytes: &[u8]) -> Verdict {
    let (head, rest) = match head(bytes) {
        Ok(Some(parts)) => parts,
        Ok(None) => return Verdict::Waiting,
        Err(error) => return Verdict::Refused(format!("{error:?}")),
    };
    let answer = match parse_answer(head, Vec::new(), Method::Get, false) {
        Ok(answer) => answer,
        Err(error) => return Verdict::Refused(format!("{error:?}")),
    };
    let start = [
        version(answer.head.version()),
        answer.head.status().to_string(),
        text(answer.head.reason()),
    ];
    let framing = match answer.body {
        AnswerBody::Chunked => Framing::Chunked,
        AnswerBody::Empty => Framing::Length(0),
        AnswerBody::Length(length) => Framing::Length(length),
        AnswerBody::UntilClose => Framing::Open,
    };
    message(start, answer.head.fields(), framing, bytes, rest)
}

#[derive(Clone, Copy)]
enum Framing {
    Chunked,
    Length(u64),
    /// Until the connection ends.
    Open,
}

/// Cuts the head off, if it has ended.
fn head(bytes: &[u8]) -> Result<Option<(Bytes, BytesMut)>, HeadError> {
    let end = HeadEnd::default().find(bytes)?;
    Ok(end.map(|length| {
        let (head, rest) = bytes.split_at(length);
        (Bytes::copy_from_slice(head), BytesMut::from(rest))
    }))
}

fn message(
    start: [String; 3],
    fields: &Fields,
    framing: Framing,
    bytes: &[u8],
    mut rest: BytesMut,
) -> Verdict {
    let mut body = Vec::new();
    let ended = match framing {
        Framing::Chunked => {
            let mut decoder = ChunkedDecoder::default();
            loop {
                match decoder.decode(&mut rest) {
                    Ok(Chunked::Data(data)) => body.extend_from_slice(&data),
                    Ok(Chunked::End) => break true,
                    Ok(Chunked::NeedMore) => break false,
                    Err(error) => return Verdict::Refused(format!("Chunk{error:?}")),
                }
            }
        }
        Framing::Length(length) => {
            let here = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
            body.extend_from_slice(&rest.split_to(here));
            body.len() as u64 == length
        }
        Framing::Open => {
            body.extend_from_slice(&rest.split());
            false
        }
    };
    let lines = fields.iter();
    Verdict::Message(Message {
        start,
        fields: lines
            .map(|line| (text(line.name).to_ascii_lowercase(), text(line.value)))
            .collect(),
        body: text(&body),
        end: ended.then(|| bytes.len() - rest.len()),
    })
}

fn version(version: Version) -> String {
    match version {
        Version::Http10 => "1.0",
        _ => "1.1",
    }
    .to_owned()
}

/// Each byte as the character of that number.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
