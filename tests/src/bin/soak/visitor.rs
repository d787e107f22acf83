//! Somebody who does one thing after the other, on connections that live for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gateway_tests::harness::{Client, Gateway, Random};
use gateway_tests::relay::Relay;

use crate::report::Counts;
use crate::work::Work;

/// One visitor. All its requests go one after the other, through relays of its own: a fault that
/// struck since its last request explains an error, and nothing else does.
pub(crate) struct Visitor {
    number: u64,
    random: Random,
    way: Option<Way>,
    client: Option<Client>,
    struck: usize,
}

/// The relays of a visitor who is plagued.
pub(crate) struct Way {
    /// Before the gateway.
    pub(crate) near: Relay,
    /// Before the back-end.
    pub(crate) far: Relay,
}

impl Visitor {
    pub(crate) fn new(number: u64, random: Random, way: Option<Way>) -> Self {
        Self {
            number,
            random,
            way,
            client: None,
            struck: 0,
        }
    }

    /// Does one thing, checks what came of it, and counts it.
    pub(crate) fn work(&mut self, gateway: &Gateway, counts: &Counts) {
        let work = Work::choose(&mut self.random);
        let mount = format!("/v{}", self.number);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let client = self.client.get_or_insert_with(|| match &self.way {
                Some(way) => gateway.client_by(way.near.address()),
                None => gateway.client(),
            });
            work.done(&mount, client, &mut self.random)
        }));
        let outcome = outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(text.unwrap_or_else(|| "a panic without a text".to_owned()))
        });
        let struck = self.struck();
        let faults = struck - std::mem::replace(&mut self.struck, struck);
        counts.count(self.number, work, &outcome, faults);
        // A connection with a fault on it may show that later; it is done with.
        if outcome != Ok(true) || faults > 0 || self.random.once_in(8) {
            self.leave();
        }
    }

    /// Ends its connection.
    pub(crate) fn leave(&mut self) {
        self.client = None;
    }

    fn struck(&self) -> usize {
        self.way
            .as_ref()
            .map_or(0, |way| way.near.struck() + way.far.struck())
    }
}
