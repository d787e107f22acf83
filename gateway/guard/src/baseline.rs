//! Programs that do nothing, attached where ours are: what they cost is what any program costs, the
//! kernel's own measuring included. For the benchmarks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::Ebpf;
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, Program, ProgramError,
    SkReuseport,
};

use crate::cgroup::Hierarchy;
use crate::error::GuardError;
use crate::{link, probe, programs};

/// Two empty programs at the root of cgroup v2: one for each packet that arrives, one for each
/// connect over IPv4. They end with it.
pub struct Baseline {
    ebpf: Ebpf,
    /// Run-time statistics are on while it is open.
    _statistics: Option<OwnedFd>,
}

/// How often a program ran, as far as statistics were on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How often.
    pub runs: u64,
    /// For how long, in nanoseconds.
    pub run_time: u64,
}

impl Baseline {
    /// Attaches them, and switches the kernel's run-time statistics on if they are wanted.
    pub fn attach(statistics: bool) -> Result<Self, GuardError> {
        let hierarchy = Hierarchy::find()
            .map_err(GuardError::Surroundings)?
            .ok_or(GuardError::NoCgroup2)?;
        let root = File::open(&hierarchy.root).map_err(GuardError::Surroundings)?;
        let statistics = statistics.then(|| aya::sys::enable_stats(aya::sys::Stats::RunTime));
        let statistics = statistics
            .transpose()
            .map_err(|error| GuardError::Program {
                program: PACKET,
                source: error.into(),
            })?;
        let mut ebpf = programs::read(None, probe::has_namespace_helper())?;
        for name in [PACKET, CONNECT] {
            let fault = |source| GuardError::Program {
                program: name,
                source,
            };
            let program = ebpf.program_mut(name).ok_or(GuardError::NoObject)?;
            attach(program, &root).map_err(fault)?;
        }
        Ok(Self {
            ebpf,
            _statistics: statistics,
        })
    }

    /// Attaches a third to the group of a UDP socket (`SO_REUSEPORT`), in place of the one that
    /// steers. It ends with the group.
    pub fn attach_to(&mut self, socket: impl AsFd) -> Result<(), GuardError> {
        let fault = |source| GuardError::Program {
            program: DATAGRAM,
            source,
        };
        let program = self.ebpf.program_mut(DATAGRAM);
        let program = program.ok_or(GuardError::NoObject)?;
        let program = <&mut SkReuseport>::try_from(program).map_err(fault)?;
        program.load().map_err(fault)?;
        program.attach(socket).map_err(fault)
    }

    /// How often the one for datagrams ran.
    pub fn datagrams(&self) -> io::Result<Runs> {
        self.runs(DATAGRAM)
    }

    /// How often the one for packets ran.
    pub fn packets(&self) -> io::Result<Runs> {
        self.runs(PACKET)
    }

    /// How often the one for connects ran.
    pub fn connects(&self) -> io::Result<Runs> {
        self.runs(CONNECT)
    }

    fn runs(&self, name: &str) -> io::Result<Runs> {
        let program = self.ebpf.program(name);
        let program = program.ok_or_else(|| io::Error::other("the program is gone"))?;
        let text = link::fdinfo(program.fd().map_err(io::Error::other)?.as_fd())?;
        let number = |key| {
            link::field(&text, key)
                .ok_or_else(|| io::Error::other(format!("the kernel does not show {key}")))
        };
        Ok(Runs {
            runs: number("run_cnt")?,
            run_time: number("run_time_ns")?,
        })
    }
}

fn attach(program: &mut Program, root: &File) -> Result<(), ProgramError> {
    let alone = CgroupAttachMode::Single;
    if let Ok(program) = <&mut CgroupSkb>::try_from(&mut *program) {
        program.load()?;
        program.attach(root, CgroupSkbAttachType::Ingress, alone)?;
    } else {
        let program = <&mut CgroupSockAddr>::try_from(program)?;
        program.load()?;
        program.attach(root, alone)?;
    }
    Ok(())
}

const CONNECT: &str = "empty_connect";
const DATAGRAM: &str = "empty_steer";
const PACKET: &str = "empty_packet";

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

    use rustix::net::sockopt::set_socket_reuseport;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

    use super::*;
    use crate::sandbox;

    #[test]
    fn each_packet_and_each_connect_is_seen() {
        if sandbox::hierarchy().is_none() || !crate::has_object() {
            return;
        }
        let baseline = Baseline::attach(true).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (packets, connects) = (baseline.packets().unwrap(), baseline.connects().unwrap());
        assert!(packets.runs >= 3 && packets.run_time > 0, "{packets:?}");
        assert!(connects.runs >= 1 && connects.run_time > 0, "{connects:?}");
    }

    #[test]
    fn each_datagram_is_seen() {
        if sandbox::hierarchy().is_none() || !crate::has_object() {
            return;
        }
        let mut baseline = Baseline::attach(true).unwrap();
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        baseline.attach_to(&socket).unwrap();
        let socket = UdpSocket::from(socket);
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..3 {
            sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            socket.recv(&mut [0]).unwrap();
        }
        let datagrams = baseline.datagrams().unwrap();
        assert!(
            datagrams.runs == 3 && datagrams.run_time > 0,
            "{datagrams:?}"
        );
    }
}
