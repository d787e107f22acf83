//! `Content-Length` against what DATA frames hold (RFC 9114 §4.1.2).

use super::{Code, Error};
use crate::h1::Body;

/// Counts the payload of a message that may have said how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataCount {
    /// What is to come, where that is known.
    left: Option<u64>,
}

impl DataCount {
    /// A count for a message with that framing. Without a length, any amount is right:
    /// [`Body::Chunked`], and [`Body::Empty`], which is a tunnel's or was seen to be empty.
    pub fn new(body: Body) -> Self {
        Self {
            left: match body {
                Body::Length(length) => Some(length),
                Body::Zero => Some(0),
                Body::Chunked | Body::Empty => None,
            },
        }
    }

    /// Counts payload.
    ///
    /// # Errors
    ///
    /// More than was said: a stream error of [`Code::MessageError`].
    pub fn take(&mut self, len: usize) -> Result<(), Error> {
        let Some(left) = &mut self.left else {
            return Ok(());
        };
        *left = left.checked_sub(len as u64).ok_or(DIFFERS)?;
        Ok(())
    }

    /// The message ends.
    ///
    /// # Errors
    ///
    /// Less than was said: a stream error of [`Code::MessageError`].
    pub fn end(&self) -> Result<(), Error> {
        match self.left {
            None | Some(0) => Ok(()),
            Some(_) => Err(DIFFERS),
        }
    }
}

const DIFFERS: Error = Error::stream(Code::MessageError, "Content-Length differs from DATA");

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts pieces; the code, if a piece or the end is wrong.
    fn count(body: Body, pieces: &[usize]) -> Result<(), Code> {
        let mut count = DataCount::new(body);
        let counted = pieces.iter().try_for_each(|piece| count.take(*piece));
        counted.and_then(|()| count.end()).map_err(|error| {
            assert!(!error.ends_connection());
            error.code()
        })
    }

    #[test]
    fn content_length_is_what_data_holds() {
        for (body, pieces, expected) in [
            (Body::Length(5), &[5][..], Ok(())),
            (Body::Length(5), &[1, 0, 4], Ok(())),
            (Body::Length(5), &[], Err(Code::MessageError)),
            (Body::Length(5), &[4], Err(Code::MessageError)),
            (Body::Length(5), &[6], Err(Code::MessageError)),
            (Body::Length(5), &[5, 1], Err(Code::MessageError)),
            (Body::Length(u64::MAX >> 1), &[1], Err(Code::MessageError)),
            (Body::Zero, &[], Ok(())),
            (Body::Zero, &[1], Err(Code::MessageError)),
            (Body::Chunked, &[], Ok(())),
            (Body::Chunked, &[1, 2, 3], Ok(())),
        ] {
            assert_eq!(count(body, pieces), expected, "{body:?} {pieces:?}");
        }
    }
}
