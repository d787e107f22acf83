//! A client that sends any bytes and reads raw answers.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::answer::{Answer, Broken, Framing, Head, status};
use super::{Http3, Request, poll};

/// One connection to the gateway (or, in plain, to anything else).
pub struct Client {
    stream: Stream,
    buffer: Vec<u8>,
    ended: Option<End>,
}

enum Stream {
    /// Messages are read as HTTP/1.1 and sent as HTTP/3, when their answers are read.
    Http3(Box<Http3>, VecDeque<Request>),
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By a FIN, under TLS after a `close_notify`.
    Clean,
    /// By a reset, or without a `close_notify`: what came may be cut.
    Cut,
}

impl Client {
    /// A TLS connection that names `host` (SNI).
    pub fn tls(address: SocketAddr, config: Arc<ClientConfig>, host: &str) -> Self {
        Self::tls_over(tcp(address), config, host)
    }

    /// TLS that names `host` over a connection that is there already.
    pub fn tls_over(tcp: TcpStream, config: Arc<ClientConfig>, host: &str) -> Self {
        Self::try_tls_over(tcp, config, host).expect("the TLS handshake succeeds")
    }

    /// As [`Client::tls`], where the handshake may break off.
    pub fn try_tls(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        host: &str,
    ) -> std::io::Result<Self> {
        Self::try_tls_over(tcp(address), config, host)
    }

    /// A connection that speaks HTTP/3 in the place of HTTP/1.1, for tests of what both have in common.
    /// It sends whole messages, and knows nothing of bytes.
    pub(crate) fn http3(http3: Http3) -> Self {
        Self::over(Stream::Http3(Box::new(http3), VecDeque::new()))
    }

    /// A plain connection.
    pub fn plain(address: SocketAddr) -> Self {
        Self::over(Stream::Plain(tcp(address)))
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.socket().local_addr().unwrap().port()
    }

