//! Whose turn it is to write, where a connection has room for less than all want.
//!
//! When some of what is on its way has arrived, quinn wakes everybody who waits for room; who is first
//! takes all of it, and it is the last to have waited who is woken first. Of three that always have
//! more to write, one would never get anything. So who has waited longest goes first: the others step
//! back once, behind all who were woken with them.
//!
//! Somebody may wait for room of another kind: a stream of which the client reads nothing has none of
//! its own, and is not woken. Who is passed over holds nobody up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The writers of one connection that wait; who has waited longest is first.
#[derive(Debug, Default)]
pub(super) struct Turns(RefCell<VecDeque<Waiter>>);

#[derive(Debug)]
struct Waiter {
    stream: u64,
    /// It was woken, and did not try again yet.
    woken: bool,
    /// Somebody behind it has written, and it was not woken since.
    passed: bool,
}

/// A writer's place among those that wait.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Rc<Turns>,
    stream: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It does not wait.
    Free,
    /// It waits, and has stepped back for those before it.
    SteppedBack,
    /// It waits.
    Waits,
}

impl Turn {
    pub(super) fn new(turns: &Rc<Turns>, stream: u64) -> Self {
        Self {
            turns: Rc::clone(turns),
            stream,
            state: State::Free,
        }
    }

    /// Whether others are to try before; said once for each time that it waits.
    pub(super) fn steps_back(&mut self) -> bool {
        if self.state != State::Waits {
            return false;
        }
        let mut back = false;
        for waiter in self.turns.0.borrow_mut().iter_mut() {
            if waiter.stream == self.stream {
                (waiter.woken, waiter.passed) = (true, false);
                break;
            }
            back |= !waiter.passed;
        }
        if back {
            self.state = State::SteppedBack;
        }
        back
    }

    /// Notes that there was no room.
    pub(super) fn wait(&mut self) {
        let mut waiters = self.turns.0.borrow_mut();
        if self.state == State::Free {
            waiters.push_back(Waiter {
                stream: self.stream,
                woken: false,
                passed: false,
            });
        } else if let Some(own) = waiters.iter_mut().find(|one| one.stream == self.stream) {
            own.woken = false;
        }
        self.state = State::Waits;
    }

    /// Notes that it has written, and waits no more.
    pub(super) fn wrote(&mut self) {
        if self.state != State::Free {
            let mut waiters = self.turns.0.borrow_mut();
            let before = waiters.iter_mut();
            for waiter in before.take_while(|one| one.stream != self.stream) {
                waiter.passed |= !waiter.woken;
            }
            drop(waiters);
            self.leave();
        }
    }

    /// Notes that it waits no more.
    fn leave(&mut self) {
        if self.state != State::Free {
            self.state = State::Free;
            let mut waiters = self.turns.0.borrow_mut();
            waiters.retain(|other| other.stream != self.stream);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_goes_first() {
        let turns = Rc::new(Turns::default());
        let [mut one, mut two, mut three] = [1, 2, 3].map(|stream| Turn::new(&turns, stream));
        assert!(!one.steps_back(), "nobody waits");
        for turn in [&mut two, &mut one, &mut three] {
            turn.wait();
        }
        // However they are woken; and each only once, since the first may not be able to.
        assert!(three.steps_back() && one.steps_back() && !two.steps_back());
        assert!(!three.steps_back() && !one.steps_back());
        // In vain keeps the place.
        three.wait();
        one.wait();
        two.wrote();
        two.wait();
        assert!(two.steps_back() && three.steps_back() && !one.steps_back());
        drop(one);
        three.wait();
        assert!(!three.steps_back());
        three.wrote();
        two.wrote();
        assert!(turns.0.borrow().is_empty());
    }

    #[test]
    fn who_is_not_woken_holds_nobody_up() {
        let turns = Rc::new(Turns::default());
        let [mut still, mut one, mut two, mut three] =
            [0, 1, 2, 3].map(|stream| Turn::new(&turns, stream));
        for turn in [&mut still, &mut one, &mut two, &mut three] {
            turn.wait();
        }
        // That it is not is seen when somebody has written; nor is anybody passed who was woken.
        assert!(three.steps_back() && two.steps_back() && one.steps_back());
        assert!(!three.steps_back());
        three.wrote();
        three.wait();
        for turn in [&mut two, &mut one] {
            assert!(!turn.steps_back());
            turn.wait();
        }
        for _ in 0..3 {
            // The last to have waited is woken first.
            assert!(three.steps_back() && two.steps_back() && !one.steps_back());
            one.wrote();
            one.wait();
            for turn in [&mut three, &mut two] {
                assert!(!turn.steps_back());
                turn.wait();
            }
            std::mem::swap(&mut one, &mut two);
            std::mem::swap(&mut two, &mut three);
        }
        // It has its place again once it is.
        assert!(!still.steps_back());
        still.wait();
        assert!(three.steps_back() && two.steps_back() && one.steps_back());
    }
}
