//! Answers that are over for us, and on their way to the client: QUIC has taken all of them, and forgets
//! what it has not sent when a connection is closed.

use std::cell::RefCell;

use super::writer::Writer;

/// Such answers of one connection. There are never more than twice as many as QUIC has: those that have
/// arrived are let go when there is no room for one more.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged(RefCell<Vec<Writer>>);

impl Unacknowledged {
    /// Keeps an answer until it has arrived.
    pub(super) fn keep(&self, answer: Writer) {
        let mut answers = self.0.borrow_mut();
        if answers.len() == answers.capacity() {
            answers.retain(|answer| !answer.has_arrived());
            if answers.len() > answers.capacity() / 2 {
                // So that most come without a look at the others.
                let room = answers.capacity();
                answers.reserve(room);
            }
        }
        answers.push(answer);
    }

    /// Whether all have arrived.
    pub(super) fn have_arrived(&self) -> bool {
        let mut answers = self.0.borrow_mut();
        answers.retain(|answer| !answer.has_arrived());
        answers.is_empty()
    }
}
