//! The network between one client and the gateway, in which others can speak in the client's name.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::udp::{Transmit, UdpSocketState};

/// See the module. It ends when dropped.
pub(super) struct Tap {
    near: SocketAddr,
    gateway: SocketAddr,
    far: UdpSocket,
    sender: UdpSocketState,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    ways: Vec<JoinHandle<()>>,
}

/// What was seen of the client.
#[derive(Default)]
struct Seen {
    address: Option<SocketAddr>,
    /// The ID in its last packet with a short header.
    id: Option<[u8; 16]>,
}

impl Tap {
    /// A network that leads to the gateway.
    pub(super) fn to(gateway: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind((gateway.ip(), 0)).unwrap();
        far.connect(gateway).unwrap();
        for socket in [&near, &far] {
            socket.set_read_timeout(Some(LOOK)).unwrap();
        }
        let address = near.local_addr().unwrap();
        // Of another socket: this one's would have it receive several datagrams at once.
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocketState::new((&other).into()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let up = {
            let (near, far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (stop, seen) = (stop.clone(), seen.clone());
            std::thread::spawn(move || {
                relay(&near, &stop, |datagram, from| {
                    seen.lock().unwrap().note(datagram, from);
                    far.send(datagram).is_ok()
                });
            })
        };
        let down = {
            let (far, stop, seen) = (far.try_clone().unwrap(), stop.clone(), seen.clone());
            std::thread::spawn(move || {
                relay(&far, &stop, |datagram, _| {
                    let client = seen.lock().unwrap().address;
                    client.is_some_and(|client| near.send_to(datagram, client).is_ok())
                });
            })
        };
        Self {
            near: address,
            gateway,
            far,
            sender,
            seen,
            stop,
            ways: vec![up, down],
        }
    }

    /// Where the client finds it.
    pub(super) fn address(&self) -> SocketAddr {
        self.near
    }

    /// The ID that the client sends to.
    #[track_caller]
    pub(super) fn id(&self) -> [u8; 16] {
        let id = self.seen.lock().unwrap().id;
        id.expect("the client has sent something")
    }

    /// Sends datagrams of one length in the client's name, so that they come together (GSO).
    #[track_caller]
    pub(super) fn send(&self, datagrams: &[&[u8]]) {
        let together = Transmit {
            destination: self.gateway,
            ecn: None,
            contents: &datagrams.concat(),
            segment_size: Some(datagrams[0].len()),
            src_ip: None,
        };
        self.sender.try_send((&self.far).into(), &together).unwrap();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for way in self.ways.drain(..) {
            assert!(way.join().is_ok() || std::thread::panicking());
        }
    }
}

impl Seen {
    fn note(&mut self, datagram: &[u8], from: SocketAddr) {
        self.address = Some(from);
        if let [first, rest @ ..] = datagram
            && first & 0x80 == 0
        {
            self.id = rest.first_chunk().copied();
        }
    }
}

/// Passes datagrams on until it is stopped. One that cannot be is lost, as in any network.
fn relay(from: &UdpSocket, stop: &AtomicBool, pass: impl Fn(&[u8], SocketAddr) -> bool) {
    let mut buffer = [0; 65536];
    while !stop.load(Ordering::SeqCst) {
        if let Ok((length, sender)) = from.recv_from(&mut buffer) {
            let _is_passed = pass(&buffer[..length], sender);
        }
    }
}

/// How often it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);
