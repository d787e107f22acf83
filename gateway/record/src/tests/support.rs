//! Peers in memory.

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::{Buf, BytesMut};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider};
use rustls::crypto::tls13::{OkmBlock, expand};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ProducesTickets, ServerConnectionData};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, KeyLog, RootCertStore, ServerConfig,
    ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::{Handshake, HandshakeError, Key, KeySchedule, Opened, Received, Session, Step};

/// Every cipher that TLS 1.3 has here.
pub(super) const SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// A session after its handshake with a stock client.
pub(super) struct Pair {
    pub(super) session: Session<KernelConnection<ServerConnectionData>>,
    pub(super) client: ClientConnection,
    pub(super) received: BytesMut,
}

impl Pair {
    pub(super) fn new(suite: SupportedCipherSuite) -> Self {
        Self::with(&client_config(&[suite], &[&TLS13]))
    }

    /// A whole handshake.
    pub(super) fn with(config: &Arc<ClientConfig>) -> Self {
        Self::after(client(config), &server_config(), usize::MAX)
    }

    /// A whole handshake that arrives in pieces of a size. What the client had written comes with
    /// its last message.
    pub(super) fn after(
        mut client: ClientConnection,
        server: &Arc<ServerConfig>,
        piece: usize,
    ) -> Self {
        let mut handshake = Handshake::new(Arc::clone(server)).unwrap();
        let mut received = BytesMut::new();
        let mut done = false;
        while !done {
            let sent = sent_by(&mut client);
            assert!(!sent.is_empty(), "the handshake stands still");
            for piece in sent.chunks(piece) {
                received.extend_from_slice(piece);
                if done {
                    continue;
                }
                let mut out = Vec::new();
                done = handshake.advance(&mut received, &mut out) == Ok(Step::Done);
                told(&mut client, &out).unwrap();
            }
        }
        Self {
            session: handshake.finish().unwrap(),
            client,
            received,
        }
    }

    /// What the session makes of all that has been received: payload, and whether it ended.
    pub(super) fn open_all(&mut self) -> Result<(Vec<u8>, bool), crate::Fault> {
        open_all(&mut self.session, &mut self.received)
    }

    /// What the client reads once it gets `records`.
    pub(super) fn told(&mut self, records: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        told(&mut self.client, records)
    }

    /// Seals `payload` with room for so many records at once.
    pub(super) fn sealed(&mut self, mut payload: impl Buf, records: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while payload.has_remaining() {
            let mut out = vec![0; crate::room_for(records)];
            let used = self.session.seal(&mut payload, &mut out).unwrap();
            assert!(used > 0);
            all.extend_from_slice(&out[..used]);
        }
        all
    }

    /// The session's end, as it is sent.
    pub(super) fn ended(&mut self) -> Vec<u8> {
        let mut out = [0; 32];
        let used = self.session.end(&mut out).unwrap();
        out[..used].to_vec()
    }
}

pub(super) fn open_all<S: KeySchedule>(
    session: &mut Session<S>,
    received: &mut BytesMut,
) -> Result<(Vec<u8>, bool), crate::Fault> {
    let mut payload = Vec::new();
    loop {
        match session.open(received)? {
            Received::Closed => return Ok((payload, true)),
            Received::Data(data) => {
                assert!(!data.is_empty());
                payload.extend_from_slice(&data);
            }
            Received::NeedMore(missing) => {
                assert!(missing > 0);
                return Ok((payload, false));
            }
        }
    }
}

/// A client whose keys are known: it can send what no honest one does.
pub(super) struct Forger {
    pub(super) sending: Key,
    pub(super) receiving: Key,
    schedule: KernelConnection<ClientConnectionData>,
}

