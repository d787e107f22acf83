//! A back-end whose every byte, in and out, is the test's: recording, scripted, hostile.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::connect_unspec;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::answer::Head;
use super::client::find;
use super::setup::wants_http3;
use super::{SWITCHING, Socket, poll};

/// The answer of a back-end that has nothing special to say.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A listening back-end; stops when dropped, and then fails the test if a script failed.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// One request as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The connection that it came on, counted from 0.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The raw target; each byte is one character.
    pub target: String,
    /// Names and values as they came, in order.
    pub fields: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// Whether the body came whole.
    pub complete: bool,
}

/// One connection, in the hands of a script.
pub struct Conn {
    stream: Stream,
    buffer: Vec<u8>,
    index: usize,
    shared: Arc<Shared>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    faults: Mutex<Vec<String>>,
    raw: Mutex<Vec<u8>>,
    requests: Mutex<Vec<Received>>,
    sockets: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Backend {
    /// Answers every request with [`OK`] and keeps connections alive; where the tests are run over HTTP/3, a
    /// WebSocket's handshake by a tunnel, which is its only success there.
    pub fn recording() -> Self {
        Self::scripted(record)
    }

    /// Answers every request with these bytes and keeps connections alive.
    pub fn answering(answer: &'static [u8]) -> Self {
        Self::scripted(
            move |conn| {
                while conn.request().is_some() && conn.send(answer) {}
            },
        )
    }

    /// Hands every connection to a script.
    pub fn scripted(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::start(None, script)
    }

    /// Hands every TLS connection to a script, once its handshake is through.
    pub fn scripted_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(tls), script)
    }

    /// As [`Backend::recording`], over TLS.
    pub fn recording_tls(tls: Arc<ServerConfig>) -> Self {
        Self::scripted_tls(tls, record)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// All requests since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }

    /// The only request since the last call.
    #[track_caller]
    pub fn one(&self) -> Received {
        poll::until("the back-end has a request", || {
            (!self.shared.requests.lock().unwrap().is_empty()).then_some(())
        });
        let mut requests = self.take();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Every byte that came, in whatever connection; the first 8 MiB of them.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.raw.lock().unwrap().clone()
    }

    /// Whether these bytes came, anywhere.
    pub fn saw(&self, bytes: &[u8]) -> bool {
        find(&self.shared.raw.lock().unwrap(), bytes).is_some()
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Conn) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = {
            let shared = shared.clone();
            std::thread::spawn(move || shared.accept(&listener, tls.as_ref(), &Arc::new(script)))
        };
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; where that fails it has already ended.
        drop(TcpStream::connect(self.address));
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            // A socket that is closed already has nothing to shut.
            let _closed = socket.shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            accepting
                .join()
                .expect("the accepting thread does not panic");
        }
        let faults = std::mem::take(&mut *self.shared.faults.lock().unwrap());
        if !faults.is_empty() && !std::thread::panicking() {
            panic!("at the back-end: {}", faults.join("; "));
        }
    }
}

impl Shared {
    fn accept<S>(
        self: &Arc<Self>,
        listener: &TcpListener,
        tls: Option<&Arc<ServerConfig>>,
        script: &Arc<S>,
    ) where
        S: Fn(&mut Conn) + Send + Sync + 'static,
    {
        let mut threads = Vec::new();
        for tcp in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let tcp = tcp.expect("accepting on loopback works");
            tcp.set_nodelay(true).unwrap();
            self.sockets.lock().unwrap().push(tcp.try_clone().unwrap());
            let index = self.connections.fetch_add(1, Ordering::SeqCst);
            let (shared, tls, script) = (self.clone(), tls.cloned(), script.clone());
            threads.push(std::thread::spawn(move || {
                let Some(stream) = Stream::open(tcp, tls) else {
                    return;
                };
                let mut conn = Conn {
                    stream,
                    buffer: Vec::new(),
                    index,
                    shared,
                };
                let outcome = catch_unwind(AssertUnwindSafe(|| script(&mut conn)));
                if let Err(panic) = outcome {
                    let text = panic
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    let fault = text.unwrap_or_else(|| "a script panicked".to_owned());
                    conn.shared.faults.lock().unwrap().push(fault);
                }
                conn.close();
            }));
        }
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _closed = socket.shutdown(Shutdown::Both);
        }
        for thread in threads {
            thread.join().expect("scripts are caught");
        }
    }
}

impl Conn {
    /// Which connection this is, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The gateway's end of this connection.
    pub fn peer(&self) -> Option<Socket> {
        let (local, remote) = self.ports();
        Socket::find(remote, local)
    }

    /// The ports of this connection: the back-end's and the gateway's.
    pub fn ports(&self) -> (u16, u16) {
        let socket = self.socket();
        let (local, remote) = (socket.local_addr(), socket.peer_addr());
        (local.unwrap().port(), remote.unwrap().port())
    }

    /// Reads a whole request and records it. None when the connection ends before its head.
    /// What is ambiguous or not re-framed fails the test.
    pub fn request(&mut self) -> Option<Received> {
        let mut received = self.head()?;
        received.complete = match self.body_of(&received) {
            Ok(body) => {
                received.body = body;
                true
            }
            Err(part) => {
                received.body = part;
                false
            }
        };
        let complete = received.complete;
        self.shared.requests.lock().unwrap().push(received.clone());
        complete.then_some(received)
    }

