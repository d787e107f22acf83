//! Whose turn it is to write, where a connection has room for less than all want.
//!
//! When some of what is on its way has arrived, quinn wakes everybody who waits for room; who is first
//! takes all of it, and it is the last to have waited who is woken first. Of three that always have
//! more to write, one would never get anything. So who has waited longest goes first: the others step
//! back once, behind all who were woken with them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The writers of one connection that wait, by their streams; who has waited longest is first.
#[derive(Debug, Default)]
pub(super) struct Turns(RefCell<VecDeque<u64>>);

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
        let back =
            self.state == State::Waits && self.turns.0.borrow().front() != Some(&self.stream);
        if back {
            self.state = State::SteppedBack;
        }
        back
    }

    /// Notes that there was no room.
    pub(super) fn wait(&mut self) {
        if self.state == State::Free {
            self.turns.0.borrow_mut().push_back(self.stream);
        }
        self.state = State::Waits;
    }

    /// Notes that it waits no more: it has written, or never will.
    pub(super) fn leave(&mut self) {
        if self.state != State::Free {
            self.state = State::Free;
            self.turns
                .0
                .borrow_mut()
                .retain(|other| *other != self.stream);
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
        two.leave();
        two.wait();
        assert!(two.steps_back() && three.steps_back() && !one.steps_back());
        drop(one);
        three.wait();
        assert!(!three.steps_back());
        three.leave();
        two.leave();
        assert!(turns.0.borrow().is_empty());
    }
}
