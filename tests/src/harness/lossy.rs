//! A network between a client and the gateway that loses, repeats and delays datagrams, and takes none
//! that is large.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Random, seed};

/// The network; for one client.
pub struct Lossy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Whether all that the client sends is lost.
    mute: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    ways: Vec<JoinHandle<()>>,
}

impl Lossy {
    /// A network whose other end is that address, and that carries datagrams of at most `mtu` bytes.
    pub fn to(address: SocketAddr, mtu: usize) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(address).unwrap();
        let network = near.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mute = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicU64::new(0));
        let client = Arc::new(Mutex::new(None));
        let up = Way {
            random: Random::new(seed(), 0),
            mtu,
            mute: mute.clone(),
            held: VecDeque::new(),
            lost: lost.clone(),
        };
        let down = Way {
            random: Random::new(seed(), 1),
            mtu,
            mute: Arc::default(),
            held: VecDeque::new(),
            lost: lost.clone(),
        };
        let ends = [
            (near.try_clone().unwrap(), far.try_clone().unwrap(), up),
            (far, near, down),
        ];
        let ways = ends
            .into_iter()
            .enumerate()
            .map(|(index, (from, to, way))| {
                let (stop, client) = (stop.clone(), client.clone());
                std::thread::spawn(move || way.run(&from, &to, index == 0, &client, &stop))
            });
        let ways = ways.collect();
        Self {
            address: network,
            stop,
            mute,
            lost,
            ways,
        }
    }

    /// Where the client finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on all is lost that the client sends, its acknowledgements among it.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }

    /// How many datagrams were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for way in self.ways.drain(..) {
            assert!(way.join().is_ok() || std::thread::panicking());
        }
    }
}

/// One direction.
struct Way {
    random: Random,
    mtu: usize,
    mute: Arc<AtomicBool>,
    /// What others overtake.
    held: VecDeque<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl Way {
    fn run(
        mut self,
        from: &UdpSocket,
        to: &UdpSocket,
        up: bool,
        client: &Mutex<Option<SocketAddr>>,
        stop: &AtomicBool,
    ) {
        let send = |datagram: &[u8]| {
            // It may be gone, which is one more loss.
            let _sent = match (up, *client.lock().unwrap()) {
                (true, _) => to.send(datagram),
                (false, Some(client)) => to.send_to(datagram, client),
                (false, None) => Ok(0),
            };
        };
        from.set_read_timeout(Some(Duration::from_millis(2)))
            .unwrap();
        let mut buffer = [0; 65536];
        while !stop.load(Ordering::SeqCst) {
            let datagram = match from.recv_from(&mut buffer) {
                Ok((length, sender)) => {
                    if up {
                        *client.lock().unwrap() = Some(sender);
                    }
                    &buffer[..length]
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    // Nothing overtakes what is held: it goes on.
                    self.held.drain(..).for_each(|held| send(&held));
                    continue;
                }
                Err(_) => continue,
            };
            if self.mute.load(Ordering::SeqCst) {
                self.lost.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            match self.random.below(100) {
                chance if chance < 5 || datagram.len() > self.mtu => {
                    self.lost.fetch_add(1, Ordering::SeqCst);
                }
                5..10 => [datagram, datagram].into_iter().for_each(&send),
                10..20 => self.held.push_back(datagram.to_vec()),
                _ => send(datagram),
            }
            if self.held.len() > 3 {
                self.held
                    .pop_front()
                    .into_iter()
                    .for_each(|held| send(&held));
            }
        }
    }
}
