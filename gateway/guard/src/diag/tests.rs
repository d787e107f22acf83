//! Connections between cgroups and namespaces, cut for real.

mod twins;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::thread::CapabilitySet;

use super::*;
use crate::cgroup::Hierarchy;
use crate::sandbox::{self, Group, Namespace, Process};

/// A connection that a process opened, accepted by the test.
struct Link {
    client: Process,
    server: BufReader<TcpStream>,
}

impl Link {
    /// Must run in the client's and the listener's namespace.
    fn open(group: &Group, listener: &TcpListener, target: &str) -> Self {
        let port = listener.local_addr().unwrap().port();
        let client = client(group, target, port);
        Self::accept(client, listener)
    }

    fn accept(mut client: Process, listener: &TcpListener) -> Self {
        assert_eq!(client.line(), "connected");
        let (server, _) = listener.accept().unwrap();
        let patience = Some(Duration::from_secs(10));
        server.set_read_timeout(patience).unwrap();
        Self {
            client,
            server: BufReader::new(server),
        }
    }

    /// Whether a line gets there and back. If not, both ends must know.
    fn lives(&mut self) -> bool {
        self.client.tell("ping");
        let mut line = String::new();
        let received = self.server.read_line(&mut line);
        if received.is_ok() && line == "ping\n" {
            self.server.get_mut().write_all(b"pong\n").unwrap();
            assert_eq!(self.client.line(), "pong");
            return true;
        }
        let kind = received.expect_err("no clean end").kind();
        let expected = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
        ];
        assert!(expected.contains(&kind), "{kind:?}");
        assert_eq!(self.client.line(), "closed");
        false
    }
}

/// A process in a cgroup that connects, and sends what it is told.
fn client(group: &Group, target: &str, port: u16) -> Process {
    let script = r#"
        trap '' PIPE
        exec 3<>"/dev/tcp/$0/$1" || exit 1
        echo connected
        while read -r line; do
            printf '%s\n' "$line" >&3 2>/dev/null && IFS= read -r reply <&3 || break
            printf '%s\n' "$reply"
        done
        echo closed
    "#;
    group.spawn("bash", &["-c", script, target, &port.to_string()])
}

/// At an address or all, wherever the service is.
fn cut_at(address: Option<IpAddr>, port: u16, kept: &Kept<'_>) -> io::Result<u64> {
    let receivers = Receivers {
        address,
        port,
        cgroups: &HashSet::new(),
        uid: None,
    };
    cut_local(&receivers, kept)
}

fn cgroups(hierarchy: &Hierarchy, groups: &[&Group]) -> HashSet<u64> {
    groups
        .iter()
        .map(|group| hierarchy.ancestor(group.path()).unwrap().unwrap().id)
        .collect()
}

#[test]
fn foreign_connections_are_cut_and_the_gateways_live() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    // A peer without a local socket would be kept; none of these is one.
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| true,
    };
    Namespace::new().inside(|| {
        let cases = [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
            ("[::]:0", "::ffff:127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.2"),
        ];
        for (address, target) in cases {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut good = Link::open(&gateway, &listener, target);
            let mut bad = Link::open(&foreign, &listener, target);
            assert!(good.lives() && bad.lives(), "{address} {target}");

            let destroyed = cut_at(None, port, &kept).unwrap();
            assert!((1..=2).contains(&destroyed), "{destroyed}");
            assert!(good.lives(), "{address} {target}");
            assert!(!bad.lives(), "{address} {target}");
            // Nothing is left to do, and the listener was left alone.
            assert_eq!(cut_at(None, port, &kept).unwrap(), 0);
            assert!(Link::open(&foreign, &listener, target).lives());
        }
    });
}

