//! Has the guard's service bring each QUIC datagram to the worker that has its connection.
//!
//! Without it the kernel chooses a worker by the client's address: a client whose address changes is
//! not known any more, and so is every one when processes come and go. All else works.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_ebpf::connection_id::Keys;
use guard::control::{AskError, IdKeys, Join, ask_join};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::telemetry::Telemetry;

/// This process's part in the steering.
#[derive(Debug)]
pub(crate) struct Steering {
    /// The guard's; `None`: there is none.
    guard: Option<PathBuf>,
    keys: IdKeys,
    /// By listener that serves HTTP/3, and worker.
    sockets: Vec<Vec<UdpSocket>>,
    generation: u16,
    steered: bool,
}

impl Steering {
    /// Takes part if it can; says so if not. To be called before the first connection ID is given
    /// out: they name the generation. `least` is the least that will do: one more than a living
    /// predecessor's.
    pub(crate) fn join(
        guard: Option<PathBuf>,
        keys: &Keys,
        sockets: Vec<Vec<UdpSocket>>,
        least: u16,
        telemetry: &Telemetry,
    ) -> Self {
        let [conceal, prove] = keys.numbers();
        let mut steering = Self {
            guard,
            keys: IdKeys { conceal, prove },
            sockets,
            generation: least,
            steered: false,
        };
        if steering.sockets.is_empty() {
            return steering;
        }
        match steering.ask(false) {
            Some(Ok(generation)) => {
                steering.generation = generation;
                steering.steered = true;
            }
            Some(Err(error)) => unsteered(&error.to_string()),
            None => {
                unsteered("there is no [guard]");
                steering.sockets.clear();
            }
        }
        telemetry.set_quic_steered(steering.steered);
        steering
    }

    /// The number by which connection IDs name this process.
    pub(crate) fn generation(&self) -> u16 {
        self.generation
    }

    /// Takes part again whenever another service has taken the place of the guard's, and tries until
    /// it does; never ends. What is held open for that is closed when this is dropped: it must be
    /// before workers end.
    pub(crate) async fn watch(
        mut self,
        mut service: watch::Receiver<Option<u32>>,
        telemetry: Arc<Telemetry>,
    ) {
        if self.sockets.is_empty() {
            return;
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let other = if self.steered {
                Ok(service.changed().await)
            } else {
                timeout(pause, service.changed()).await
            };
            pause = match other {
                Ok(Ok(())) => FIRST_PAUSE,
                // Nobody looks for a service any more.
                Ok(Err(_)) => return,
                Err(_) => (pause * 2).min(LONGEST_PAUSE),
            };
            let asked = tokio::task::spawn_blocking(move || {
                let asked = self.ask(true);
                (self, asked)
            });
            let Ok((this, asked)) = asked.await else {
                return;
            };
            self = this;
            let steered = match &asked {
                Some(Ok(_)) => true,
                Some(Err(error)) => {
                    if self.steered {
                        unsteered(&error.to_string());
                    }
                    false
                }
                None => return,
            };
            if steered && !self.steered {
                tracing::info!("QUIC is steered by connection ID");
            }
            self.steered = steered;
            telemetry.set_quic_steered(steered);
        }
    }

    /// Asks the guard's service, if there is one. `fixed`: IDs have been given out.
    fn ask(&self, fixed: bool) -> Option<Result<u16, AskError>> {
        let guard = self.guard.as_ref()?;
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let join = Join {
            generation: self.generation,
            fixed,
            keys: self.keys,
            addresses: count(self.sockets.len()),
            workers: count(self.sockets.first().map_or(0, Vec::len)),
        };
        let sockets: Vec<_> = self.sockets.iter().flatten().map(AsFd::as_fd).collect();
        let joined = ask_join(guard, &join, &sockets, ASK_LIMIT);
        Some(joined.map(|joined| joined.generation))
    }
}

fn unsteered(why: &str) {
    tracing::warn!(
        why,
        "QUIC is not steered by connection ID: the kernel spreads datagrams by their addresses, and \
         clients whose address changes lose their connections"
    );
}

/// How long one conversation with the guard may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// The pause after an attempt that failed, and the longest one after several: the service logs each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
