//! A client that speaks HTTP/3, on quinn and the gateway's own codec: good requests, and anything
//! else on any stream.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, RecvStream, SendStream,
    TransportConfig, VarInt,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use wire::h3::{Event, Message, Settings, Side, parse_answer, push_data_header};

use super::answer::{Answer, Broken, Framing};
use super::{Request, poll};

/// A connection.
pub struct Http3 {
    runtime: Runtime,
    endpoint: Endpoint,
    connection: Connection,
    /// Kept open, as a control stream must be.
    control: Mutex<Option<SendStream>>,
}

/// One request stream.
pub struct Http3Stream<'c> {
    client: &'c Http3,
    /// What is sent.
    pub send: SendStream,
    receive: RecvStream,
    message: Message,
    pending: Bytes,
    to_head: bool,
    tunnel: bool,
}

impl Http3 {
    /// Connects, names `host` (SNI), and says what it is.
    #[track_caller]
    pub fn connect(address: SocketAddr, tls: rustls::ClientConfig, host: &str) -> Self {
        Self::try_connect(address, tls, host).expect("the QUIC handshake succeeds")
    }

    /// As [`Http3::connect`], where the handshake may fail.
    pub fn try_connect(
        address: SocketAddr,
        tls: rustls::ClientConfig,
        host: &str,
    ) -> Result<Self, ConnectionError> {
        let client = Self::quiet(address, tls, host)?;
        let connection = client.connection.clone();
        let control = client.wait("a control stream", async move {
            let mut stream = connection.open_uni().await.unwrap();
            let mut bytes = BytesMut::new();
            Settings::default().push_control_stream(&mut bytes);
            stream.write_all(&bytes).await.unwrap();
            stream
        });
        *client.control.lock().unwrap() = Some(control);
        Ok(client)
    }

    /// Connects and says nothing.
    pub fn quiet(
        address: SocketAddr,
        tls: rustls::ClientConfig,
        host: &str,
    ) -> Result<Self, ConnectionError> {
        Self::quiet_with(address, tls, host, TransportConfig::default())
    }

