//! A gateway with HTTP/3 on a host of the guard's, and what it serves.

use std::fs::{Permissions, set_permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, Client, Conn, Http3, Http3Stream, Metrics, OK, Pool, Prepared,
    Request, Setup, gateway_binary, poll, trust_http3,
};
use gateway_tests::host::{Host, Process};
use serde_json::Value;

use crate::life::Life;

/// See the module.
pub(super) struct Site<'a> {
    life: &'a Life,
    prepared: Prepared,
    /// In the host's network, in which it must end, too.
    backend: Option<Backend>,
    /// How much of the last upload the back-end has.
    uploaded: Arc<AtomicU64>,
}

impl<'a> Site<'a> {
    /// Its parts; nothing of it runs but the back-end.
    pub(super) fn new(life: &'a Life, workers: usize) -> Self {
        let uploaded = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&uploaded);
        let serve = move |conn: &mut Conn| serve(conn, &counted);
        let backend = life.host.namespace.run(|| Backend::scripted(serve));
        let listeners = "listeners = [\"public\", \"other\"]";
        let setup = Setup::new()
            .app(App::connect().line(listeners))
            .pool(Pool::plain("connect", backend.address()))
            .listen("[::]:8443".parse().unwrap())
            .listener_line("http3 = true")
            .listener("other", &["http3 = true"])
            .admin(ADMIN.parse().unwrap())
            .line("gateway", &format!("workers = {workers}"));
        let prepared = setup.prepare();
        // The gateway, not root, writes its ready file there.
        set_permissions(prepared.dir.path(), Permissions::from_mode(0o777)).unwrap();
        for [_, elsewhere] in PLACES {
            let add = ["address", "add", elsewhere, "dev", "lo", "nodad"];
            let add = if elsewhere.contains(':') {
                &add[..]
            } else {
                &add[..5]
            };
            life.host.namespace.tool("ip", add);
        }
        life.configure("enforce");
        let guard = life.setup("enforce").key("required", "false").text();
        let text = prepared.dir.read("gateway.toml") + "\n" + &guard;
        prepared.dir.write("gateway.toml", text);
        Self {
            life,
            prepared,
            backend: Some(backend),
            uploaded,
        }
    }

    /// Starts the gateway and waits until it serves.
    #[track_caller]
    pub(super) fn start(&self) -> Process {
        let host = &self.life.host;
        let ready = self.prepared.dir.path().join("ready.json");
        let config = self.prepared.config();
        let run = ["run", "--config", config.to_str().unwrap(), "--ready-file"];
        let run = [&run[..], &[ready.to_str().unwrap()]].concat();
        let program = gateway_binary().to_str().unwrap();
        let who = host.gateway().as_user(Host::GATEWAY);
        let mut gateway = host.spawn_program(&who, program, &run);
        poll::until("the gateway is ready", || {
            assert!(gateway.is_alive(), "the gateway ended: {}", gateway.told());
            ready.exists().then_some(())
        });
        gateway
    }

    /// Waits until the service knows the sockets of all workers of both addresses, and nothing else.
    #[track_caller]
    pub(super) fn known(&self, workers: usize) -> Value {
        poll::until("all sockets are known", || {
            let (status, _) = self.life.status();
            let addresses = status["steering"]["addresses"].as_array()?.clone();
            let is_whole = |address: &Value| {
                address["generations"].as_array().is_some_and(|list| {
                    list.len() == 1 && list[0]["open"] == workers && list[0]["workers"] == workers
                })
            };
            let whole = addresses.len() == 2 && addresses.iter().all(is_whole);
            whole.then(|| Value::Array(addresses.clone()))
        })
    }

    /// How many datagrams were steered there.
    #[track_caller]
    pub(super) fn datagrams(&self, to: &str) -> u64 {
        let (status, _) = self.life.status();
        let datagrams = status["steering"]["datagrams"].as_array().unwrap();
        let one = datagrams.iter().find(|one| one["to"] == to).unwrap();
        one["count"].as_u64().unwrap()
    }

    /// Whether the gateway says that it is steered.
    #[track_caller]
    pub(super) fn is_steered(&self) -> bool {
        self.metric("connect_gateway_quic_steered")
            .expect("it says so")
            == 1.0
    }

    /// How many datagrams came to workers that have not their connection.
    #[track_caller]
    pub(super) fn strays(&self) -> u64 {
        let strays = self.metric("connect_gateway_http3_strays_total");
        strays.unwrap_or_default() as u64
    }

    /// How much of the last upload the back-end has.
    pub(super) fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::SeqCst)
    }

    /// Begins an upload.
    #[track_caller]
    pub(super) fn upload<'c>(&self, client: &'c Http3) -> Http3Stream<'c> {
        self.uploaded.store(0, Ordering::SeqCst);
        client.begin(&Request::new("POST", "/content/1/").by(&ALICE))
    }

    /// A client at the first of [`PLACES`] of a family.
    pub(super) fn client(&self, family: usize) -> Http3 {
        self.client_to(PUBLIC[family].parse().unwrap())
    }

    /// A client that takes this address for the gateway's.
    pub(super) fn client_to(&self, address: SocketAddr) -> Http3 {
        let tls = trust_http3(self.prepared.ca.der());
        self.inside(|| Http3::connect(address, tls, CONNECT))
    }

    /// Does something in the host's network.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.life.host.namespace.run(work)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let request = Request::get("/metrics")
            .on(ADMIN)
            .field("Connection", "close");
        let ask = || Client::plain(ADMIN.parse().unwrap()).ask(&request);
        let metrics = Metrics::parse(&self.inside(ask).expect(200).text());
        metrics.has(name).then(|| metrics.sum(name, &[]))
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let backend = self.backend.take();
        let end = AssertUnwindSafe(|| self.inside(|| drop(backend)));
        // A second panic would hide the first.
        if let Err(fault) = catch_unwind(end)
            && !std::thread::panicking()
        {
            resume_unwind(fault);
        }
    }
}