    /// Sends bytes; fails the test if they cannot all be sent.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.try_send(bytes).expect("the connection takes bytes");
        self
    }

    /// Sends bytes, if the other side still takes them.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Http3(_, asked) => {
                asked.push_back(Request::parse(bytes));
                Ok(())
            }
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.send(&request.bytes());
        match self.read_answer(request.is_head()) {
            Ok(answer) => answer,
            Err(broken) => panic!("no answer: {broken:?}"),
        }
    }

    /// Reads the next answer (to anything but a HEAD).
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        match self.read_answer(false) {
            Ok(answer) => answer,
            Err(broken) => panic!("no answer: {broken:?}"),
        }
    }

    /// Reads the next answer, or says why there is none.
    pub fn read_answer(&mut self, to_head: bool) -> Result<Answer, Broken> {
        if let Stream::Http3(http3, asked) = &mut self.stream {
            return http3.try_ask(&asked.pop_front().expect("a request"));
        }
        let mut interim = Vec::new();
        loop {
            let (code, head) = self.head()?;
            if code < 200 && code != 101 {
                assert_eq!(head.framing(code, to_head), Framing::None);
                interim.push((code, head.fields));
                continue;
            }
            let framing = head.framing(code, to_head);
            let body = match framing {
                Framing::Chunked => self.chunks()?,
                Framing::Length(length) => self.exactly(usize::try_from(length).unwrap())?,
                Framing::None => Vec::new(),
                Framing::UntilClose => self.remainder()?,
            };
            return Ok(Answer {
                interim,
                status: code,
                fields: head.fields,
                body,
                framing,
            });
        }
    }

    /// Reads a head only; the body stays where it is. Interim answers count as heads.
    #[track_caller]
    pub fn answer_head(&mut self) -> Answer {
        match self.head() {
            Ok((status, head)) => Answer {
                interim: Vec::new(),
                status,
                framing: head.framing(status, false),
                fields: head.fields,
                body: Vec::new(),
            },
            Err(broken) => panic!("no head: {broken:?}"),
        }
    }

    /// Reads exactly so many raw bytes.
    #[track_caller]
    pub fn raw(&mut self, count: usize) -> Vec<u8> {
        match self.try_raw(count) {
            Ok(bytes) => bytes,
            Err(broken) => panic!("no {count} bytes: {broken:?}"),
        }
    }

    /// Reads exactly so many raw bytes, or says why they do not come.
    pub fn try_raw(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        self.exactly(count)
    }

    /// Reads one chunk's payload; empty for the last.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        match self.one_chunk() {
            Ok(bytes) => bytes,
            Err(broken) => panic!("no chunk: {broken:?}"),
        }
    }

    /// Reads and drops so many raw bytes, in little memory.
    #[track_caller]
    pub fn skip(&mut self, mut count: u64) {
        while count > 0 {
            assert!(
                self.buffer_some(),
                "the connection ended {count} bytes early"
            );
            let take = self
                .buffer
                .len()
                .min(usize::try_from(count).unwrap_or(usize::MAX));
            self.buffer.drain(..take);
            count -= take as u64;
        }
    }

    /// Reads and drops at most so many bytes; how many, or how the connection broke.
    pub fn read_some(&mut self, most: usize) -> std::io::Result<usize> {
        self.read(&mut vec![0; most])
    }

    /// Fails the test unless the connection ends, in whatever way, without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        while self.fill() {}
        let rest = String::from_utf8_lossy(&self.buffer);
        assert!(self.buffer.is_empty(), "more came before the end: {rest}");
    }

    /// Fails the test unless the connection ends as TLS says it should.
    #[track_caller]
    pub fn expect_clean_end(&mut self) {
        self.expect_end();
        assert_eq!(self.ended, Some(End::Clean));
    }

    /// Whether nothing comes for so long; the connection must not end.
    pub fn is_silent(&mut self, during: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.patience(during);
        let mut byte = [0; 4096];
        let silent = match self.read(&mut byte) {
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            Ok(count) => {
                self.buffer.extend_from_slice(&byte[..count]);
                false
            }
        };
        self.patience(poll::patience());
        silent
    }

    /// Ends the sending direction; the other stays open.
    pub fn end_sending(&mut self) {
        match &mut self.stream {
            Stream::Http3(..) => panic!("{NO_BYTES}"),
            Stream::Plain(tcp) => tcp.shutdown(std::net::Shutdown::Write).unwrap(),
            Stream::Tls(tls) => {
                tls.conn.send_close_notify();
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut tls.sock).unwrap();
                }
            }
        }
    }

    fn try_tls_over(
        mut tcp: TcpStream,
        config: Arc<ClientConfig>,
        host: &str,
    ) -> std::io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        let mut tls = ClientConnection::new(config, name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self::over(Stream::Tls(Box::new(StreamOwned::new(
            tls, tcp,
        )))))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            ended: None,
        }
    }

    fn head(&mut self) -> Result<(u16, Head), Broken> {
        let mut searched = 0;
        let end = loop {
            match find(&self.buffer[searched..], b"\r\n\r\n") {
                Some(at) => break searched + at,
                None => searched = self.buffer.len().saturating_sub(3),
            }
            if !self.fill() {
                return Err(match self.buffer.is_empty() {
                    true => Broken::Nothing,
                    false => Broken::Truncated(std::mem::take(&mut self.buffer)),
                });
            }
        };
        let bytes: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let head = Head::parse(&bytes[..end]).unwrap_or_else(|| panic!("bad head: {shown}"));
        Ok((status(&head.start), head))
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            match self.one_chunk() {
                Ok(chunk) if chunk.is_empty() => return Ok(body),
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(_) => return Err(Broken::Truncated(body)),
            }
        }
    }

    fn one_chunk(&mut self) -> Result<Vec<u8>, Broken> {
        let end = loop {
            match find(&self.buffer, b"\r\n") {
                Some(end) => break end,
                None if self.fill() => {}
                None => return Err(Broken::Truncated(Vec::new())),
            }
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let digits = std::str::from_utf8(&line[..end]).unwrap();
        let size = usize::from_str_radix(digits, 16)
            .unwrap_or_else(|_| panic!("bad chunk size, or an extension: {digits:?}"));
        let data = self.exactly(size)?;
        let ending = self.exactly(2)?;
        assert_eq!(ending, b"\r\n", "no CRLF after a chunk, or a trailer");
        Ok(data)
    }

    fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < count {
            if !self.fill() {
                return Err(Broken::Truncated(std::mem::take(&mut self.buffer)));
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn remainder(&mut self) -> Result<Vec<u8>, Broken> {
        while self.fill() {}
        let bytes = std::mem::take(&mut self.buffer);
        match self.ended {
            Some(End::Clean) => Ok(bytes),
            Some(End::Cut) | None => Err(Broken::Truncated(bytes)),
        }
    }

    fn buffer_some(&mut self) -> bool {
        !self.buffer.is_empty() || self.fill()
    }

    /// Reads once; false at the end. A silence of [`poll::patience`] fails the test.
    fn fill(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let mut bytes = [0; 65536];
        match self.read(&mut bytes) {
            Ok(0) => self.ended = Some(End::Clean),
            Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    let so_far = String::from_utf8_lossy(&self.buffer).into_owned();
                    panic!("the other side keeps silent; so far: {so_far:?}")
                }
                _ => self.ended = Some(End::Cut),
            },
        }
        self.ended.is_none()
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.stream {
            Stream::Http3(..) => panic!("{NO_BYTES}"),
            Stream::Plain(tcp) => tcp.read(bytes),
            Stream::Tls(tls) => tls.read(bytes),
        }
    }

    fn patience(&self, patience: Duration) {
        self.socket().set_read_timeout(Some(patience)).unwrap();
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Http3(..) => panic!("{NO_BYTES}"),
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }
}

/// What a test needs HTTP/1.1 for.
const NO_BYTES: &str = "HTTP/3 has no bytes of a connection's";

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// A connection from a certain address of this host (all of `127.0.0.0/8` are), any port. It fails
/// if it is reset before anybody here has seen it.
pub fn tcp_from(source: IpAddr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&address.into())?;
    Ok(patient(socket.into()))
}

fn tcp(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).expect("the listener accepts"))
}

fn patient(tcp: TcpStream) -> TcpStream {
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(poll::patience())).unwrap();
    tcp.set_write_timeout(Some(poll::patience())).unwrap();
    tcp
}
