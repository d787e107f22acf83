//! One client's connection: requests in turn.

use anyhow::Result;
use bytes::{Buf, BytesMut};
use gateway_bench::http::{HttpError, read_more};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::head::{self, Answer, Request};
use crate::upstream::{Link, Upstream};

/// Serves it to its end.
pub(crate) async fn serve(mut client: TlsStream<TcpStream>, upstream: &Upstream) -> Result<()> {
    let mut received = BytesMut::with_capacity(RECEIVE);
    let mut out = Vec::with_capacity(RECEIVE);
    loop {
        let Some(request) = head::request(&mut received, &mut out)? else {
            match read_more(&mut client, &mut received).await {
                // Clients come and go.
                Err(error) if received.is_empty() && error.is_end() => return Ok(()),
                done => done?,
            }
            continue;
        };
        let mut link = upstream.get().await?;
        send(&mut client, &mut link, &mut received, &mut out, request).await?;
        let answer = receive(&mut client, &mut link, &mut out).await?;
        if request.upgrades && answer.upgraded {
            link.io.write_all_buf(&mut received).await?;
            copy_bidirectional(&mut client, &mut link.io).await?;
            return Ok(());
        }
        upstream.put(link);
        if !request.kept {
            client.shutdown().await?;
            return Ok(());
        }
    }
}

/// Head and body to the back-end; what of the body is there goes with the head.
async fn send(
    client: &mut TlsStream<TcpStream>,
    link: &mut Link,
    received: &mut BytesMut,
    out: &mut Vec<u8>,
    request: Request,
) -> Result<()> {
    let left = take(received, out, request.body);
    link.io.write_all(out).await?;
    relay(client, &mut link.io, received, left).await
}

/// Head and body to the client, likewise.
async fn receive(
    client: &mut TlsStream<TcpStream>,
    link: &mut Link,
    out: &mut Vec<u8>,
) -> Result<Answer> {
    loop {
        if let Some(answer) = head::answer(&mut link.buffer, out)? {
            let left = take(&mut link.buffer, out, answer.body);
            client.write_all(out).await?;
            relay(&mut link.io, client, &mut link.buffer, left).await?;
            return Ok(answer);
        }
        read_more(&mut link.io, &mut link.buffer).await?;
    }
}

/// Moves what is there of `len` bytes; how many are left to come.
fn take(from: &mut BytesMut, to: &mut Vec<u8>, len: u64) -> u64 {
    let here = usize::try_from(len).unwrap_or(usize::MAX).min(from.len());
    to.extend_from_slice(from.get(..here).unwrap_or_default());
    from.advance(here);
    len - here as u64
}

/// Passes on the next `left` bytes as they come. The buffer is empty before and after.
async fn relay(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    buffer: &mut BytesMut,
    mut left: u64,
) -> Result<()> {
    while left > 0 {
        buffer.reserve(RECEIVE);
        let len = from.take(left).read_buf(buffer).await?;
        if len == 0 {
            return Err(HttpError::Ended.into());
        }
        left -= len as u64;
        to.write_all_buf(buffer).await?;
    }
    to.flush().await?;
    Ok(())
}

const RECEIVE: usize = 64 * 1024;
