//! Requests and replies of `NETLINK_SOCK_DIAG` as bytes (netlink(7), sock_diag(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its address; IPv4 also for an IPv6 socket with v4-mapped addresses.
    pub(super) local: SocketAddr,
    /// Its peer's.
    pub(super) remote: SocketAddr,
    /// Whose it is; `None` if the kernel does not say, as for connections that are not accepted
    /// yet.
    pub(super) cgroup: Option<u64>,
    /// The user that made it; root for one that no process holds any more.
    pub(super) uid: u32,
    /// Whether a process holds it.
    pub(super) held: bool,
    /// Only the memory of a closed connection is left: nobody can read or write it.
    pub(super) remnant: bool,
    /// One that waits for connections.
    pub(super) listens: bool,
    /// One whose handshake is not complete.
    pub(super) opens: bool,
    family: Family,
    id: [u8; ID],
}

/// An address family of TCP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The end of a list, or the answer to something that has no other: 0, or an error's number.
    End(i32),
    /// One socket.
    Socket(Socket),
}

/// Asks for the connected sockets of a family whose ports are these; 0 means any.
pub(super) fn list(sequence: u32, family: Family, local: u16, remote: u16) -> [u8; REQUEST] {
    let mut id = [0; ID];
    put(&mut id, 0, &local.to_be_bytes());
    put(&mut id, 2, &remote.to_be_bytes());
    request(DIAG, DUMP, sequence, family, CONNECTED, &id)
}

/// Asks for the socket with these addresses, of which at least one is IPv6 or both are IPv4. A
/// listening socket may be found instead.
pub(super) fn find(sequence: u32, local: SocketAddr, remote: SocketAddr) -> [u8; REQUEST] {
    let mut id = [0; ID];
    put(&mut id, 0, &local.port().to_be_bytes());
    put(&mut id, 2, &remote.port().to_be_bytes());
    let family = match (local.ip(), remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            put(&mut id, SOURCE, &local.octets());
            put(&mut id, DESTINATION, &remote.octets());
            Family::V4
        }
        (local, remote) => {
            put(&mut id, SOURCE, &v6(local).octets());
            put(&mut id, DESTINATION, &v6(remote).octets());
            Family::V6
        }
    };
    // linux/inet_diag.h: INET_DIAG_NOCOOKIE.
    put(&mut id, COOKIE, &[0xff; 8]);
    request(DIAG, 0, sequence, family, ANY, &id)
}

/// Asks for the end of this very socket.
pub(super) fn destroy(sequence: u32, socket: &Socket) -> [u8; REQUEST] {
    request(DESTROY, ACK, sequence, socket.family, ANY, &socket.id)
}

/// Asks for the end of a socket that cannot exist: its ports are 0.
pub(super) fn destroy_nothing(sequence: u32) -> [u8; REQUEST] {
    request(DESTROY, ACK, sequence, Family::V4, ANY, &[0; ID])
}

/// Asks for a list that is empty on every host.
pub(super) fn list_nothing(sequence: u32) -> [u8; REQUEST] {
    request(DIAG, DUMP, sequence, Family::V4, 0, &[0; ID])
}

