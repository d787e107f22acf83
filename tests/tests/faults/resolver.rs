//! A resolver that does not answer: the gateway gives up in time, only what needs the name fails,
//! and nothing piles up. (A name that does not exist is in `backends`.)

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gateway_tests::harness::{App, Backend, DEPLOYR, Gateway, Pool, Request, Setup, poll, tool};
use rustix::process::geteuid;

use super::site::{get, impatient, serve};

#[test]
fn a_resolver_that_hangs() {
    let Some(site) = Site::start() else { return };
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", site.gateway.pid()))
            .unwrap()
            .count()
    };
    let before = threads();
    for round in 0..3 {
        let mut clients: Vec<_> = (0..20).map(|_| site.gateway.client()).collect();
        for client in &mut clients {
            client.send(&get("/once").bytes());
        }
        // Meanwhile all else is served.
        site.gateway
            .ask_on(
                DEPLOYR,
                Request::get("/once").by(&gateway_tests::harness::ALICE),
            )
            .expect(200);
        for client in &mut clients {
            client.answer().expect_json(504);
        }
        assert!(
            threads() - before <= 8,
            "{} threads after round {round}",
            threads()
        );
    }
    let line = site
        .gateway
        .logged("one", |line| line["reason"] == "upstream_connect_timeout");
    assert!(line["error"].as_str().unwrap().contains(NAME), "{line}");
    let labels = [("cause", "upstream_connect_timeout")];
    site.gateway
        .counted("connect_gateway_upstream_errors_total", &labels, 60.0);
    assert!(
        site.resolver.asked() > 0,
        "the gateway has another resolver"
    );
    // It recovers by itself.
    site.resolver.answer();
    poll::until("the name resolves again", || {
        (site.gateway.ask(&get("/once")).status == 200).then_some(())
    });
}

#[test]
fn a_resolver_that_hangs_delays_no_end() {
    let Some(mut site) = Site::start() else {
        return;
    };
    site.gateway.ask(&get("/once")).expect_json(504);
    let begun = Instant::now();
    site.gateway.terminate();
    assert_eq!(site.gateway.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// An app whose back-end has a name, one whose back-end has an address, and a resolver that hangs.
struct Site {
    gateway: Gateway,
    resolver: Resolver,
    _backend: Backend,
}

impl Site {
    /// None, with a word why, if the test is not run by root.
    fn start() -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give a process a resolver of its own");
            return None;
        }
        let resolver = Resolver::start();
        let backend = Backend::scripted(serve);
        let port = backend.address().port();
        let setup = Setup::new();
        let file = setup.write("resolv.conf", &format!("nameserver {}\n", resolver.address));
        let prepared = impatient(setup)
            .pool(Pool::plain("connect", backend.address()).at(&format!("http://{NAME}:{port}")))
            .pool(Pool::plain("other", backend.address()))
            .app(App::connect())
            .app(App::deployr("other"))
            .prepare();
        let unshare = tool("unshare");
        let launcher = [
            unshare.to_str().unwrap(),
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"",
            file.to_str().unwrap(),
        ];
        Some(Self {
            gateway: prepared.start_by(&launcher),
            resolver,
            _backend: backend,
        })
    }
}

/// A name server that keeps silent, until it is told to answer every question with 127.0.0.1.
struct Resolver {
    address: Ipv4Addr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answering: AtomicBool,
    asked: AtomicUsize,
    stop: AtomicBool,
}

impl Resolver {
    /// On the port that a resolver must have, at a loopback address that nobody else uses.
    fn start() -> Self {
        let (socket, address) = (1..=254)
            .find_map(|last| {
                let address = Ipv4Addr::new(127, 83, 53, last);
                Some((UdpSocket::bind((address, 53)).ok()?, address))
            })
            .expect("root can bind port 53 of some loopback address");
        let shared = Arc::new(Shared::default());
        let serving = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.serve(&socket))
        };
        Self {
            address,
            shared,
            serving: Some(serving),
        }
    }

    fn answer(&self) {
        self.shared.answering.store(true, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(serving) = self.serving.take() {
            serving.join().expect("the name server does not panic");
        }
    }
}

impl Shared {
    fn serve(&self, socket: &UdpSocket) {
        let tick = Duration::from_millis(50);
        socket.set_read_timeout(Some(tick)).unwrap();
        let mut bytes = [0; 1500];
        while !self.stop.load(Ordering::SeqCst) {
            let Ok((length, peer)) = socket.recv_from(&mut bytes) else {
                continue;
            };
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.answering.load(Ordering::SeqCst) {
                send(socket, &reply(&bytes[..length]), peer);
            }
        }
    }
}

fn send(socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) {
    socket.send_to(bytes, peer).expect("loopback takes it");
}

/// RFC 1035 §4: the question as it came, and for type A one answer; for all else none.
fn reply(query: &[u8]) -> Vec<u8> {
    // The name ends with an empty label; type and class follow.
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
    let is_a = query[end..end + 2] == [0, 1];
    let mut reply = query[..end + 4].to_vec();
    // A recursive answer without an error; one question, and the answer.
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        // The name is the question's; type A, class IN, a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    reply
}

/// The back-end's.
const NAME: &str = "back-end.test";
