//! The asking side: blocking, each call within a limit.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{Answer, Ask, Join, Joined, Reply, descriptors};
use crate::status::Status;

/// Asks the service that listens at `socket`, and waits for its answer, `limit` in all.
pub fn ask(socket: &Path, ask: &Ask, limit: Duration) -> Result<Reply, AskError> {
    let deadline = Instant::now() + limit;
    let mut stream = open(socket, deadline)?;
    say(&mut stream, ask)?;
    hear(&mut stream, deadline)
}

/// Takes part in the steering of QUIC, with these sockets: of each address those of all workers, in
/// their order. The service keeps none of them open.
pub fn ask_join(
    socket: &Path,
    join: &Join,
    sockets: &[BorrowedFd<'_>],
    limit: Duration,
) -> Result<Joined, AskError> {
    let deadline = Instant::now() + limit;
    let mut stream = open(socket, deadline)?;
    say(&mut stream, &Ask::Join(*join))?;
    let reply = match hear(&mut stream, deadline)? {
        Reply::Send => {
            match descriptors::send(&stream, sockets) {
                // The service has more to say than listen to.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                sent => sent?,
            }
            hear(&mut stream, deadline)?
        }
        other => other,
    };
    match reply {
        Reply::Ok(Answer::Joined(joined)) => Ok(joined),
        Reply::Error(message) => Err(AskError::Refused(message)),
        Reply::Ok(_) | Reply::Send => Err(AskError::Unexpected),
    }
}

/// Asks for the status.
pub fn ask_status(socket: &Path, limit: Duration) -> Result<Status, AskError> {
    match ask(socket, &Ask::Status, limit)? {
        Reply::Ok(Answer::Status(status)) => Ok(*status),
        Reply::Ok(_) | Reply::Send => Err(AskError::Unexpected),
        Reply::Error(message) => Err(AskError::Refused(message)),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("the guard service is not running: nothing answers at {}: {source}", socket.display())]
    Absent {
        /// Where it should.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The conversation broke off, or took too long.
    #[error("the guard service does not answer: {0}")]
    Io(#[from] io::Error),
    /// The answer is none.
    #[error("the guard service's answer cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The service said no.
    #[error("the guard service refused: {0}")]
    Refused(String),
    /// It answered another question.
    #[error("the guard service answered another question")]
    Unexpected,
}

fn say(stream: &mut UnixStream, ask: &Ask) -> Result<(), AskError> {
    let mut line = serde_json::to_vec(ask).map_err(io::Error::from)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // Who may not ask is told so, and cut off, before it has asked.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(timed_out().into()),
        written => Ok(written?),
    }
}

fn hear(stream: &mut UnixStream, deadline: Instant) -> Result<Reply, AskError> {
    Ok(serde_json::from_slice(&read(stream, deadline)?)?)
}

/// Connects. Its time-outs stand before, since a full backlog makes `connect` wait.
fn open(path: &Path, deadline: Instant) -> Result<UnixStream, AskError> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(io::Error::from)?;
    for timeout in [Timeout::Recv, Timeout::Send] {
        let left = Some(left(deadline)?);
        set_socket_timeout(&socket, timeout, left).map_err(io::Error::from)?;
    }
    let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
    match connect(&socket, &address) {
        Ok(()) => Ok(UnixStream::from(socket)),
        Err(error @ (rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED)) => {
            Err(AskError::Absent {
                socket: path.to_owned(),
                source: error.into(),
            })
        }
        Err(rustix::io::Errno::AGAIN) => Err(timed_out().into()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Reads a line. What the connection's end looks like does not matter after it.
fn read(stream: &mut UnixStream, deadline: Instant) -> Result<Vec<u8>, AskError> {
    let mut reply = Vec::new();
    let mut part = vec![0; 16 * 1024];
    while reply.last() != Some(&b'\n') {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let length = match stream.read(&mut part) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(timed_out().into());
            }
            Err(error) => return Err(error.into()),
        };
        reply.extend(part.iter().take(length));
        if reply.len() > MAX_REPLY {
            let error = "an answer of more than 4 MiB";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error).into());
        }
    }
    Ok(reply)
}

/// What is left of the limit; never zero, which would mean no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // The kernel rounds to microseconds.
    if left < Duration::from_millis(1) {
        return Err(timed_out());
    }
    Ok(left)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out")
}

/// The longest answer; a full status is less than a tenth of it.
const MAX_REPLY: usize = 4 * 1024 * 1024;