/// Reads what one receive call gave: replies to the request with this number, and nothing else.
pub(super) fn replies(mut datagram: &[u8], sequence: u32) -> io::Result<Vec<Reply>> {
    let mut replies = Vec::new();
    while !datagram.is_empty() {
        let length = u32_at(datagram, 0).ok_or_else(malformed)? as usize;
        let message = datagram.get(..length).ok_or_else(malformed)?;
        let kind = u16_at(message, 4).ok_or_else(malformed)?;
        let flags = u16_at(message, 6).ok_or_else(malformed)?;
        let body = message.get(HEADER..).ok_or_else(malformed)?;
        if u32_at(message, 8) != Some(sequence) || flags & INTERRUPTED != 0 {
            return Err(malformed());
        }
        replies.push(match kind {
            DIAG => Reply::Socket(socket(body).ok_or_else(malformed)?),
            DONE | ERROR => {
                let number = body.first_chunk().ok_or_else(malformed)?;
                // The kernel gives errors as negative numbers; -i32::MIN is none of them.
                let number = i32::from_ne_bytes(*number).checked_neg();
                Reply::End(number.filter(|number| *number >= 0).ok_or_else(malformed)?)
            }
            _ => return Err(malformed()),
        });
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    Ok(replies)
}

/// `struct inet_diag_msg` and its attributes.
fn socket(body: &[u8]) -> Option<Socket> {
    let family = match *body.first()? {
        2 => Family::V4,
        10 => Family::V6,
        _ => return None,
    };
    let id: [u8; ID] = *body.get(4..)?.first_chunk()?;
    let address = |place: usize, port: usize| {
        let bytes = id.get(place..)?;
        let ip = match family {
            Family::V4 => IpAddr::from(*bytes.first_chunk::<4>()?),
            Family::V6 => IpAddr::from(*bytes.first_chunk::<16>()?).to_canonical(),
        };
        let port = u16::from_be_bytes(*id.get(port..)?.first_chunk()?);
        Some(SocketAddr::new(ip, port))
    };
    Some(Socket {
        local: address(SOURCE, 0)?,
        remote: address(DESTINATION, 2)?,
        cgroup: cgroup(body.get(MESSAGE..)?)?,
        uid: u32_at(body, UID)?,
        held: u32_at(body, INODE)? != 0,
        remnant: *body.get(2)? == TIME_WAIT_TIMER,
        listens: *body.get(1)? == LISTEN,
        opens: matches!(*body.get(1)?, SYN_SENT | SYN_RECV | NEW_SYN_RECV),
        family,
        id,
    })
}

/// The cgroup's id among attributes: outside `None` if they are malformed, inside if there is none.
fn cgroup(mut attributes: &[u8]) -> Option<Option<u64>> {
    let mut found = None;
    while !attributes.is_empty() {
        let length = usize::from(u16_at(attributes, 0)?);
        let kind = u16_at(attributes, 2)?;
        let value = attributes.get(4..length)?;
        if kind == CGROUP_ID {
            found = Some(u64::from_ne_bytes(value.try_into().ok()?));
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Some(found)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(
    kind: u16,
    flags: u16,
    sequence: u32,
    family: Family,
    states: u32,
    id: &[u8; ID],
) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    put(&mut bytes, 0, &(REQUEST as u32).to_ne_bytes());
    put(&mut bytes, 4, &kind.to_ne_bytes());
    put(&mut bytes, 6, &(flags | ASKS).to_ne_bytes());
    put(&mut bytes, 8, &sequence.to_ne_bytes());
    let family = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    put(&mut bytes, HEADER, &[family, TCP]);
    put(&mut bytes, HEADER + 4, &states.to_ne_bytes());
    put(&mut bytes, HEADER + 8, id);
    bytes
}

fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(place).zip(value) {
        *byte = *value;
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    }
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// netlink(7): messages and attributes start at multiples of 4.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the kernel's list of sockets cannot be read",
    )
}

/// The size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The size of `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const ID: usize = 48;
/// Places in it.
const SOURCE: usize = 4;
const DESTINATION: usize = 20;
const COOKIE: usize = 40;
/// The size of `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// Places in it: `idiag_uid` and `idiag_inode`.
const UID: usize = 64;
const INODE: usize = 68;
/// The size of a request.
pub(super) const REQUEST: usize = HEADER + 8 + ID;

// linux/netlink.h
const ERROR: u16 = 2;
const DONE: u16 = 3;
const ASKS: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// The list changed so much that it makes no sense. The list of sockets never says so.
const INTERRUPTED: u16 = 0x10;

// linux/sock_diag.h, linux/inet_diag.h
const DIAG: u16 = 20;
const DESTROY: u16 = 21;
const CGROUP_ID: u16 = 21;
const TIME_WAIT_TIMER: u8 = 3;

// linux/in.h
const TCP: u8 = 6;

// net/tcp_states.h
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
const TIME_WAIT: u8 = 6;
const LISTEN: u8 = 10;
const NEW_SYN_RECV: u8 = 12;
/// Every state from ESTABLISHED to NEW_SYN_RECV, as a set.
const ANY: u32 = (1 << (NEW_SYN_RECV + 1)) - 2;
/// Those that have a peer to talk to.
const CONNECTED: u32 = ANY & !(1 << TIME_WAIT) & !(1 << LISTEN);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as the kernel writes it.
    fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(2u16.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(99u32.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    /// 127.0.0.1:3939 with 127.0.0.1:40000, then an unknown attribute and cgroup 77.
    fn body(family: u8, state: u8, timer: u8) -> Vec<u8> {
        let mut bytes = vec![family, state, timer, 0];
        bytes.extend(3939u16.to_be_bytes());
        bytes.extend(40000u16.to_be_bytes());
        for _ in 0..2 {
            let mut address = match family {
                2 => vec![127, 0, 0, 1],
                _ => Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets().to_vec(),
            };
            address.resize(16, 0);
            bytes.extend(address);
        }
        bytes.extend([0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.resize(UID, 0);
        bytes.extend(60_100u32.to_ne_bytes());
        bytes.extend([0, 9, 0, 0]);
        bytes.extend([5, 0, 8, 0, 1, 0, 0, 0]);
        bytes.extend([12, 0, 21, 0]);
        bytes.extend(77u64.to_ne_bytes());
        bytes
    }

    fn only_socket(body: &[u8]) -> Socket {
        match replies(&message(DIAG, 5, body), 5).unwrap()[..] {
            [Reply::Socket(socket)] => socket,
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_is_read() {
        for family in [2, 10] {
            let socket = only_socket(&body(family, 1, 0));
            assert_eq!(socket.local, "127.0.0.1:3939".parse().unwrap());
            assert_eq!(socket.remote, "127.0.0.1:40000".parse().unwrap());
            assert_eq!(socket.cgroup, Some(77));
            assert_eq!((socket.uid, socket.held), (60_100, true));
            assert!(!socket.remnant && !socket.listens && !socket.opens);
            // It is asked for as it was listed.
            let asked = destroy(9, &socket);
            assert_eq!(asked[HEADER], family);
            assert_eq!(asked[HEADER + 8..], body(family, 1, 0)[4..4 + ID]);
        }
        assert!(only_socket(&body(2, 5, TIME_WAIT_TIMER)).remnant);
        assert!(only_socket(&body(2, LISTEN, 0)).listens);
        for state in [SYN_SENT, SYN_RECV, NEW_SYN_RECV] {
            assert!(only_socket(&body(2, state, 0)).opens);
        }
        assert_eq!(only_socket(&body(2, 1, 0)[..MESSAGE]).cgroup, None);
        let mut held_by_nobody = body(2, 1, 0);
        held_by_nobody[INODE..MESSAGE].fill(0);
        assert!(!only_socket(&held_by_nobody).held);
    }

    #[test]
    fn messages_follow_one_another() {
        let mut datagram = message(DIAG, 5, &body(2, 1, 0));
        datagram.extend(message(DIAG, 5, &body(10, 1, 0)));
        datagram.extend(message(DONE, 5, &0i32.to_ne_bytes()));
        let replies = replies(&datagram, 5).unwrap();
        assert!(matches!(
            replies[..],
            [Reply::Socket(_), Reply::Socket(_), Reply::End(0)]
        ));
    }

    #[test]
    fn errors_keep_their_number() {
        for kind in [DONE, ERROR] {
            let datagram = message(kind, 5, &(-95i32).to_ne_bytes());
            assert_eq!(replies(&datagram, 5).unwrap(), [Reply::End(95)]);
            for number in [1, i32::MIN] {
                let datagram = message(kind, 5, &number.to_ne_bytes());
                assert!(replies(&datagram, 5).is_err());
            }
        }
    }

    #[test]
    fn nothing_is_guessed() {
        let good = message(DIAG, 5, &body(2, 1, 0));
        assert!(replies(&good, 5).is_ok());
        assert!(replies(&good, 6).is_err(), "another request's");
        assert!(replies(&good[..good.len() - 1], 5).is_err(), "cut off");
        assert!(replies(&message(4, 5, &[]), 5).is_err(), "unknown kind");
        assert!(replies(&message(DONE, 5, &[0, 0]), 5).is_err(), "no number");
        let unix = body(1, 1, 0);
        assert!(replies(&message(DIAG, 5, &unix), 5).is_err(), "family");
        let short = &body(2, 1, 0)[..MESSAGE - 1];
        assert!(replies(&message(DIAG, 5, short), 5).is_err(), "short");
        for (place, value) in [
            (MESSAGE, 0),
            (MESSAGE, 3),
            (MESSAGE + 8, 8),
            (MESSAGE + 8, 13),
        ] {
            let mut body = body(2, 1, 0);
            body[place] = value;
            let datagram = message(DIAG, 5, &body);
            assert!(replies(&datagram, 5).is_err(), "attribute of {value}");
        }
        for length in [0u32, 4, 15, 200] {
            let mut datagram = good.clone();
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(replies(&datagram, 5).is_err(), "length {length}");
        }
        let mut interrupted = good;
        interrupted[6] |= INTERRUPTED as u8;
        assert!(replies(&interrupted, 5).is_err(), "interrupted");
    }

    #[test]
    fn requests_name_what_they_ask_for() {
        let bytes = find(
            3,
            "[2001:db8::1]:80".parse().unwrap(),
            "192.0.2.1:443".parse().unwrap(),
        );
        assert_eq!(bytes[..4], 72u32.to_ne_bytes());
        assert_eq!(bytes[HEADER..HEADER + 2], [10, 6]);
        let id = &bytes[HEADER + 8..];
        assert_eq!(id[..4], [0, 80, 1, 187]);
        assert_eq!(id[SOURCE..SOURCE + 4], [0x20, 1, 0x0d, 0xb8]);
        assert_eq!(
            id[DESTINATION + 10..DESTINATION + 16],
            [255, 255, 192, 0, 2, 1]
        );
        assert_eq!(id[COOKIE..], [255; 8]);
        // ESTABLISHED to NEW_SYN_RECV, without TIME_WAIT and LISTEN.
        assert_eq!(CONNECTED, 0b1_1011_1011_1110);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = replies(&datagram, 0);
        }

        #[test]
        fn no_changed_byte_breaks_it(place in 0usize..112, value: u8) {
            let mut datagram = message(DIAG, 5, &body(2, 1, 0));
            let place = place % datagram.len();
            datagram[place] = value;
            if let Ok(replies) = replies(&datagram, 5) {
                prop_assert!(replies.len() <= 1);
            }
        }
    }
}
