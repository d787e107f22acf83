//! HTTP/1.1 message syntax (RFC 9112), both ways, without sockets.

pub(crate) mod answer;
mod chunked;
mod connection;
mod emit;
mod end;
mod error;
pub(crate) mod framing;
mod lines;
pub(crate) mod request;
pub(crate) mod target;

pub use answer::{Answer, AnswerBody, parse_answer};
pub use chunked::{Chunked, ChunkedDecoder};
pub use connection::connection_tokens;
pub use emit::{
    CRLF, LAST_CHUNK, chunk_size_line, push_field, push_request_line, push_status_line,
};
pub use end::HeadEnd;
pub use error::{ChunkError, HeadError};
pub use request::{Body, Request, has_long_line, parse_request};
