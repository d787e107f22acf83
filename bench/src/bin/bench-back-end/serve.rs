//! One connection: requests in turn, until the other side ends it.

use anyhow::{Context, Result};
use bytes::{Buf, BytesMut};
use gateway_bench::http::{FIELDS, HttpError, Length, find, read_more};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::h1::{Chunked, ChunkedDecoder};

use crate::reply::Reply;
use crate::websocket;

/// Serves it to its end.
pub(crate) async fn run(mut io: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let mut buffer = BytesMut::new();
    let mut served = 0;
    loop {
        let Some((length, reply)) = request(&mut buffer, served)? else {
            match read_more(&mut io, &mut buffer).await {
                Err(HttpError::Ended) if buffer.is_empty() => return Ok(()),
                done => done?,
            }
            continue;
        };
        skip(&mut io, &mut buffer, length).await?;
        reply.write(&mut io).await?;
        served += 1;
        if reply == Reply::Upgrade {
            return websocket::echo(io, buffer).await;
        }
    }
}

/// Takes a whole head from the buffer: how its body ends, and what is answered. `served` requests
/// came before it.
fn request(buffer: &mut BytesMut, served: u64) -> Result<Option<(Length, Reply)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(len) = request.parse(buffer)? else {
        return Ok(None);
    };
    let length = match Length::of(request.headers)? {
        // RFC 9112 §6.3: a request that says nothing has no body.
        Length::Close => Length::Bytes(0),
        length => length,
    };
    let path = request.path.context("no path")?;
    let key = find(request.headers, "sec-websocket-key");
    let head = buffer.get(..len).unwrap_or_default();
    let reply = Reply::to(path, key, head, served)?;
    buffer.advance(len);
    Ok(Some((length, reply)))
}

async fn skip(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: Length,
) -> Result<()> {
    let mut left = match length {
        Length::Bytes(len) => len,
        Length::Chunked | Length::Close => return skip_chunks(io, buffer).await,
    };
    loop {
        let here = usize::try_from(left).unwrap_or(usize::MAX);
        let here = here.min(buffer.len());
        buffer.advance(here);
        left -= here as u64;
        if left == 0 {
            return Ok(());
        }
        read_more(io, buffer).await?;
    }
}

async fn skip_chunks(io: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<()> {
    let mut decoder = ChunkedDecoder::default();
    loop {
        match decoder.decode(buffer).context("a chunk")? {
            Chunked::Data(_) => (),
            Chunked::End => return Ok(()),
            Chunked::NeedMore => read_more(io, buffer).await?,
        }
    }
}