    /// Reads a head only, and records nothing but its bytes.
    pub fn head(&mut self) -> Option<Received> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if !self.fill() {
                assert!(
                    self.shared.stop.load(Ordering::SeqCst) || self.buffer.is_empty(),
                    "half a head"
                );
                return None;
            }
        };
        let bytes: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let head = Head::parse(&bytes[..end]).unwrap_or_else(|| panic!("bad head: {shown}"));
        let mut parts = head.start.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            panic!("bad request line: {shown}");
        };
        Some(Received {
            connection: self.index,
            method: method.to_owned(),
            target: target.to_owned(),
            body: Vec::new(),
            complete: false,
            fields: head.fields,
        })
    }

    /// Reads the body that a head announced; what came of it, if it was cut.
    pub fn body_of(&mut self, received: &Received) -> Result<Vec<u8>, Vec<u8>> {
        match (
            received.all("content-length").as_slice(),
            received.all("transfer-encoding").as_slice(),
        ) {
            ([], []) => Ok(Vec::new()),
            ([length], []) => {
                let length: usize = length.parse().unwrap();
                match self.until_len(length) {
                    true => Ok(self.buffer.drain(..length).collect()),
                    false => Err(std::mem::take(&mut self.buffer)),
                }
            }
            ([], ["chunked"]) => {
                let mut body = Vec::new();
                loop {
                    match self.chunk() {
                        Some(chunk) if chunk.is_empty() => return Ok(body),
                        Some(chunk) => body.extend_from_slice(&chunk),
                        None => return Err(body),
                    }
                }
            }
            (lengths, codings) => panic!("ambiguous framing: {lengths:?} {codings:?}"),
        }
    }

    /// Reads one chunk; empty for the last, none at the connection's end. An extension or a
    /// trailer fails the test: neither may be forwarded.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break end;
            }
            if !self.fill() {
                return None;
            }
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let digits = String::from_utf8_lossy(&line[..end]).into_owned();
        let size = usize::from_str_radix(&digits, 16)
            .unwrap_or_else(|_| panic!("a chunk size with more than a size: {digits:?}"));
        if !self.until_len(size + 2) {
            return None;
        }
        let mut data: Vec<u8> = self.buffer.drain(..size + 2).collect();
        let ending = data.split_off(size);
        assert_eq!(ending, b"\r\n", "no CRLF after a chunk, or a trailer");
        Some(data)
    }

    /// Reads exactly so many raw bytes; none if the connection ends before.
    pub fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        self.until_len(count)
            .then(|| self.buffer.drain(..count).collect())
    }

    /// Reads and drops so many raw bytes, in little memory; false if the connection ends before.
    pub fn skip(&mut self, mut count: u64) -> bool {
        while count > 0 {
            if self.buffer.is_empty() && !self.fill() {
                return false;
            }
            let take = self
                .buffer
                .len()
                .min(usize::try_from(count).unwrap_or(usize::MAX));
            self.buffer.drain(..take);
            count -= take as u64;
        }
        true
    }

    /// Reads until the connection ends.
    pub fn read_out(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Sends bytes; false if the other side does not take them any more.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        };
        sent.is_ok()
    }

    /// Whether nothing comes for so long.
    pub fn is_silent(&mut self, during: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.socket().set_read_timeout(Some(during)).unwrap();
        let mut bytes = [0; 4096];
        let silent = match self.stream.read(&mut bytes) {
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            Ok(count) => {
                self.keep(&bytes[..count]);
                false
            }
        };
        self.socket().set_read_timeout(None).unwrap();
        silent
    }

    /// Ends the sending direction; the other stays open.
    pub fn end_sending(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            // The other side may be gone; the shutdown below says so too.
            let _gone = tls.flush();
        }
        let _gone = self.socket().shutdown(Shutdown::Write);
    }

    /// Ends both directions.
    pub fn close(&mut self) {
        self.end_sending();
        let _gone = self.socket().shutdown(Shutdown::Both);
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        connect_unspec(self.socket()).unwrap();
    }

    fn until_len(&mut self, count: usize) -> bool {
        while self.buffer.len() < count {
            if !self.fill() {
                return false;
            }
        }
        true
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.keep(&bytes[..count]);
                true
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        let mut raw = self.shared.raw.lock().unwrap();
        if raw.len() < RAW_CAP {
            raw.extend_from_slice(bytes);
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }
}

impl Stream {
    /// `None` if the TLS handshake fails: then there is nothing for a script to do.
    fn open(mut tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> Option<Self> {
        let Some(config) = tls else {
            return Some(Self::Plain(tcp));
        };
        let mut tls = ServerConnection::new(config).unwrap();
        while tls.is_handshaking() {
            if tls.complete_io(&mut tcp).is_err() {
                // The alert, if one is due; a client that is gone does not want it.
                let _gone = tls.write_tls(&mut tcp);
                let _gone = tcp.shutdown(Shutdown::Both);
                return None;
            }
        }
        Some(Self::Tls(Box::new(StreamOwned::new(tls, tcp))))
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(bytes),
            Self::Tls(tls) => tls.read(bytes),
        }
    }
}

impl Received {
    /// The value of the only field with that name (without regard to case); none if there is
    /// none. Two fail the test.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(
            values.len() < 2,
            "{name} came {} times: {self:#?}",
            values.len()
        );
        values.first().copied()
    }

    /// The values of all fields with that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The fields whose names a back-end could take for that one: design §4's fold.
    pub fn folded(&self, name: &str) -> Vec<&(String, String)> {
        self.fields
            .iter()
            .filter(|(other, _)| fold(other) == fold(name))
            .collect()
    }
}

fn record(conn: &mut Conn) {
    while let Some(request) = conn.request() {
        let opens = wants_http3() && request.field("upgrade").is_some();
        if !conn.send(if opens { SWITCHING } else { OK }) {
            return;
        }
    }
}

/// Design §4's fold, once more and independently: lower case, each run of other bytes one dash.
fn fold(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}

/// How many bytes [`Backend::raw`] keeps.
const RAW_CAP: usize = 8 * 1024 * 1024;
