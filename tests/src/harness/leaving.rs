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