#[test]
fn an_address_is_cut_alone() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let foreign = Group::new(&hierarchy);
    let kept = Kept {
        cgroups: &HashSet::new(),
        uids: &[],
        listed: &|_| false,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut other = Link::open(&foreign, &listener, "127.0.0.1");
        for (address, target) in [
            ("127.0.0.2", "127.0.0.2"),
            ("::ffff:127.0.0.3", "127.0.0.3"),
        ] {
            let mut named = Link::open(&foreign, &listener, target);
            assert!(named.lives() && other.lives());
            let address = Some(address.parse().unwrap());
            assert!(cut_at(address, port, &kept).unwrap() > 0);
            assert!(!named.lives());
            assert!(other.lives());
        }
        // Another port is another endpoint.
        let second = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut elsewhere = Link::open(&foreign, &second, "127.0.0.1");
        assert!(cut_at(None, port, &kept).unwrap() > 0);
        assert!(!other.lives());
        assert!(elsewhere.lives());
    });
}

/// As `ingress` does: an address matters only until a connection meets the service.
#[test]
fn what_the_service_holds_is_cut_on_every_address() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    // The listeners are this process's.
    let own = hierarchy.of_process(std::process::id()).unwrap().id;
    let user = rustix::process::geteuid().as_raw();
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let (ours, theirs) = (HashSet::from([own]), cgroups(&hierarchy, &[&foreign]));
    let kept = Kept {
        cgroups: &cgroups(&hierarchy, &[&gateway]),
        uids: &[],
        listed: &|_| false,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut good = Link::open(&gateway, &listener, "127.0.0.2");
        let mut bad = Link::open(&foreign, &listener, "127.0.0.2");
        let mut cut = |cgroups, uid| {
            let receivers = Receivers {
                address: Some("127.0.0.1".parse().unwrap()),
                port,
                cgroups,
                uid,
            };
            let destroyed = cut_local(&receivers, &kept).unwrap();
            assert!(good.lives());
            destroyed
        };
        // Others' sockets, and those of other users in the service's cgroup, are no service.
        assert_eq!(cut(&theirs, None), 0);
        assert_eq!(cut(&ours, Some(user + 1)), 0);
        assert!(bad.lives());
        assert!(cut(&ours, Some(user)) > 0);
        assert!(!bad.lives());
        let mut bad = Link::open(&foreign, &listener, "::1");
        assert!(cut(&ours, None) > 0);
        assert!(!bad.lives());

        // Whose it will be is not always known before it is accepted.
        let mut bad = client(&foreign, "127.0.0.2", port);
        assert_eq!(bad.line(), "connected");
        assert!(cut(&ours, Some(user)) > 0);
        bad.tell("ping");
        assert_eq!(bad.line(), "closed");
    });
}

#[test]
fn a_peer_that_is_bound_to_an_interface_is_found() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let namespace = Namespace::new();
    let own: IpAddr = "192.0.2.1".parse().unwrap();
    namespace.ip(&["addr", "add", "192.0.2.1/32", "dev", "lo"]);
    namespace.inside(|| {
        let listener = TcpListener::bind((own, 0)).unwrap();
        let port = listener.local_addr().unwrap();
        let script = "
            import socket, sys
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')
            s.connect((sys.argv[1], int(sys.argv[2])))
            print('connected', flush=True)
            try:
                for line in sys.stdin:
                    s.sendall(line.encode())
                    reply = s.recv(100)
                    if not reply: break
                    print(reply.decode(), end='', flush=True)
            except OSError: pass
            print('closed', flush=True)
        ";
        let script = script.replace("\n            ", "\n");
        let link = |group: &Group| {
            let target = [port.ip().to_string(), port.port().to_string()];
            let client = group.spawn("python3", &["-c", &script, &target[0], &target[1]]);
            Link::accept(client, &listener)
        };
        let (mut good, mut bad) = (link(&gateway), link(&foreign));
        assert!(good.lives() && bad.lives());
        // Though its address is listed: it is no peer elsewhere.
        let kept = Kept {
            cgroups: &cgroups,
            uids: &[],
            listed: &|address| address == own,
        };
        assert!(cut_at(None, port.port(), &kept).unwrap() > 0);
        assert!(good.lives());
        assert!(!bad.lives());
    });
}

