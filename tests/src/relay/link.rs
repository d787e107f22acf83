//! One relayed connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::connect_unspec;

use super::{Fault, Way};

pub(super) struct Link {
    near: TcpStream,
    far: TcpStream,
    /// Orders that came later, by [`Way`].
    orders: [Mutex<Option<Fault>>; 2],
    /// A fault has struck for good: an end in one direction ends the other.
    doomed: AtomicBool,
    /// How many directions have ended.
    ended: AtomicUsize,
}

impl Link {
    pub(super) fn new(near: TcpStream, far: TcpStream) -> Self {
        for socket in [&near, &far] {
            socket.set_nodelay(true).expect("a TCP socket");
        }
        Self {
            near,
            far,
            orders: Default::default(),
            doomed: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
        }
    }

    /// Copies one direction until it ends or is struck. `passed` is told of bytes, `struck` of
    /// each fault before it shows.
    pub(super) fn pump(
        &self,
        way: Way,
        orders: &[(u64, Fault)],
        passed: impl Fn(u64),
        struck: impl Fn(),
    ) {
        let (mut from, mut to) = match way {
            Way::Down => (&self.far, &self.near),
            Way::Up => (&self.near, &self.far),
        };
        let mut orders = orders.iter().peekable();
        let mut losing = false;
        let mut position = 0;
        let mut bytes = [0; 16 * 1024];
        let outcome = loop {
            let count = match from.read(&mut bytes) {
                Ok(0) => break Ok(()),
                Ok(count) => count,
                Err(error) => break Err(error),
            };
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                let late = self.orders[way as usize].lock().unwrap().take();
                let mut due = || orders.next_if(|(after, _)| *after <= position);
                if let Some(fault) = late.or_else(|| due().map(|(_, fault)| *fault)) {
                    struck();
                    losing |= fault == Fault::Lose;
                    if !self.suffer(fault) {
                        return;
                    }
                    continue;
                }
                let until = orders
                    .peek()
                    .map_or(u64::MAX, |(after, _)| after - position);
                let (piece, more) =
                    rest.split_at(rest.len().min(usize::try_from(until).unwrap_or(usize::MAX)));
                rest = more;
                position += piece.len() as u64;
                if losing {
                    continue;
                }
                passed(piece.len() as u64);
                if let Err(error) = to.write_all(piece) {
                    // The other direction notices why.
                    return self.fail(&error);
                }
            }
        };
        match outcome {
            Err(error) => self.fail(&error),
            Ok(()) if self.doomed.load(Ordering::SeqCst) => self.cut(),
            Ok(()) => {
                self.ended.fetch_add(1, Ordering::SeqCst);
                // Its receiver may be gone; then there is nobody to tell.
                let _gone = to.shutdown(Shutdown::Write);
            }
        }
    }

    /// An order from outside.
    pub(super) fn order(&self, way: Way, fault: Fault) {
        match fault {
            Fault::Cut => self.cut(),
            Fault::Reset => self.reset(),
            fault => *self.orders[way as usize].lock().unwrap() = Some(fault),
        }
    }

    /// Ends it in both directions, towards both sides.
    pub(super) fn cut(&self) {
        self.over();
        for socket in [&self.near, &self.far] {
            // Already closed is as good.
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether both directions have ended.
    pub(super) fn is_over(&self) -> bool {
        self.ended.load(Ordering::SeqCst) >= 2
    }

    /// Whether the direction goes on.
    fn suffer(&self, fault: Fault) -> bool {
        match fault {
            Fault::Cut => self.cut(),
            Fault::Delay(time) => {
                std::thread::sleep(time);
                return true;
            }
            Fault::Lose => {
                self.doomed.store(true, Ordering::SeqCst);
                return true;
            }
            Fault::Reset => self.reset(),
            Fault::Stall(time) => {
                self.doomed.store(true, Ordering::SeqCst);
                let begun = Instant::now();
                while begun.elapsed() < time && !self.is_over() {
                    std::thread::sleep(STEP);
                }
                self.reset();
            }
        }
        false
    }

    /// What ended one side in disorder ends the other in the same way.
    fn fail(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionReset {
            self.reset();
        } else {
            self.cut();
        }
    }

    fn reset(&self) {
        if self.is_over() {
            return;
        }
        self.over();
        reset(&self.near);
        reset(&self.far);
    }

    fn over(&self) {
        self.doomed.store(true, Ordering::SeqCst);
        self.ended.store(2, Ordering::SeqCst);
    }
}

/// Resets one side.
pub(super) fn reset(socket: &TcpStream) {
    // A socket that is closed already needs none.
    let _closed = connect_unspec(socket);
}

const STEP: Duration = Duration::from_millis(5);
