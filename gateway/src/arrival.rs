//! What happens on a connection before its first request: PROXY protocol, then TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wire::{ProxyError, ProxyHeader};

use crate::accept::reset;
use crate::admission::{Full, Place};
use crate::shared::Front;
use crate::tls::Transport;

/// A connection that is ready for requests.
pub(crate) struct Arrival {
    /// Its bytes.
    pub(crate) transport: Transport,
    /// The server name that the client asked for, in lower case.
    pub(crate) sni: Option<Box<str>>,
    /// The client: what the proxy says, or the other end. An IPv4 client on a dual-stack listener
    /// is an IPv4 client.
    pub(crate) client: IpAddr,
    /// Its place, to be kept as long as the connection.
    pub(crate) place: Place,
}

/// Why a connection did not get that far.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Its client has too many.
    Full(Full),
    /// The proxy closed it and has said nothing: a health check.
    Gone,
    /// What should stand before TLS does not, or the other way round.
    Proxy(ProxyFault),
    /// The handshake failed.
    Tls(io::Error),
}

/// What is wrong before TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyFault {
    /// It ended, or failed, within the header.
    #[error("the connection ended within the PROXY protocol header: {0}")]
    Cut(#[source] io::Error),
    /// It is no header.
    #[error("{0}")]
    Malformed(#[from] ProxyError),
    /// It took longer than `timeouts.head`.
    #[error("the PROXY protocol header did not arrive in time")]
    Timeout,
    /// Somebody sends one who is not in `proxy_protocol_from`.
    #[error("PROXY protocol from an address that is not in proxy_protocol_from")]
    Unexpected,
}

/// Brings a connection to its first request, by `deadline`. What is not taken is reset; a failed
/// handshake ends as TLS ends it.
pub(crate) async fn arrive(
    front: &Front,
    mut stream: TcpStream,
    peer: SocketAddr,
    mut place: Place,
    deadline: Instant,
) -> Result<Arrival, Failed> {
    let client = if front.is_proxy(peer.ip()) {
        let announced = match timeout_at(deadline, announced(&mut stream)).await {
            Ok(announced) => announced,
            Err(_) => Err(Failed::Proxy(ProxyFault::Timeout)),
        };
        let counted = announced.and_then(|source| {
            let client = source.unwrap_or(peer).ip();
            place.belongs_to(client).map_err(Failed::Full)?;
            Ok(client)
        });
        counted.inspect_err(|_| reset(&stream))?
    } else {
        let unexpected = timeout_at(deadline, begins_with_header(&stream)).await;
        match unexpected {
            Ok(Ok(false)) => peer.ip(),
            Ok(Ok(true)) => {
                reset(&stream);
                return Err(Failed::Proxy(ProxyFault::Unexpected));
            }
            Ok(Err(error)) => return Err(Failed::Tls(error)),
            Err(elapsed) => return Err(Failed::Tls(elapsed.into())),
        }
    };
    let accepted = timeout_at(deadline, front.acceptor.accept(stream)).await;
    let accepted = accepted.unwrap_or_else(|elapsed| Err(elapsed.into()));
    let (transport, sni) = accepted.map_err(Failed::Tls)?;
    Ok(Arrival {
        transport,
        sni,
        client: client.to_canonical(),
        place,
    })
}

/// Whether the first bytes are a header's. TLS would refuse them as well, but could not say why.
async fn begins_with_header(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; ProxyHeader::SIGNATURE];
    let length = stream.peek(&mut start).await?;
    Ok(ProxyHeader::is_at_start(
        start.get(..length).unwrap_or_default(),
    ))
}

/// Reads the header, and not a byte more: what has come is looked at before it is taken.
async fn announced(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Failed> {
    let cut = |error| Failed::Proxy(ProxyFault::Cut(error));
    let mut bytes = [0; ProxyHeader::MAX];
    let mut taken = 0;
    loop {
        // Never empty: a header that long would be complete, or at fault.
        let rest = bytes.get_mut(taken..).unwrap_or_default();
        let come = match stream.peek(rest).await.map_err(cut)? {
            0 if taken == 0 => return Err(Failed::Gone),
            0 => return Err(cut(io::ErrorKind::UnexpectedEof.into())),
            come => taken + come,
        };
        let seen = bytes.get(..come).unwrap_or_default();
        let header = ProxyHeader::parse(seen).map_err(|error| Failed::Proxy(error.into()))?;
        let end = header.map_or(come, |header| header.length);
        let part = bytes.get_mut(taken..end).unwrap_or_default();
        stream.read_exact(part).await.map_err(cut)?;
        taken = end;
        if let Some(header) = header {
            return Ok(header.source);
        }
    }
}
