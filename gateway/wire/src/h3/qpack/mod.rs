//! QPACK (RFC 9204) with the static table only: the capacity of the dynamic table is 0 both ways.

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod streams;

pub(super) use decode::{Decoder, Line};
pub(super) use encode::{push_indexed, push_line, push_named, push_prefix};
pub use streams::{DecoderStream, EncoderStream};
