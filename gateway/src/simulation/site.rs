//! The gateway's parts, put together as at boot.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::request::Request;
use super::stream::{Stream, dialled, refuse};
use crate::run::assemble;
use crate::serve::{Client, serve};
use crate::shared::Shared;
use crate::telemetry::{AccessLogWriter, Cells};
use crate::worker::Worker;

pub(super) struct Site {
    shared: Arc<Shared>,
    cells: Arc<Cells>,
    log: AccessLogWriter,
}

impl Site {
    pub(super) fn start() -> Self {
        static SITES: AtomicU32 = AtomicU32::new(0);
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let dir = format!("connect-gateway-simulation-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["connect.test".to_owned()]).unwrap();
        for (name, content) in [
            ("public.pem", made.cert.pem()),
            ("public.key", made.signing_key.serialize_pem()),
            ("users", format!("alice:{ALICE_HASH}\n")),
            ("gateway.toml", CONFIG.to_owned()),
        ] {
            std::fs::write(dir.join(name), content).unwrap();
        }
        let config = config::Config::load(&dir.join("gateway.toml")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let (shared, log) = assemble(config, 1).unwrap_or_else(|_| panic!("the parts fit"));
        let cells = shared.telemetry.worker(0);
        let site = Self { shared, cells, log };
        site.verify_password();
        site
    }

    /// Time stands still but for what the simulation lets pass.
    pub(super) fn runtime(&self) -> LocalRuntime {
        Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .start_paused(true)
            .build_local(LocalOptions::default())
            .unwrap()
    }

    /// What the gateway has counted so far under names that begin so.
    pub(super) fn counted(&self, name: &str) -> u64 {
        let text = self.shared.telemetry.render();
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values = lines.map(|line| line.rsplit_once(' ').unwrap().1);
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    }

    pub(super) fn worker(&self) -> Rc<Worker> {
        refuse(false);
        dialled();
        let cells = Arc::clone(&self.cells);
        let log = self.log.worker(Arc::clone(&cells));
        Worker::new(Arc::clone(&self.shared), 0, cells, log).unwrap()
    }

    /// A password is hashed by another thread, in real time, and remembered: once, before the
    /// simulation.
    fn verify_password(&self) {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let worker = self.worker();
            let (mut ours, theirs) = Stream::pair();
            ours.send(&Request::of_alice(usize::MAX).bytes).unwrap();
            tokio::task::spawn_local({
                let worker = Rc::clone(&worker);
                async move {
                    let front = Arc::clone(&worker.shared.listeners[0]);
                    let client = Client::new(front, theirs, 0, PEER.parse().unwrap(), None);
                    serve(&worker, client).await;
                }
            });
            while dialled().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

/// How many requests the pool takes at once; one more may wait.
pub(super) const IN_FLIGHT: usize = 2;

pub(super) const PEER: &str = "203.0.113.9";

/// bcrypt of `wonder-land-7391`.
const ALICE_HASH: &str = "$2b$04$98KI8o7e7dSo7Bi9HkTg2.CUScPIdvw7DrR9gSL3dGVeiWBRI8hcK";

const CONFIG: &str = r#"
[admin]
address = "127.0.0.1:0"
[log]
access = "off"
[timeouts]
head = "10s"
idle = "30s"
body = "1m"
answer = "5m"
tunnel = "10m"
[limits]
body_rate = 1000
body_window = "5s"
[[listener]]
name = "public"
address = "127.0.0.1:0"
[[listener.certificate]]
chain = "public.pem"
key = "public.key"
[[realm]]
name = "staff"
method = "basic"
htpasswd = "users"
password_cache = "24h"
session_idle = "24h"
session_lifetime = "72h"
[[pool]]
name = "connect"
in_flight = 2
queue = 1
queue_wait = "20s"
[[pool.server]]
url = "http://127.0.0.1:1"
[[app]]
name = "connect"
kind = "connect"
public_url = "https://connect.test/"
realm = "staff"
pool = "connect"
"#;
