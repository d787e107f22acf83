//! Plain and TLS connections behind one trait.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

/// A connection.
pub(super) trait Stream: Read + Write {
    /// Says that no more will be sent; reading goes on.
    fn close_write(&mut self) -> io::Result<()>;

    /// Bounds how long a read may wait.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn close_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_read_timeout(self, Some(timeout))
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn close_write(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.shutdown(Shutdown::Write)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.sock.set_read_timeout(Some(timeout))
    }
}

/// Ends a connection in order: tells the peer, then takes in what is still on its way, for a reset
/// would destroy the answer that the peer has not read yet.
pub(super) fn finish(stream: &mut impl Stream) -> io::Result<()> {
    stream.close_write()?;
    stream.set_read_timeout(LINGER)?;
    let mut scrap = vec![0; 64 << 10];
    for _ in 0..LINGER_READS {
        if stream.read(&mut scrap)? == 0 {
            break;
        }
    }
    Ok(())
}

const LINGER: Duration = Duration::from_secs(2);

/// At most 64 MiB.
const LINGER_READS: usize = 1024;