/// A body: no part of it is like another.
pub(super) fn body(length: usize) -> &'static [u8] {
    static LONGEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // A prime number of bytes.
        (0..251).collect::<Vec<u8>>().repeat(DOWNLOAD / 251 + 1)
    });
    &LONGEST[..length]
}

/// The back-end: it sends a [`DOWNLOAD`], takes an [`UPLOAD`], or does neither.
fn serve(conn: &mut Conn, uploaded: &AtomicU64) {
    while let Some(head) = conn.head() {
        let sent = match (&*head.method, &*head.target) {
            ("POST", _) => {
                let mut left = body(UPLOAD);
                loop {
                    // None when the gateway gives it up.
                    let Some(part) = conn.chunk() else { return };
                    if part.is_empty() {
                        break conn.send(OK);
                    }
                    left = left.strip_prefix(&*part).expect("it comes as it was sent");
                    uploaded.fetch_add(part.len() as u64, Ordering::SeqCst);
                }
            }
            _ if conn.body_of(&head).is_err() => return,
            (_, "/content/1/") => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD}\r\n\r\n");
                conn.send(head.as_bytes()) && conn.send(body(DOWNLOAD))
            }
            _ => conn.send(OK),
        };
        if !sent {
            return;
        }
    }
}

/// How long a body is that is downloaded. A quarter of it is more than a client takes ahead (1.25 MB).
pub(super) const DOWNLOAD: usize = 6 << 20;

/// How long a body is at most that is uploaded: the gateway takes as much ahead, so that sending never
/// waits.
pub(super) const UPLOAD: usize = 400_000;

/// The gateway's addresses for the public, by family.
pub(super) const PUBLIC: [&str; 2] = ["192.0.2.1:8443", "[2001:db8::1]:8443"];
const ADMIN: &str = "127.0.0.1:9147";

/// Where clients come from or move to, by family.
pub(super) const PLACES: [[&str; 2]; 2] =
    [[Host::OWN_V4, "127.0.0.77"], [Host::OWN_V6, "2001:db8::77"]];