    /// As [`Http3::quiet`], with windows of one's own.
    pub fn quiet_with(
        address: SocketAddr,
        tls: rustls::ClientConfig,
        host: &str,
        mut transport: TransportConfig,
    ) -> Result<Self, ConnectionError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        transport.max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(120_000))));
        config.transport_config(Arc::new(transport));
        let (endpoint, connecting) = runtime.block_on(async {
            let any = SocketAddr::new(address.ip(), 0);
            let endpoint = Endpoint::client(any).unwrap();
            let connecting = endpoint.connect_with(config, address, host).unwrap();
            (endpoint, timeout(poll::patience(), connecting).await)
        });
        let connection = connecting.expect("the handshake ends")?;
        Ok(Self {
            runtime,
            endpoint,
            connection,
            control: Mutex::new(None),
        })
    }

    /// The connection beneath.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Moves to another address of this host (RFC 9000 §9).
    #[track_caller]
    pub fn move_to(&self, address: IpAddr) {
        let _entered = self.runtime.enter();
        let socket = UdpSocket::bind((address, 0)).unwrap();
        self.endpoint.rebind(socket).unwrap();
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Answer {
        match self.try_ask(request) {
            Ok(answer) => answer,
            Err(Broken::Nothing) => panic!("no answer: {:?}", self.connection.close_reason()),
            Err(Broken::Truncated(part)) => panic!("{} bytes of an answer", part.len()),
        }
    }

    /// Sends a request and reads its answer, if there is one.
    pub fn try_ask(&self, request: &Request) -> Result<Answer, Broken> {
        let mut stream = self.begin(request);
        if !stream.tunnel {
            stream.finish();
        }
        stream.read_answer()
    }

    /// Sends a request and leaves its stream open.
    #[track_caller]
    pub fn begin(&self, request: &Request) -> Http3Stream<'_> {
        let (mut bytes, body) = request.http3();
        if !body.is_empty() {
            push_data_header(&mut bytes, body.len() as u64);
            bytes.extend_from_slice(body);
        }
        let mut stream = self.open();
        stream.to_head = request.is_head();
        stream.tunnel = request.is_handshake();
        stream.send_raw(&bytes);
        stream
    }

    /// Opens a request stream, without a word.
    #[track_caller]
    pub fn open(&self) -> Http3Stream<'_> {
        self.try_open().expect("the connection is open")
    }

    /// As [`Http3::open`]; none if the connection is over.
    pub fn try_open(&self) -> Option<Http3Stream<'_>> {
        let connection = self.connection.clone();
        let opened = self.wait("a stream may be opened", async move {
            connection.open_bi().await.ok()
        });
        let (send, receive) = opened?;
        Some(Http3Stream {
            client: self,
            send,
            receive,
            message: Message::new(Side::Client, SECTION),
            pending: Bytes::new(),
            to_head: false,
            tunnel: false,
        })
    }

    /// As [`Http3::begin`]; none if the connection is over.
    pub fn try_begin(&self, request: &Request) -> Option<Http3Stream<'_>> {
        let (bytes, _) = request.http3();
        let mut stream = self.try_open()?;
        stream.try_send_raw(&bytes).ok()?;
        Some(stream)
    }

    /// Sends the same on the control stream again and again, until the connection is over.
    pub fn flood_control(&self, frame: &[u8]) {
        let flood = frame.repeat(1000);
        let mut control = self.control.lock().unwrap();
        let stream = control.as_mut().expect("a control stream");
        self.runtime.block_on(async {
            let flooding = async { while stream.write_all(&flood).await.is_ok() {} };
            timeout(poll::patience(), flooding)
                .await
                .expect("the flood is ended");
        });
    }

    /// Opens a unidirectional stream that says this, and stays open.
    #[track_caller]
    pub fn say(&self, bytes: &[u8]) -> SendStream {
        let connection = self.connection.clone();
        let bytes = bytes.to_vec();
        self.wait("a unidirectional stream may be opened", async move {
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream
        })
    }

    /// Opens a unidirectional stream that says this and ends; false if the connection is over.
    pub fn try_say(&self, bytes: &[u8]) -> bool {
        let connection = self.connection.clone();
        let bytes = bytes.to_vec();
        let said = self.wait("a unidirectional stream may be opened", async move {
            let mut stream = connection.open_uni().await.ok()?;
            // The gateway may want nothing of it.
            let _stopped = stream.write_all(&bytes).await;
            let _stopped = stream.finish();
            Some(())
        });
        said.is_some()
    }

    /// Writes to a stream of this connection, if the gateway still takes it.
    pub fn write(&self, stream: &mut SendStream, bytes: &[u8]) -> Result<(), quinn::WriteError> {
        let write = stream.write_all(bytes);
        let written = self
            .runtime
            .block_on(async { timeout(poll::patience(), write).await });
        written.expect("the stream takes bytes, or is broken off")
    }

    /// Waits until the gateway closes the connection: with which code of HTTP/3.
    #[track_caller]
    pub fn closed(&self) -> u64 {
        let connection = self.connection.clone();
        let error = self.wait("the connection is closed", async move {
            connection.closed().await
        });
        match error {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            error => panic!("the connection ended otherwise: {error:?}"),
        }
    }

    /// Does something of quinn's, with a bound.
    #[track_caller]
    pub fn wait<T: Send + 'static>(
        &self,
        what: &str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let task = self.runtime.spawn(future);
        let ended = self
            .runtime
            .block_on(async { timeout(poll::patience(), task).await });
        match ended {
            Ok(ended) => ended.expect("no panic"),
            Err(_) => panic!("waited in vain: {what}"),
        }
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(0x100), b"");
        // What is to say is said after a turn of the driver.
        let closed = self.connection.clone();
        self.runtime.block_on(async move {
            closed.closed().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
    }
}