#[test]
fn peers_elsewhere_live_if_they_are_listed() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    // Its cgroup has no say: it is no local peer of the service's namespace.
    let group = Group::new(&hierarchy);
    let cgroups = cgroups(&hierarchy, &[&group]);
    let (service, elsewhere) = (Namespace::new(), Namespace::new());
    let ours = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let theirs = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    service.connect(&elsewhere, &ours, &theirs);
    for (our, their) in ours.into_iter().zip(theirs) {
        let listener = service.inside(|| TcpListener::bind((our, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        let client = elsewhere.inside(|| client(&group, &our.to_string(), port));
        let mut link = Link::accept(client, &listener);
        assert!(link.lives());
        let cut = |listed: IpAddr| {
            service.inside(|| {
                let kept = Kept {
                    cgroups: &cgroups,
                    uids: &[],
                    listed: &|address| address == listed,
                };
                cut_at(None, port, &kept).unwrap()
            })
        };
        assert_eq!(cut(their), 0);
        assert!(link.lives());
        assert_eq!(cut(our), 1);
        assert!(!link.lives());
    }
}

#[test]
fn who_is_unknown_is_not_kept() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let gateway = Group::new(&hierarchy);
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| true,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _link = Link::open(&gateway, &listener, "127.0.0.1");
        let mut kernel = Connection::open().unwrap();
        let service = kernel.list(port, 0).unwrap()[0];
        let peer = kernel.list(0, port).unwrap()[0];
        assert!(kept.connection(&service, &[peer]));
        // A list that lacks the peer does no harm.
        assert_eq!(
            peers(&mut kernel, &HashMap::new(), &service).unwrap(),
            [peer]
        );
        let mut unknown = peer;
        unknown.cgroup = None;
        assert!(!kept.connection(&service, &[unknown]));
        // Of several only one can be the other end, and the kept one is; before the handshake is
        // complete it may be any of them.
        assert!(kept.connection(&service, &[unknown, peer]));
        let mut opens = service;
        opens.opens = true;
        assert!(!kept.connection(&opens, &[unknown, peer]));
        assert!(kept.connection(&opens, &[peer, peer]));
        // What tries to connect is not connected.
        let mut trying = peer;
        trying.opens = true;
        let ends = (peer.local, peer.remote);
        let far = HashMap::from([(ends, vec![trying])]);
        assert_eq!(peers(&mut kernel, &far, &service).unwrap(), [peer]);
        let far = HashMap::from([(ends, vec![trying, peer])]);
        assert_eq!(peers(&mut kernel, &far, &service).unwrap(), [peer]);
        assert_eq!(peers(&mut kernel, &far, &opens).unwrap(), [trying, peer]);
        // From loopback, but no socket there: the list does not count.
        assert!(!kept.connection(&service, &[]));
        let mut elsewhere = service;
        elsewhere.remote = "192.0.2.7:40000".parse().unwrap();
        assert!(kept.connection(&elsewhere, &[]));
    });
}

#[test]
fn what_is_closing_is_no_fault() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| true,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut good = Link::open(&gateway, &listener, "127.0.0.1");
        // The service's end becomes a remnant: at once, or a little later.
        let bad = Link::open(&foreign, &listener, "127.0.0.1");
        drop(bad.server);
        let destroyed = cut_at(None, port, &kept).unwrap();
        assert!((1..=2).contains(&destroyed), "{destroyed}");
        // Both ends are remnants, or gone.
        let bad = Link::open(&foreign, &listener, "127.0.0.1");
        drop(bad.client);
        drop(bad.server);
        cut_at(None, port, &kept).unwrap();
        assert_eq!(cut_at(None, port, &kept).unwrap(), 0);
        assert!(good.lives());
    });
}

#[test]
fn a_remnant_is_left_alone() {
    if !sandbox::is_root() {
        return;
    }
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let _server = listener.accept().unwrap();
        let mut kernel = Connection::open().unwrap();
        assert!(!kernel.list(0, address.port()).unwrap()[0].remnant);
        drop(client);
        let remnant = sandbox::within_patience(|| {
            let sockets = kernel.list(0, address.port()).unwrap();
            sockets.into_iter().find(|socket| socket.remnant)
        });
        assert!(!kernel.destroy(&remnant.unwrap()).unwrap());
    });
}

