//! The gateway of the demo.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::POLL;
use super::config::Ports;
use super::files::Files;
use super::process::{Output, Process};
use super::stop::Stop;
use crate::launch;
use crate::workspace::Workspace;

/// The running gateway.
pub(super) struct Gateway {
    pub(super) process: Process,
}

impl Gateway {
    /// Starts it, and waits until it is ready.
    pub(super) fn start(
        workspace: &Workspace,
        files: &Files,
        ports: Ports,
        cgroup: Option<&Path>,
        stop: &Stop,
    ) -> Result<Self> {
        let mut command = launch::tied_in(workspace.release("connect-gateway"), cgroup)
            .context("cannot find this program's own file")?;
        command
            .args(["run", "--config"])
            .arg(files.config())
            .stdin(Stdio::null());
        let log = files.path("gateway.log");
        let mut process = Process::start("connect-gateway", command, log, Output::Log)?;
        wait_until_ready(&mut process, ports.admin, stop)?;
        Ok(Self { process })
    }
}

fn wait_until_ready(process: &mut Process, admin: u16, stop: &Stop) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
    let begun = Instant::now();
    while !is_ready(address) {
        stop.check()?;
        process.expect_running()?;
        if begun.elapsed() > START {
            return Err(process.fault("did not become ready"));
        }
        sleep(POLL);
    }
    Ok(())
}

/// Whether `GET /readyz` answers 200; anything else, silence included, is "not yet".
fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&admin, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
        )?;
        let mut status = vec![0; STATUS.len()];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    ask().is_ok_and(|status| status == STATUS)
}

const STATUS: &[u8] = b"HTTP/1.1 200";
const ANSWER: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn only_200_is_ready() {
        for (answer, ready) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                // A close before the request was read would cut the answer short.
                let request = BufReader::new(&stream).lines().map(Result::unwrap);
                assert!(request.take_while(|line| !line.is_empty()).count() > 1);
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(is_ready(address), ready, "{answer:?}");
            server.join().unwrap();
        }
    }
}