impl Http3Stream<'_> {
    /// Sends payload.
    #[track_caller]
    pub fn send_data(&mut self, data: &[u8]) -> &mut Self {
        let mut bytes = BytesMut::new();
        push_data_header(&mut bytes, data.len() as u64);
        bytes.extend_from_slice(data);
        self.send_raw(&bytes)
    }

    /// Sends any bytes.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.try_send_raw(bytes).expect("the stream takes bytes");
        self
    }

    /// Sends any bytes, if the gateway still takes them.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> Result<(), quinn::WriteError> {
        self.client.write(&mut self.send, bytes)
    }

    /// Begins a DATA frame of that length; what follows is its payload.
    #[track_caller]
    pub fn begin_data(&mut self, length: u64) -> &mut Self {
        let mut bytes = BytesMut::new();
        push_data_header(&mut bytes, length);
        self.send_raw(&bytes)
    }

    /// Sends trailers, by names and values, with literals alone (RFC 9204 §4.5.6).
    #[track_caller]
    pub fn send_trailers(&mut self, lines: &[(&str, &str)]) -> &mut Self {
        let mut section = vec![0, 0];
        for (name, value) in lines {
            // Short enough for one byte of length, or two for the name: 3 bits, then 7 more.
            let length = name.len();
            match length {
                0..7 => section.push(0x20 | length as u8),
                _ => section.extend([0x27, (length - 7) as u8]),
            }
            section.extend_from_slice(name.as_bytes());
            section.push(value.len() as u8);
            section.extend_from_slice(value.as_bytes());
        }
        assert!(section.len() < 64, "a length of one byte");
        self.send_raw(&[&[0x01, section.len() as u8], &section[..]].concat())
    }

    /// Ends the request.
    pub fn finish(&mut self) -> &mut Self {
        self.send.finish().expect("a stream that is open");
        self
    }

    /// Gives the request up.
    pub fn cancel(self) {
        self.cancel_with(0x10c);
    }

    /// As [`Http3Stream::cancel`], with another code than H3_REQUEST_CANCELLED.
    pub fn cancel_with(mut self, code: u32) {
        let code = VarInt::from_u32(code);
        self.send.reset(code).expect("a stream that is open");
        self.receive.stop(code).expect("a stream that is open");
    }

    /// Wants no answer.
    pub fn stop(&mut self) {
        let code = VarInt::from_u32(0x10c);
        self.receive.stop(code).expect("a stream that is open");
    }

    /// Waits until the gateway breaks the answer off: with which code.
    #[track_caller]
    pub fn reset(&mut self) -> u64 {
        loop {
            match self.read() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the answer ended"),
                Err(quinn::ReadError::Reset(code)) => return code.into_inner(),
                Err(error) => panic!("the answer ended otherwise: {error:?}"),
            }
        }
    }

    /// Whether the gateway turns the request away unread (H3_REQUEST_REJECTED), instead of answering.
    pub fn is_rejected(&mut self) -> bool {
        loop {
            match self.read() {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => {
                    let code = VarInt::from_u32(0x10b);
                    return error == quinn::ReadError::Reset(code);
                }
            }
        }
    }

    /// Reads an interim answer.
    #[track_caller]
    pub fn interim(&mut self) -> (u16, Vec<(String, String)>) {
        loop {
            match self.message.read(&mut self.pending).expect("good frames") {
                Event::Head(section) => {
                    self.message.expect_final_head();
                    return self.head(&section);
                }
                Event::NeedMore => match self.read() {
                    Ok(Some(bytes)) => self.pending = bytes,
                    other => panic!("no interim answer: {other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Fails the test unless nothing more comes, and the stream ends in order.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert!(self.pending.is_empty(), "{:?}", self.pending);
        match self.read() {
            Ok(None) => {}
            other => panic!("no end: {other:?}"),
        }
    }

    /// Reads the whole answer; of a WebSocket's only the head.
    pub fn read_answer(&mut self) -> Result<Answer, Broken> {
        let mut answer: Option<Answer> = None;
        let mut interim = Vec::new();
        loop {
            match self.message.read(&mut self.pending).expect("good frames") {
                Event::Head(section) => {
                    let (status, fields) = self.head(&section);
                    if status < 200 {
                        self.message.expect_final_head();
                        interim.push((status, fields));
                        continue;
                    }
                    let framing = framing(&fields, status, self.to_head);
                    answer = Some(Answer {
                        interim: std::mem::take(&mut interim),
                        status,
                        fields,
                        body: Vec::new(),
                        framing,
                    });
                    if self.tunnel && status == 200 {
                        self.message.tunnel();
                        return Ok(answer.unwrap());
                    }
                }
                Event::Data(data) => {
                    let answer = answer.as_mut().expect("a head before payload");
                    answer.body.extend_from_slice(&data);
                }
                Event::Trailers(_) => {}
                Event::TooLarge => panic!("an answer's head is too large"),
                Event::NeedMore => match self.read() {
                    Ok(Some(bytes)) => self.pending = bytes,
                    Ok(None) => {
                        self.message.end().expect("a whole message");
                        let answer = answer.expect("a head before the end");
                        if let Framing::Length(length) = answer.framing {
                            assert_eq!(answer.body.len() as u64, length, "{answer:?}");
                        }
                        return Ok(answer);
                    }
                    Err(_) => {
                        return Err(match answer {
                            None => Broken::Nothing,
                            Some(answer) => Broken::Truncated(answer.body),
                        });
                    }
                },
            }
        }
    }

    /// Reads the head of an answer whose body is to be read in pieces, by [`Http3Stream::piece`].
    #[track_caller]
    pub fn status(&mut self) -> u16 {
        loop {
            match self.message.read(&mut self.pending).expect("good frames") {
                Event::Head(section) => return self.head(&section).0,
                Event::NeedMore => match self.read() {
                    Ok(Some(bytes)) => self.pending = bytes,
                    other => panic!("no answer: {other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads some payload of an answer; none at its end.
    #[track_caller]
    pub fn piece(&mut self) -> Option<Bytes> {
        loop {
            match self.message.read(&mut self.pending).expect("good frames") {
                Event::Data(data) => return Some(data),
                Event::NeedMore => match self.read().expect("a whole answer") {
                    Some(bytes) => self.pending = bytes,
                    None => {
                        self.message.end().expect("a whole message");
                        return None;
                    }
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads payload of a tunnel until there is as much as this.
    #[track_caller]
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            match self.message.read(&mut self.pending).expect("good frames") {
                Event::Data(more) => data.extend_from_slice(&more),
                Event::NeedMore => match self.read() {
                    Ok(Some(bytes)) => self.pending = bytes,
                    other => panic!("{other:?} after {data:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        data
    }

    /// Reads what is there next; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Bytes>, quinn::ReadError> {
        let read = self.read_within(poll::patience());
        read.expect("something comes, or the stream ends")
    }

    /// As [`Http3Stream::read`], where nothing may come: none after that time.
    pub fn read_within(
        &mut self,
        limit: Duration,
    ) -> Option<Result<Option<Bytes>, quinn::ReadError>> {
        let read = self.receive.read_chunk(64 * 1024, true);
        let read = self
            .client
            .runtime
            .block_on(async { timeout(limit, read).await });
        Some(read.ok()?.map(|chunk| chunk.map(|chunk| chunk.bytes)))
    }

    fn head(&self, section: &[u8]) -> (u16, Vec<(String, String)>) {
        let mut arena = BytesMut::new();
        let head = parse_answer(section, SECTION as u64, &mut arena, Vec::new());
        let head = head.expect("a good head");
        let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
        let lines = head.fields().iter();
        let fields = lines.map(|line| (text(line.name), text(line.value)));
        (head.status(), fields.collect())
    }
}

fn framing(fields: &[(String, String)], status: u16, to_head: bool) -> Framing {
    if to_head || status < 200 || status == 204 || status == 304 {
        return Framing::None;
    }
    let length = fields.iter().find(|(name, _)| name == "content-length");
    match length {
        Some((_, length)) => Framing::Length(length.parse().unwrap()),
        None => Framing::UntilClose,
    }
}

/// The largest head that is read.
const SECTION: usize = 256 * 1024;