#[test]
fn connections_to_a_remote_endpoint_are_cut() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let (here, elsewhere) = (Namespace::new(), Namespace::new());
    let ours = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let theirs = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    here.connect(&elsewhere, &ours, &theirs);
    for their in theirs {
        let [listener, other] =
            elsewhere.inside(|| [0; 2].map(|port| TcpListener::bind((their, port)).unwrap()));
        let endpoint = listener.local_addr().unwrap();
        let link = |group: &Group, listener: &TcpListener| {
            here.inside(|| Link::open(group, listener, &their.to_string()))
        };
        let mut good = link(&gateway, &listener);
        let mut bad = link(&foreign, &listener);
        let mut other_endpoint = link(&foreign, &other);
        assert!(good.lives() && bad.lives() && other_endpoint.lives());
        let cut = |endpoint: SocketAddr| {
            here.inside(|| {
                let kept = Kept {
                    cgroups: &cgroups,
                    uids: &[],
                    listed: &|_| true,
                };
                cut_remote(endpoint, &kept).unwrap()
            })
        };
        let our = match endpoint {
            SocketAddr::V4(_) => ours[0],
            SocketAddr::V6(_) => ours[1],
        };
        assert_eq!(cut(SocketAddr::new(our, endpoint.port())), 0);
        let mapped = match endpoint.ip() {
            IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        };
        assert_eq!(cut(SocketAddr::new(mapped, endpoint.port())), 1);
        assert!(good.lives());
        assert!(!bad.lives());
        assert!(other_endpoint.lives());
    }
}

#[test]
fn many_are_cut_at_once() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let gateway = Group::new(&hierarchy);
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| true,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut good = Link::open(&gateway, &listener, "127.0.0.1");
        // More than fit in one piece of a list, which is 32 KiB. They are this process's: foreign.
        let pairs: Vec<_> = (0..400)
            .map(|_| {
                let client = TcpStream::connect(address).unwrap();
                (client, listener.accept().unwrap().0)
            })
            .collect();
        let destroyed = cut_at(None, address.port(), &kept).unwrap();
        assert!((400..=800).contains(&destroyed), "{destroyed}");
        for (client, server) in pairs {
            for mut end in [client, server] {
                assert!(end.write_all(b"x").is_err());
            }
        }
        assert!(good.lives());
    });
}

#[test]
fn a_connection_nobody_accepted_is_cut() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| true,
    };
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut bad = client(&foreign, "127.0.0.1", port);
        assert_eq!(bad.line(), "connected");
        assert!(cut_at(None, port, &kept).unwrap() > 0);
        bad.tell("ping");
        assert_eq!(bad.line(), "closed");
        // The service accepts a dead one.
        let (mut dead, _) = listener.accept().unwrap();
        assert!(dead.read(&mut [0]).is_err());
        let mut good = Link::open(&gateway, &listener, "127.0.0.1");
        assert_eq!(cut_at(None, port, &kept).unwrap(), 0);
        assert!(good.lives());
    });
}

#[test]
fn without_the_capability_it_is_refused() {
    // The kernel can do it, for whoever asks.
    check().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let kept = Kept {
        cgroups: &HashSet::new(),
        uids: &[],
        listed: &|_| false,
    };
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::NET_ADMIN);
    // Of this thread alone, and it ends with the test.
    rustix::thread::set_capabilities(None, sets).unwrap();
    let error = cut_at(None, address.port(), &kept).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    client.write_all(b"x").unwrap();
}

#[test]
fn an_excepted_user_is_kept() {
    if sandbox::hierarchy().is_none() {
        return;
    }
    let cgroups = HashSet::new();
    let user = rustix::process::geteuid().as_raw();
    Namespace::new().inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut service, _) = listener.accept().unwrap();
        let cut = |uids: &[u32]| {
            let kept = Kept {
                cgroups: &cgroups,
                uids,
                listed: &|_| false,
            };
            cut_at(None, address.port(), &kept).unwrap()
        };
        assert_eq!(cut(&[user]), 0);
        client.write_all(b"x").unwrap();
        service.read_exact(&mut [0]).unwrap();
        assert!(cut(&[user + 1]) > 0);
        assert!(service.read(&mut [0]).is_err());
    });
}
