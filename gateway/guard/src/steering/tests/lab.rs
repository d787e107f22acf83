//! A service without a process around it, processes of the gateway's that are sockets alone, and
//! datagrams to them.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use aya::Ebpf;
use gateway_ebpf::abi::Steered;
use gateway_ebpf::connection_id::{Home, Keys};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::control::{IdKeys, Join};
use crate::sandbox::is_root;
use crate::steering::Steering;
use crate::{has_object, programs};

/// A service without a process around it.
pub(super) struct Lab {
    ebpf: Ebpf,
    pub(super) steering: Steering,
    /// Of who joins.
    pub(super) keys: IdKeys,
}

/// A process of the gateway's: a socket for each worker.
pub(super) struct Process {
    pub(super) address: SocketAddr,
    /// By worker.
    pub(super) sockets: Vec<OwnedFd>,
}

impl Lab {
    /// None where it cannot be.
    pub(super) fn new() -> Option<Self> {
        if !is_root() || !has_object() {
            return None;
        }
        let mut ebpf = programs::read(None, true).unwrap();
        let steering = Steering::take(&mut ebpf).unwrap();
        let keys = IdKeys {
            conceal: CONCEAL,
            prove: PROVE,
        };
        Some(Self {
            ebpf,
            steering,
            keys,
        })
    }

    pub(super) fn process(&mut self, address: &str, workers: u16) -> Process {
        self.process_at(address.parse().unwrap(), workers)
    }

    pub(super) fn process_at(&mut self, mut address: SocketAddr, workers: u16) -> Process {
        let sockets = (0..workers).map(|_| {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(family, SocketType::DGRAM, flags, None).unwrap();
            set_socket_reuseport(&socket, true).unwrap();
            bind(&socket, &address).unwrap();
            let bound = rustix::net::getsockname(&socket).unwrap();
            address = SocketAddr::try_from(bound).unwrap();
            socket
        });
        let sockets = sockets.collect();
        Process { address, sockets }
    }

    pub(super) fn join(&mut self, process: &Process, generation: u16) -> Result<u16, String> {
        let workers = process.sockets.len() as u16;
        self.ask(process, generation, false, 1, workers)
    }

    pub(super) fn join_fixed(&mut self, process: &Process, generation: u16) -> Result<u16, String> {
        let workers = process.sockets.len() as u16;
        self.ask(process, generation, true, 1, workers)
    }

    pub(super) fn ask(
        &mut self,
        process: &Process,
        generation: u16,
        fixed: bool,
        addresses: u16,
        workers: u16,
    ) -> Result<u16, String> {
        let join = Join {
            generation,
            fixed,
            keys: self.keys,
            addresses,
            workers,
        };
        let program = programs::load_steering(&mut self.ebpf).unwrap();
        let joined = self.steering.join(program, &join, &process.sockets);
        joined.map_err(|error| error.to_string())
    }

    pub(super) fn count(&self, what: Steered) -> u64 {
        let counts = self.steering.counts().unwrap();
        let found = counts.into_iter().find(|(steered, _)| *steered == what);
        found.unwrap().1
    }

    /// The generations of which sockets are open.
    pub(super) fn numbers(&self) -> Vec<u16> {
        let listed = self.steering.list().unwrap();
        let numbers = listed.iter().flat_map(|group| &group.generations);
        numbers.map(|(generation, _)| generation.number).collect()
    }

    pub(super) fn runs(&self) -> (u64, u64) {
        let program = programs::steering(&self.ebpf).unwrap();
        let text = crate::link::fdinfo(program.as_fd()).unwrap();
        let number = |key| crate::link::field(&text, key).unwrap();
        (number("run_cnt"), number("run_time_ns"))
    }
}

impl Process {
    /// Sends 200 packets for all of its workers, each from a new address, half of them with long
    /// headers. How many reached the worker that they name, and how many reached this process.
    pub(super) fn rightly(&self, generation: u16) -> (usize, usize) {
        let (mut right, mut all) = (0, 0);
        let workers = self.sockets.len();
        for number in 0..200 {
            let worker = number % workers;
            let id = id(generation, worker as u16);
            if number % 3 == 0 {
                self.send(&long(&id));
            } else {
                self.send(&short(id));
            }
            if let Some((reached, _)) = self.receive() {
                all += 1;
                right += usize::from(reached == worker);
            }
        }
        (right, all)
    }

    /// How many of 100 packets for somebody else's worker come here.
    pub(super) fn takes(&self, generation: u16, worker: u16) -> usize {
        let arrives = |_: &usize| {
            self.send(&short(id(generation, worker)));
            self.receive().is_some()
        };
        (0..100).filter(arrives).count()
    }

    /// How many of 100 clients' first packets come here.
    pub(super) fn strangers(&self) -> usize {
        let arrives = |number: &u64| {
            self.send(&long(&number.to_le_bytes()));
            self.receive().is_some()
        };
        (0..100).filter(arrives).count()
    }

    fn send(&self, packet: &[u8]) {
        let any = if self.address.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let sender = UdpSocket::bind(any).unwrap();
        let mut to = self.address;
        if to.ip().is_unspecified() {
            to.set_ip(sender.local_addr().unwrap().ip());
        }
        assert_eq!(sender.send_to(packet, to).unwrap(), packet.len());
    }

    /// What comes to one of its workers. Over lo it is nearly always there when sending returns.
    pub(super) fn receive(&self) -> Option<(usize, Vec<u8>)> {
        let patience = Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        let ready = |socket| PollFd::from_borrowed_fd(socket, PollFlags::IN);
        let sockets = self.sockets.iter().map(AsFd::as_fd);
        let mut sockets: Vec<_> = sockets.map(ready).collect();
        poll(&mut sockets, Some(&patience)).unwrap();
        let is_ready = |socket: &PollFd<'_>| socket.revents().contains(PollFlags::IN);
        let worker = sockets.iter().position(is_ready)?;
        let mut packet = [0; 256];
        let flags = RecvFlags::DONTWAIT;
        let (length, _) = recv(&self.sockets[worker], &mut packet, flags).unwrap();
        Some((worker, packet[..length].to_vec()))
    }
}

pub(super) fn keys() -> Keys {
    Keys::new(CONCEAL, PROVE)
}

/// An ID that nobody had before.
pub(super) fn id(generation: u16, worker: u16) -> [u8; 16] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let nonce = COUNT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    keys().seal(Home { generation, worker }, nonce.to_le_bytes())
}

pub(super) fn short(id: [u8; 16]) -> [u8; 40] {
    let mut packet = [0x55; 40];
    packet[1..17].copy_from_slice(&id);
    packet
}

pub(super) fn long(id: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, id.len() as u8];
    packet.extend(id);
    packet.resize(60, 0);
    packet
}

const CONCEAL: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
const PROVE: [u64; 2] = [0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918];