impl Forger {
    /// One in front of a stock server.
    pub(super) fn of_stock(suite: SupportedCipherSuite) -> (Self, ServerConnection) {
        let mut server = ServerConnection::new(server_config()).unwrap();
        let forger = Self::shaken(suite, |sent| {
            told_server(&mut server, sent).unwrap();
            let mut out = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut out).unwrap();
            }
            out
        });
        (forger, server)
    }

    /// One in front of a session.
    pub(super) fn of_session(
        suite: SupportedCipherSuite,
    ) -> (Self, Session<KernelConnection<ServerConnectionData>>) {
        let mut handshake = Handshake::new(server_config()).unwrap();
        let mut received = BytesMut::new();
        let forger = Self::shaken(suite, |sent| {
            received.extend_from_slice(sent);
            let mut out = Vec::new();
            handshake.advance(&mut received, &mut out).unwrap();
            out
        });
        (forger, handshake.finish().unwrap())
    }

    /// A record of any content type around any content.
    pub(super) fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0; content.len() + crate::OVERHEAD];
        let length = content.len();
        self.sending
            .seal(kind, &mut &content[..], length, &mut out)
            .unwrap();
        out
    }

    /// Takes the next sending key into use.
    pub(super) fn update(&mut self) {
        self.sending = self.schedule.next_sending().unwrap();
    }

    /// The description of the alert that `answer` ends with, if any.
    pub(super) fn alert_in(&mut self, answer: &[u8]) -> Option<u8> {
        let mut received = BytesMut::from(answer);
        let mut alert = None;
        while let Opened::Record(kind, content) = self.receiving.open(&mut received).unwrap() {
            match (kind, &content[..]) {
                (21, [_, description]) => alert = Some(*description),
                // Our answer to a key update.
                (22, [24, ..]) => self.receiving = self.schedule.next_receiving().unwrap(),
                _ => {}
            }
        }
        alert
    }

    fn shaken(suite: SupportedCipherSuite, mut server: impl FnMut(&[u8]) -> Vec<u8>) -> Self {
        let config = client_config(&[suite], &[&TLS13]);
        let mut client = UnbufferedClientConnection::new(config, name()).unwrap();
        let (mut received, mut out, mut done) = (BytesMut::new(), Vec::new(), false);
        while !done {
            let UnbufferedStatus { discard, state, .. } =
                client.process_tls_records(&mut received[..]);
            match state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else {
                        panic!("it must need room");
                    };
                    let start = out.len();
                    out.resize(start + needed.required_size, 0);
                    data.encode(&mut out[start..]).unwrap();
                }
                ConnectionState::TransmitTlsData(sent) => {
                    sent.done();
                    let answer = server(&std::mem::take(&mut out));
                    received.advance(discard);
                    received.extend_from_slice(&answer);
                    continue;
                }
                // The server's tickets have been taken as well.
                ConnectionState::WriteTraffic(_) => done = true,
                state => panic!("{state:?}"),
            }
            received.advance(discard);
        }
        let (secrets, schedule) = client.dangerous_into_kernel_connection().unwrap();
        Self {
            sending: Key::new(secrets.tx.0, &secrets.tx.1).unwrap(),
            receiving: Key::new(secrets.rx.0, &secrets.rx.1).unwrap(),
            schedule,
        }
    }
}

/// A handshake whose first half is over, and a client that can seal anything as its second.
pub(super) struct Shaking {
    pub(super) received: BytesMut,
    handshake: Handshake,
    out: Vec<u8>,
    client: ClientConnection,
    sending: Key,
}

impl Shaking {
    pub(super) fn new() -> Self {
        // Its key has the one length that rustls lets others make.
        let [.., suite] = SUITES;
        let secret = Arc::new(Secret::default());
        let mut config = ClientConfig::clone(&client_config(&[suite], &[&TLS13]));
        config.key_log = Arc::clone(&secret) as Arc<dyn KeyLog>;
        let mut client = client(&Arc::new(config));
        let mut handshake = Handshake::new(server_config()).unwrap();
        let mut received = BytesMut::from(&sent_by(&mut client)[..]);
        let mut out = Vec::new();
        let step = handshake.advance(&mut received, &mut out);
        assert_eq!(step, Ok(Step::NeedMore));
        told(&mut client, &std::mem::take(&mut out)).unwrap();
        Self {
            received,
            handshake,
            out,
            client,
            sending: Key::new(0, &secrets(secret.0.get().unwrap())).unwrap(),
        }
    }

    /// The client's next record, of any content type around any content.
    pub(super) fn sealed(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0; content.len() + crate::OVERHEAD];
        let length = content.len();
        self.sending
            .seal(kind, &mut &content[..], length, &mut out)
            .unwrap();
        out
    }

    /// What the handshake makes of more bytes.
    pub(super) fn shown(&mut self, bytes: &[u8]) -> Result<Step, HandshakeError> {
        self.received.extend_from_slice(bytes);
        self.handshake.advance(&mut self.received, &mut self.out)
    }

    /// What the client makes of the answer.
    pub(super) fn heard(&mut self) -> Result<Vec<u8>, rustls::Error> {
        told(&mut self.client, &std::mem::take(&mut self.out))
    }
}

