//! What it costs to steer a datagram of QUIC's, from the kernel's run-time statistics, less what an
//! empty program costs in the same place.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use gateway_ebpf::connection_id::{Home, Keys};
use guard::control::{IdKeys, Join};
use guard::{Baseline, Guard, Mode, Options, Rules, Runs};
use socket2::{Domain, Socket, Type};

use crate::cost::{Each as _, TRIPS, WINDOWS, median, since};

/// One round; all times in nanoseconds, less an empty program's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// For a datagram of a connection.
    pub(crate) known: f64,
    /// For one with an ID that is none of ours.
    pub(crate) unknown: f64,
}

/// Measures one round. The programs are loaded anew for it, as `cost::measure` does.
pub(crate) fn measure(rules: &Rules) -> Result<Round> {
    let options = Options {
        pins: None,
        programs: None,
        statistics: true,
    };
    let mut guard = Guard::start(rules.clone(), Mode::Detach, options)?;
    let mut baseline = Baseline::attach(true)?;
    let steered = Group::bind()?;
    let empty = Group::bind()?;
    steered.join(&mut guard)?;
    empty.with_first(|socket| Ok(baseline.attach_to(socket)?))?;
    let mut meter = Meter {
        guard: &guard,
        baseline: &baseline,
        groups: [steered, empty],
        sender: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no socket")?,
        nonce: 0,
    };
    Ok(Round {
        known: meter.each(&own())?,
        unknown: meter.each(&Keys::new(PROVE, CONCEAL))?,
    })
}

/// The sockets of a listening address, one for each worker.
struct Group {
    address: SocketAddr,
    sockets: Vec<UdpSocket>,
}

struct Meter<'a> {
    guard: &'a Guard,
    baseline: &'a Baseline,
    /// The one that is steered, and the one with the empty program.
    groups: [Group; 2],
    sender: UdpSocket,
    /// Of the last ID.
    nonce: u64,
}

impl Group {
    fn bind() -> Result<Self> {
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut sockets = Vec::new();
        for _ in 0..WORKERS {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).context("no socket")?;
            socket.set_reuse_port(true).context("SO_REUSEPORT")?;
            socket.set_nonblocking(true).context("O_NONBLOCK")?;
            socket.bind(&address.into()).context("cannot bind")?;
            let socket = UdpSocket::from(socket);
            address = socket.local_addr().context("no address")?;
            sockets.push(socket);
        }
        Ok(Self { address, sockets })
    }

    fn join(&self, guard: &mut Guard) -> Result<()> {
        let join = Join {
            generation: GENERATION,
            fixed: true,
            keys: IdKeys {
                conceal: CONCEAL,
                prove: PROVE,
            },
            addresses: 1,
            workers: WORKERS,
        };
        let sockets = self.sockets.iter();
        let sockets: std::io::Result<Vec<OwnedFd>> = sockets
            .map(|socket| Ok(socket.try_clone()?.into()))
            .collect();
        guard.join(&join, &sockets.context("no descriptor")?)?;
        Ok(())
    }

    fn with_first<T>(&self, work: impl FnOnce(&UdpSocket) -> Result<T>) -> Result<T> {
        work(self.sockets.first().context("no socket")?)
    }

    /// Sends a datagram, and takes it where it has arrived: over lo it is there when sending returns.
    fn pass(&self, sender: &UdpSocket, datagram: &[u8]) -> Result<usize> {
        sender
            .send_to(datagram, self.address)
            .context("cannot send")?;
        let mut byte = [0];
        let taken = |socket: &UdpSocket| socket.recv(&mut byte).is_ok();
        self.sockets
            .iter()
            .position(taken)
            .context("nothing arrived")
    }
}

impl Meter<'_> {
    /// The time for a datagram of IDs under these keys.
    fn each(&mut self, keys: &Keys) -> Result<f64> {
        self.window(keys)?;
        let windows: Vec<_> = (0..WINDOWS).map(|_| self.window(keys)).collect();
        median(windows.into_iter())
    }

    /// Each datagram is sent to both groups, one after the other.
    fn window(&mut self, keys: &Keys) -> Result<f64> {
        let before = self.sample()?;
        let mut reached = 0;
        for _ in 0..TRIPS {
            self.nonce = self.nonce.wrapping_add(1);
            let worker = (self.nonce % u64::from(WORKERS)) as u16;
            let home = Home {
                generation: GENERATION,
                worker,
            };
            let mut datagram = [0x40; LENGTH];
            let id = keys.seal(home, self.nonce.to_le_bytes());
            datagram
                .iter_mut()
                .skip(1)
                .zip(id)
                .for_each(|(to, from)| *to = from);
            let [steered, empty] = &self.groups;
            reached += u64::from(steered.pass(&self.sender, &datagram)? == usize::from(worker));
            empty.pass(&self.sender, &datagram)?;
        }
        let [steered, empty] = self.sample()?;
        let [steered_before, empty_before] = before;
        let (steered, empty) = (since(steered, steered_before)?, since(empty, empty_before)?);
        if (steered.runs, empty.runs) != (TRIPS, TRIPS) {
            bail!("expected {TRIPS} runs of each program: {steered:?}, {empty:?}");
        }
        // By their addresses all go to one worker.
        let named = if keys.numbers() == own().numbers() {
            TRIPS
        } else {
            TRIPS / u64::from(WORKERS)
        };
        if reached != named {
            bail!(
                "expected that {named} of {TRIPS} datagrams reach the worker that they name: {reached} did"
            );
        }
        Ok(steered.each()? - empty.each()?)
    }

    /// Of the program that steers, and of the empty one.
    fn sample(&self) -> Result<[Runs; 2]> {
        let steered = self.guard.steering_runs();
        let (_, steered) = steered.context("the program that steers is not loaded")?;
        Ok([steered, self.baseline.datagrams()?])
    }
}

fn own() -> Keys {
    Keys::new(CONCEAL, PROVE)
}

const WORKERS: u16 = 4;
const GENERATION: u16 = 1;
/// Of a datagram: that of an acknowledgement.
const LENGTH: usize = 40;
const CONCEAL: [u64; 2] = [1, 2];
const PROVE: [u64; 2] = [3, 4];
