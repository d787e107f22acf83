//! A slow network, which may also carry nothing for a while.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A network that carries so many bytes a second to the client.
pub(crate) struct Narrow {
    /// Where the client connects to.
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Whether all is lost, both ways.
    down: Arc<AtomicBool>,
}

impl Narrow {
    /// To a gateway, at so many bytes a second.
    pub(crate) fn to(address: SocketAddr, rate: u64) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(address).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let down = Arc::new(AtomicBool::new(false));
        let this = Self {
            address: near.local_addr().unwrap(),
            stop: stop.clone(),
            down: down.clone(),
        };
        let client = Arc::new(Mutex::new(None));
        for socket in [&near, &far] {
            socket
                .set_read_timeout(Some(Duration::from_millis(20)))
                .unwrap();
        }
        let (from, to, theirs, over, lost) = (
            near.try_clone().unwrap(),
            far.try_clone().unwrap(),
            client.clone(),
            stop.clone(),
            down.clone(),
        );
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !over.load(Ordering::SeqCst) {
                if let Ok((length, sender)) = from.recv_from(&mut buffer)
                    && !lost.load(Ordering::SeqCst)
                {
                    *theirs.lock().unwrap() = Some(sender);
                    let _ = to.send(&buffer[..length]);
                }
            }
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !stop.load(Ordering::SeqCst) {
                let Ok(length) = far.recv(&mut buffer) else {
                    continue;
                };
                if down.load(Ordering::SeqCst) {
                    continue;
                }
                std::thread::sleep(Duration::from_micros(length as u64 * 1_000_000 / rate));
                let to = *client.lock().unwrap();
                let _ = near.send_to(&buffer[..length], to.unwrap());
            }
        });
        this
    }

    /// Carries nothing from now on, or again all.
    pub(crate) fn carries(&self, all: bool) {
        self.down.store(!all, Ordering::SeqCst);
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
