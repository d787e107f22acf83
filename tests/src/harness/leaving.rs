//! A client that goes away as TCP knows it, whatever TLS would say first.

use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::{Client, Gateway};

/// A client that can reset its connection, or end it behind what it has sent.
pub struct Leaving {
    /// The client until then.
    pub client: Client,
    tcp: TcpStream,
}

impl Leaving {
    /// Connects to the listener `public`.
    pub fn to(gateway: &Gateway) -> Self {
        let tcp = gateway.tcp_from("127.0.0.1");
        Self {
            client: gateway.client_over(tcp.try_clone().unwrap()),
            tcp,
        }
    }

    /// Sends until nothing more has been taken for a while. Of TLS, a record is then cut in two:
    /// nothing else can be sent, nor received.
    pub fn fill(&mut self) {
        self.tcp.set_write_timeout(Some(STILL)).unwrap();
        // rustls reads where it cannot write.
        self.tcp.set_read_timeout(Some(STILL)).unwrap();
        while self.client.try_send(&[b'x'; 65_536]).is_ok() {}
    }

    /// Resets the connection.
    pub fn reset(self) {
        let linger = Some(Duration::ZERO);
        SockRef::from(&self.tcp).set_linger(linger).unwrap();
    }

    /// Ends its direction by a FIN. A close could be a reset: there may be unread bytes here.
    pub fn end(&self) {
        self.tcp.shutdown(Shutdown::Write).unwrap();
    }
}

/// So long nothing moves when all buffers are full.
const STILL: Duration = Duration::from_millis(500);
