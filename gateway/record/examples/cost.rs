//! What a record costs to open and to seal, by us and by stock rustls, in ns: medians of rounds
//! that alternate. `cargo run --release --package=gateway-record --example=cost`, on a machine that
//! does nothing else.
//!
//! Opening begins with a copy into the receive buffer, which stands for the kernel's. Sealing ends
//! with the record whole in memory.

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write, sink};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use gateway_record::{Handshake, MAX_PAYLOAD, Received, Session, Step, room_for};
use rustls::crypto::aws_lc_rs::{cipher_suite::TLS13_AES_256_GCM_SHA384, default_provider};
use rustls::kernel::KernelConnection;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConnectionData;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

fn main() -> Result<(), Box<dyn Error>> {
    let site = Site::new()?;
    let (mut own, mut stock) = (Own::new(&site)?, Stock::new(&site)?);
    println!("   bytes   open: own  stock   seal: own  stock   ns per record");
    for size in SIZES {
        let payload = vec![7; size];
        let mut rounds = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            let for_own = sealed_by(&mut own.client, &payload)?;
            let for_stock = sealed_by(&mut stock.client, &payload)?;
            let times = [
                own.open(&for_own)?,
                stock.open(&for_stock)?,
                own.seal(&payload)?,
                stock.seal(&payload)?,
            ];
            for (round, time) in rounds.iter_mut().zip(times) {
                round.push(time);
            }
        }
        let [open, open_stock, seal, seal_stock] = rounds.map(median);
        println!("{size:8} {open:11} {open_stock:6} {seal:11} {seal_stock:6}");
    }
    Ok(())
}

/// Our records.
struct Own {
    client: ClientConnection,
    session: Session<KernelConnection<ServerConnectionData>>,
    received: BytesMut,
    out: Vec<u8>,
}

impl Own {
    fn new(site: &Site) -> Result<Self, Box<dyn Error>> {
        let mut client = site.client()?;
        let mut handshake = Handshake::new(Arc::clone(&site.server))?;
        let mut received = BytesMut::new();
        let mut step = Step::NeedMore;
        while step == Step::NeedMore {
            received.extend_from_slice(&outgoing(&mut client)?);
            let mut out = Vec::new();
            step = handshake.advance(&mut received, &mut out)?;
            tell(&mut client, &out)?;
        }
        Ok(Self {
            client,
            session: handshake.finish()?,
            received: BytesMut::with_capacity(RECORDS * (MAX_PAYLOAD + 256)),
            out: vec![0; room_for(1)],
        })
    }

    fn open(&mut self, wire: &[u8]) -> Result<Duration, Box<dyn Error>> {
        let mut opened = 0;
        let start = Instant::now();
        self.received.reserve(wire.len());
        self.received.extend_from_slice(wire);
        while let Received::Data(data) = self.session.open(&mut self.received)? {
            black_box(&data);
            opened += 1;
        }
        let time = start.elapsed();
        same(opened, RECORDS)?;
        Ok(time)
    }

    fn seal(&mut self, payload: &[u8]) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        for _ in 0..RECORDS {
            let mut payload = payload;
            black_box(self.session.seal(&mut payload, &mut self.out)?);
        }
        Ok(start.elapsed())
    }
}

/// rustls's.
struct Stock {
    client: ClientConnection,
    server: ServerConnection,
    plain: Vec<u8>,
}

impl Stock {
    fn new(site: &Site) -> Result<Self, Box<dyn Error>> {
        let mut client = site.client()?;
        let mut server = ServerConnection::new(Arc::clone(&site.server))?;
        server.set_buffer_limit(None);
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = &outgoing(&mut client)?[..];
            while !sent.is_empty() {
                server.read_tls(&mut sent)?;
                server.process_new_packets()?;
            }
            let mut out = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut out)?;
            }
            tell(&mut client, &out)?;
        }
        Ok(Self {
            client,
            server,
            plain: vec![0; MAX_PAYLOAD],
        })
    }

    fn open(&mut self, mut wire: &[u8]) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        while !wire.is_empty() {
            self.server.read_tls(&mut wire)?;
            let state = self.server.process_new_packets()?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                left -= self.server.reader().read(&mut self.plain)?;
                black_box(&self.plain);
            }
        }
        Ok(start.elapsed())
    }

    fn seal(&mut self, payload: &[u8]) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        for _ in 0..RECORDS {
            self.server.writer().write_all(payload)?;
            while self.server.wants_write() {
                self.server.write_tls(&mut sink())?;
            }
        }
        Ok(start.elapsed())
    }
}

/// Both sides' configurations.
struct Site {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Site {
    fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let mut provider = default_provider();
        provider.cipher_suites = vec![TLS13_AES_256_GCM_SHA384];
        let provider = Arc::new(provider);
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        server.enable_secret_extraction = true;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    fn client(&self) -> Result<ClientConnection, Box<dyn Error>> {
        let mut client = ClientConnection::new(Arc::clone(&self.client), "localhost".try_into()?)?;
        client.set_buffer_limit(None);
        Ok(client)
    }
}

/// So many records with the same payload.
fn sealed_by(client: &mut ClientConnection, payload: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut wire = Vec::new();
    for _ in 0..RECORDS {
        client.writer().write_all(payload)?;
        wire.extend(outgoing(client)?);
    }
    Ok(wire)
}

fn outgoing(client: &mut ClientConnection) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut sent = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut sent)?;
    }
    Ok(sent)
}

fn tell(client: &mut ClientConnection, mut records: &[u8]) -> Result<(), Box<dyn Error>> {
    while !records.is_empty() {
        client.read_tls(&mut records)?;
        client.process_new_packets()?;
    }
    Ok(())
}

fn same(found: usize, expected: usize) -> Result<(), Box<dyn Error>> {
    if found != expected {
        return Err(format!("{found} records instead of {expected}").into());
    }
    Ok(())
}

fn median(mut rounds: Vec<Duration>) -> usize {
    rounds.sort_unstable();
    let middle = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    usize::try_from(middle.as_nanos()).unwrap_or(usize::MAX) / RECORDS
}

/// Payload of a record, in bytes.
const SIZES: [usize; 3] = [64, 1024, MAX_PAYLOAD];

/// In each round.
const RECORDS: usize = 4;

const ROUNDS: usize = 20_001;