/// What a client's handshake is sealed with, of a suite with SHA-256.
#[derive(Debug, Default)]
struct Secret(OnceLock<Vec<u8>>);

impl KeyLog for Secret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "CLIENT_HANDSHAKE_TRAFFIC_SECRET" {
            self.0.set(secret.to_vec()).unwrap();
        }
    }
}

/// RFC 8446 §7.3: key and nonce of a traffic secret.
fn secrets(secret: &[u8]) -> ConnectionTrafficSecrets {
    let [.., suite] = SUITES;
    let hkdf = suite.tls13().unwrap().hkdf_provider;
    let expander = hkdf.expander_for_okm(&OkmBlock::new(secret));
    ConnectionTrafficSecrets::Chacha20Poly1305 {
        key: expand(expander.as_ref(), &[&[0, 32, 9], b"tls13 key", &[0]]),
        iv: expand(expander.as_ref(), &[&[0, 12, 8], b"tls13 iv", &[0]]),
    }
}

/// What a failing handshake says, what it sends, and what is left, once it gets `first` in pieces
/// of a size. It fails with the last.
pub(super) fn failed(first: &[u8], piece: usize) -> (HandshakeError, Vec<u8>, BytesMut) {
    let mut handshake = Handshake::new(server_config()).unwrap();
    let (mut received, mut out) = (BytesMut::new(), Vec::new());
    let mut failures = first.chunks(piece).filter_map(|piece| {
        received.extend_from_slice(piece);
        handshake.advance(&mut received, &mut out).err()
    });
    let error = failures.next().unwrap();
    assert_eq!(failures.next(), None);
    (error, out, received)
}

pub(super) fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), name()).unwrap()
}

/// All that a stock client has to send now.
pub(super) fn sent_by(client: &mut ClientConnection) -> Vec<u8> {
    let mut sent = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut sent).unwrap();
    }
    sent
}

/// What a stock client reads once it gets `records`.
pub(super) fn told(
    client: &mut ClientConnection,
    mut records: &[u8],
) -> Result<Vec<u8>, rustls::Error> {
    let mut payload = Vec::new();
    while !records.is_empty() {
        client.read_tls(&mut records).unwrap();
        let state = client.process_new_packets()?;
        let start = payload.len();
        payload.resize(start + state.plaintext_bytes_to_read(), 0);
        client.reader().read_exact(&mut payload[start..]).unwrap();
    }
    Ok(payload)
}

/// What a stock server reads once it gets `records`, and whether the client ended.
pub(super) fn told_server(
    server: &mut ServerConnection,
    mut records: &[u8],
) -> Result<(Vec<u8>, bool), rustls::Error> {
    let mut payload = Vec::new();
    let mut closed = false;
    while !records.is_empty() && !closed {
        server.read_tls(&mut records).unwrap();
        let state = server.process_new_packets()?;
        let start = payload.len();
        payload.resize(start + state.plaintext_bytes_to_read(), 0);
        server.reader().read_exact(&mut payload[start..]).unwrap();
        closed = state.peer_has_closed();
    }
    Ok((payload, closed))
}

pub(super) fn write(client: &mut ClientConnection, payload: &[u8]) {
    client.set_buffer_limit(None);
    client.writer().write_all(payload).unwrap();
}

pub(super) fn client_config(
    suites: &[SupportedCipherSuite],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    if !suites.is_empty() {
        provider.cipher_suites = suites.to_vec();
    }
    client_config_of(provider, versions)
}

pub(super) fn client_config_of(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(IDENTITY.0.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// A client's configuration with records of at most `size` bytes.
pub(super) fn small_records(suite: SupportedCipherSuite, size: usize) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&client_config(&[suite], &[&TLS13]));
    config.max_fragment_size = Some(size);
    Arc::new(config)
}

pub(super) fn server_config() -> Arc<ServerConfig> {
    server_config_of(default_provider())
}

pub(super) fn server_config_of(provider: CryptoProvider) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![IDENTITY.0.clone()], IDENTITY.1.clone_key())
        .unwrap();
    config.enable_secret_extraction = true;
    config.ticketer = Arc::clone(&TICKETER);
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

static IDENTITY: LazyLock<(CertificateDer<'static>, PrivateKeyDer<'static>)> =
    LazyLock::new(|| {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        (cert.der().clone(), key)
    });

static TICKETER: LazyLock<Arc<dyn ProducesTickets>> = LazyLock::new(|| Ticketer::new().unwrap());
