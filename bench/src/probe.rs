//! One request, to look at its answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConnection, NamedGroup, StreamOwned};
use tokio::runtime;
use tokio::time::timeout;

use crate::http::{FIELDS, Length, find};
use crate::http3::{self, Client};
use crate::order::{Group, Request};
use crate::target::Target;
use crate::tls;

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What is to be sent back as `Cookie`.
    pub(crate) cookie: Option<String>,
    pub(crate) body: Vec<u8>,
    /// The connection's.
    pub(crate) tls: Tls,
}

/// What a server has chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tls {
    pub(crate) suite: Option<CipherSuite>,
    pub(crate) group: Option<NamedGroup>,
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// Sends a request without a body on a connection of its own.
pub(crate) fn ask(target: &Target, request: &Request) -> Result<Answer> {
    let config = tls::probe(&target.ca)?;
    let name = ServerName::try_from(target.name.clone())?;
    let tcp = TcpStream::connect_timeout(&target.address, PATIENCE);
    let tcp = tcp.with_context(|| format!("cannot connect to {}", target.address))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    let tls = ClientConnection::new(Arc::new(config), name)?;
    let mut io = StreamOwned::new(tls, tcp);
    io.write_all(request.head.as_bytes()).context("no TLS")?;
    let mut received = Vec::new();
    loop {
        if let Some(answer) = parse(&received)? {
            return Ok(Answer {
                tls: Tls::of(&io.conn),
                ..answer
            });
        }
        let mut part = [0; 4096];
        match io.read(&mut part).context("no answer")? {
            0 => bail!("the connection ended before the answer"),
            len => received.extend_from_slice(part.get(..len).unwrap_or_default()),
        }
    }
}

/// Sends a request over HTTP/3, on a connection of its own: the answer's status and body, and the
/// server's certificate. It has no choice of cipher and key exchange.
pub(crate) fn ask_http3(
    target: &Target,
    request: &Request,
) -> Result<(u16, Vec<u8>, Option<CertificateDer<'static>>)> {
    let request = http3::Request::new(request)?;
    let asked = async {
        let Target {
            address, name, ca, ..
        } = target;
        let client = Client::new(*address, name, ca, Group::X25519, 1)?;
        let connection = client.connect().await?;
        let (status, body) = connection.ask(&request).await?;
        let certificate = connection.certificate();
        client.end().await;
        Ok((status, body, certificate))
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .context("no runtime")?
        .block_on(async { timeout(PATIENCE, asked).await })
        .context("no answer over HTTP/3")?
}

impl Tls {
    fn of(connection: &ClientConnection) -> Self {
        let suite = connection.negotiated_cipher_suite();
        let group = connection.negotiated_key_exchange_group();
        let leaf = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            suite: suite.map(|suite| suite.suite()),
            group: group.map(SupportedKxGroup::name),
            certificate: leaf.cloned().map(CertificateDer::into_owned),
        }
    }
}

/// The answer, once it is whole. Of one without a length the body is not awaited.
fn parse(received: &[u8]) -> Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = answer.parse(received)? else {
        return Ok(None);
    };
    let body = received.get(head..).unwrap_or_default();
    if let Length::Bytes(len) = Length::of(answer.headers)?
        && (body.len() as u64) < len
    {
        return Ok(None);
    }
    let cookie = find(answer.headers, "set-cookie").map(|cookie| {
        let pair = cookie.split(|&byte| byte == b';').next();
        String::from_utf8_lossy(pair.unwrap_or_default()).into_owned()
    });
    Ok(Some(Answer {
        status: answer.code.context("no status")?,
        cookie,
        body: body.to_vec(),
        tls: Tls::default(),
    }))
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let text = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 3\r\n\r\nabc";
        for len in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..len]).unwrap(), None, "{len}");
        }
        let answer = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.cookie.as_deref()),
            (200, Some("a=b"))
        );
        assert_eq!(answer.body, b"abc");
    }
}
