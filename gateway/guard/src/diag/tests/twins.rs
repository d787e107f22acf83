//! Sockets with the same addresses.

use super::*;

/// Two sockets can have the same addresses, if one is bound to an interface: which takes nothing.
#[test]
fn what_has_the_gateways_addresses_does_not_harm_it() {
    let Some(hierarchy) = sandbox::hierarchy() else {
        return;
    };
    let (gateway, foreign) = (Group::new(&hierarchy), Group::new(&hierarchy));
    let cgroups = cgroups(&hierarchy, &[&gateway]);
    let kept = Kept {
        cgroups: &cgroups,
        uids: &[],
        listed: &|_| false,
    };
    for ip in ["127.0.0.1", "::1"] {
        Namespace::new().inside(|| {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            // The next ones have but this port to choose.
            std::fs::write(PORT_RANGE, "40777 40777").unwrap();
            let mut kernel = Connection::open().unwrap();
            let twin = |how: &str| {
                let mut twin = foreign.spawn("python3", &["-c", TWIN, ip, &port.to_string(), how]);
                assert_eq!(twin.line(), "there");
                twin
            };

            // It has not sent anything, and waits.
            let _waiting = twin("waits");
            let mut good = Link::open(&gateway, &listener, ip);
            assert_eq!(kernel.list(0, port).unwrap().len(), 2);
            assert_eq!(cut_at(None, port, &kept).unwrap(), 0);
            assert!(good.lives());
            drop(good);

            // It has not heard that its own connection is gone.
            std::fs::write(PORT_RANGE, "40779 40779").unwrap();
            let _deaf = twin("deaf");
            let service = kernel.list(port, 0).unwrap();
            let service = service.iter().find(|end| end.remote.port() == 40779);
            assert!(kernel.destroy(service.unwrap()).unwrap());
            drop(listener.accept().unwrap());
            let mut good = Link::open(&gateway, &listener, ip);
            assert_eq!(good.server.get_ref().peer_addr().unwrap().port(), 40779);
            cut_at(None, port, &kept).unwrap();
            assert!(good.lives());
        });
    }
}

/// Connects on lo, at once or with the first bytes, or so that it hears nothing any more
/// (SO_ATTACH_FILTER).
const TWIN: &str = "
import array, socket, struct, sys
target, port, how = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in target else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')
if how == 'waits':
    TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE = 30, 34
    s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
s.connect((target, int(port)))
if how == 'deaf':
    nothing = array.array('B', struct.pack('HBBI', 6, 0, 0, 0))
    SO_ATTACH_FILTER = 26
    program = struct.pack('HP', 1, nothing.buffer_info()[0])
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
print('there', flush=True)
sys.stdin.read()
";
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
