//! The relay itself: each order does what it says, in its direction and after its byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::harness::poll;

#[test]
fn without_orders_everything_passes() {
    let (relay, mut near, mut far) = pair(&[]);
    near.write_all(b"up").unwrap();
    far.write_all(b"down").unwrap();
    assert_eq!(
        (read(&mut far, 2), read(&mut near, 4)),
        (b"up".to_vec(), b"down".to_vec())
    );
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(far.read(&mut [0]).unwrap(), 0, "a half-close passes");
    far.write_all(b"more").unwrap();
    assert_eq!(read(&mut near, 4), b"more");
    assert_eq!(relay.open(), 1);
    drop(far);
    assert_eq!(near.read(&mut [0]).unwrap(), 0);
    poll::until("both directions have ended", || {
        (relay.open() == 0).then_some(())
    });
    assert_eq!(
        (
            relay.passed(Way::Up),
            relay.passed(Way::Down),
            relay.struck()
        ),
        (2, 8, 0)
    );
}

#[test]
fn a_cut_ends_both_sides_after_its_byte() {
    let (relay, mut near, mut far) = pair(&[order(Way::Down, 3, Fault::Cut)]);
    far.write_all(b"12").unwrap();
    assert_eq!(read(&mut near, 2), b"12");
    assert_eq!(relay.struck(), 0);
    far.write_all(b"3456").unwrap();
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"3");
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    assert_eq!((relay.struck(), relay.open()), (1, 0));
    let (first, second) = (relay.struck_on(0), relay.struck_on(1));
    assert_eq!((first, second), (1, 0), "by connection");
}

#[test]
fn a_reset_resets_both_sides() {
    let (relay, mut near, mut far) = pair(&[order(Way::Up, 2, Fault::Reset)]);
    near.write_all(b"1234").unwrap();
    assert_eq!(read(&mut far, 2), b"12");
    for side in [&mut near, &mut far] {
        let error = side.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(relay.struck(), 1);
}

#[test]
fn a_loss_is_silent_and_of_one_direction() {
    let (relay, mut near, mut far) = pair(&[order(Way::Up, 1, Fault::Lose)]);
    near.write_all(b"1234").unwrap();
    assert_eq!(read(&mut far, 1), b"1");
    far.write_all(b"down").unwrap();
    assert_eq!(read(&mut near, 4), b"down");
    silent(&mut far);
    drop(near);
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    assert_eq!(relay.passed(Way::Up), 1);
}

#[test]
fn a_stall_takes_nothing_and_ends_in_a_reset() {
    let stall = Fault::Stall(Duration::from_millis(300));
    let (_relay, mut near, mut far) = pair(&[order(Way::Up, 1, stall)]);
    near.write_all(b"1234").unwrap();
    assert_eq!(read(&mut far, 1), b"1");
    silent(&mut far);
    let error = far.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(near.read(&mut [0]).is_err());
}

#[test]
fn a_delay_loses_nothing() {
    let delay = Fault::Delay(Duration::from_millis(200));
    let (relay, mut near, mut far) = pair(&[order(Way::Up, 1, delay)]);
    near.write_all(b"1234").unwrap();
    assert_eq!(read(&mut far, 1), b"1");
    silent(&mut far);
    assert_eq!(read(&mut far, 3), b"234");
    assert_eq!((relay.struck(), relay.open()), (1, 1));
}

#[test]
fn a_fault_can_strike_at_once() {
    for fault in [Fault::Cut, Fault::Reset] {
        let (relay, mut near, mut far) = pair(&[]);
        near.write_all(b"1").unwrap();
        assert_eq!(read(&mut far, 1), b"1");
        relay.strike(Way::Up, fault);
        for side in [&mut near, &mut far] {
            assert!(matches!(side.read(&mut [0]), Ok(0) | Err(_)), "{fault:?}");
        }
    }
}

#[test]
fn nobody_behind_it_is_a_reset() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = unused.local_addr().unwrap();
    drop(unused);
    let relay = Relay::to(target);
    let mut near = TcpStream::connect(relay.address()).unwrap();
    assert!(near.read(&mut [0]).is_err());
}

fn order(way: Way, after: u64, fault: Fault) -> Order {
    Order { way, after, fault }
}

/// A relay with both ends of one connection through it.
fn pair(orders: &[Order]) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::to(listener.local_addr().unwrap());
    relay.next(orders);
    let near = TcpStream::connect(relay.address()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for side in [&near, &far] {
        side.set_read_timeout(Some(poll::patience())).unwrap();
    }
    (relay, near, far)
}

fn read(side: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    side.read_exact(&mut bytes).unwrap();
    bytes
}

/// Nothing comes for half of the time that the faults here last.
fn silent(side: &mut TcpStream) {
    side.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = side.read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    side.set_read_timeout(Some(poll::patience())).unwrap();
}
