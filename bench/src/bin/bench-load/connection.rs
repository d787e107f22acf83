//! One connection, on which one request follows the other.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use gateway_bench::http::{FIELDS, Length, closes, read_more};
use gateway_bench::order::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use wire::h1::{Chunked, ChunkedDecoder};

/// A kept-alive connection.
pub(crate) struct Connection {
    io: TlsStream<TcpStream>,
    buffer: BytesMut,
}

/// What came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answered {
    /// Bytes of payload, both ways.
    pub(crate) bytes: u64,
    /// Whether the connection takes another request.
    pub(crate) kept: bool,
}

impl Connection {
    pub(crate) fn new(io: TlsStream<TcpStream>) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    /// Sends a request and takes the whole answer, which must be the right one.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Result<Answered> {
        self.io.write_all(request.head.as_bytes()).await?;
        let mut left = request.body;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(FILL.len());
            self.io.write_all(FILL.get(..len).unwrap_or(FILL)).await?;
            left -= len as u64;
        }
        self.io.flush().await?;
        let (length, kept) = self.head(request.expect).await?;
        let received = match length {
            Length::Bytes(len) => self.bytes(len).await?,
            Length::Chunked => self.chunks().await?,
            Length::Close => bail!("an answer that only the connection's end ends"),
        };
        Ok(Answered {
            bytes: request.body + received,
            kept,
        })
    }

    /// Ends it as TLS wants it, without waiting for the other side to do so.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.io.shutdown().await.context("cannot close")
    }

    /// How the answer's body ends, and whether the connection is kept after it.
    async fn head(&mut self, expect: u16) -> Result<(Length, bool)> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let mut answer = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(len) = answer.parse(&self.buffer)? {
                let status = answer.code.context("no status")?;
                if status != expect {
                    bail!("answered {status}, not {expect}");
                }
                let length = Length::of(answer.headers)?;
                let kept = !closes(answer.headers);
                self.buffer.advance(len);
                return Ok((length, kept));
            }
            read_more(&mut self.io, &mut self.buffer).await?;
        }
    }

    async fn bytes(&mut self, len: u64) -> Result<u64> {
        let mut left = len;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX);
            let here = here.min(self.buffer.len());
            self.buffer.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(len);
            }
            read_more(&mut self.io, &mut self.buffer).await?;
        }
    }

    async fn chunks(&mut self) -> Result<u64> {
        let mut decoder = ChunkedDecoder::default();
        let mut received = 0;
        loop {
            match decoder.decode(&mut self.buffer).context("a chunk")? {
                Chunked::Data(data) => received += data.len() as u64,
                Chunked::End => return Ok(received),
                Chunked::NeedMore => read_more(&mut self.io, &mut self.buffer).await?,
            }
        }
    }
}

/// What bodies consist of.
static FILL: &[u8] = &[b'u'; 64 * 1024];
