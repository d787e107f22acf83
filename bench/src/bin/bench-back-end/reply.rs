//! What is answered.

use anyhow::{Context, Result, bail};
use gateway_bench::http::{HttpError, SERVED};
use gateway_bench::order::{WEBSOCKET_ACCEPT, WEBSOCKET_KEY};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// So many bytes.
    Bytes(u64),
    /// The head that came, and how many came before it on its connection.
    Seen(Vec<u8>),
    /// A WebSocket begins.
    Upgrade,
}

impl Reply {
    /// To a request with this path, Sec-WebSocket-Key and whole head, that came after `served` others.
    pub(crate) fn to(path: &str, key: Option<&[u8]>, head: &[u8], served: u64) -> Result<Self> {
        let (before, last) = path.rsplit_once('/').context("a path without a slash")?;
        if last == "echo" {
            if key != Some(WEBSOCKET_KEY.as_bytes()) {
                bail!("a WebSocket that is not the generator's");
            }
            return Ok(Self::Upgrade);
        }
        if last == "seen" {
            let served = format!("{SERVED}: {served}\r\n");
            return Ok(Self::Seen([head, served.as_bytes()].concat()));
        }
        if before.ends_with("/bytes") {
            return Ok(Self::Bytes(last.parse().context("a number of bytes")?));
        }
        Ok(Self::Bytes(1))
    }

    /// Writes it, in one piece if it is small.
    pub(crate) async fn write(&self, io: &mut (impl AsyncWrite + Unpin)) -> Result<(), HttpError> {
        match self {
            Self::Bytes(len) => {
                let mut out = head(*len);
                let mut left = *len;
                loop {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(FILL.len());
                    out.extend_from_slice(FILL.get(..here).unwrap_or(FILL));
                    io.write_all(&out).await?;
                    left -= here as u64;
                    if left == 0 {
                        break;
                    }
                    out.clear();
                }
            }
            Self::Seen(seen) => {
                let mut out = head(seen.len() as u64);
                out.extend_from_slice(seen);
                io.write_all(&out).await?;
            }
            Self::Upgrade => {
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
                );
                io.write_all(head.as_bytes()).await?;
            }
        }
        io.flush().await?;
        Ok(())
    }
}

/// With the fields that an application's answer usually has.
fn head(len: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nCache-Control: no-cache\r\n\
         Content-Length: {len}\r\n\r\n"
    )
    .into_bytes()
}

/// What bodies consist of.
static FILL: &[u8] = &[b'd'; 64 * 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_path_decides() {
        let to = |path| Reply::to(path, None, b"head\r\n", 3).ok();
        assert_eq!(to("/bytes/1024"), Some(Reply::Bytes(1024)));
        assert_eq!(to("/__api__/v1/bytes/7"), Some(Reply::Bytes(7)));
        assert_eq!(to("/bytes/many"), None);
        assert_eq!(
            to("/seen"),
            Some(Reply::Seen(b"head\r\nbench-served: 3\r\n".to_vec()))
        );
        assert_eq!(to("/upload"), Some(Reply::Bytes(1)));
        assert_eq!(to("/echo"), None);
        let upgrade = Reply::to("/a/echo", Some(WEBSOCKET_KEY.as_bytes()), b"", 0);
        assert_eq!(upgrade.ok(), Some(Reply::Upgrade));
    }

    #[test]
    fn an_answer_has_the_length_that_it_says() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for len in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let mut out = Vec::new();
            runtime.block_on(Reply::Bytes(len).write(&mut out)).unwrap();
            let end = out.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
            let head = String::from_utf8(out[..end].to_vec()).unwrap();
            assert!(head.contains(&format!("Content-Length: {len}\r\n")));
            assert_eq!((out.len() - end) as u64, len);
        }
    }
}
