//! Telling systemd that the service is ready (sd_notify(3), `Type=notify`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that the service is ready, if systemd wants to know: to the socket in `NOTIFY_SOCKET`.
pub fn ready() -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(socket) => send(&socket, b"READY=1"),
        None => Ok(()),
    }
}

/// A leading `@` stands for the zero byte of an abstract address.
fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn both_kinds_of_address_are_told() {
        let scratch = Scratch::new();
        let path = scratch.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), b"READY=1").unwrap();
        assert_eq!(received(&listener), b"READY=1");

        let name = format!("connect-gateway-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), b"READY=1").unwrap();
        assert_eq!(received(&listener), b"READY=1");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error() {
        let scratch = Scratch::new();
        let path = scratch.path().join("nobody");
        let error = send(path.as_os_str(), b"READY=1").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    fn received(listener: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }
}
