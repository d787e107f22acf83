//! Somebody who does one thing after the other, on connections that live for a while.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gateway_tests::harness::{Client, Gateway, Random};
use gateway_tests::relay::Relay;

use crate::failure::{Failure, Struck};
use crate::report::Counts;
use crate::work::Work;

/// One visitor. All its requests go one after the other, through relays of its own: nothing but a
/// fault that struck its connection, or the far leg since its last request, explains that one of
/// them broke off.
pub(crate) struct Visitor {
    number: u64,
    random: Random,
    way: Option<Way>,
    client: Option<Client>,
    /// How many connections it has opened.
    opened: usize,
    /// How many faults had struck before, on each leg.
    known: Faults,
}

/// How many faults have struck on each leg.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    far: usize,
    near: usize,
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
            opened: 0,
            known: Faults::default(),
        }
    }

    /// Does one thing, checks what came of it, and counts it.
    pub(crate) fn work(&mut self, gateway: &Gateway, counts: &Counts) {
        let work = Work::choose(&mut self.random);
        let mount = format!("/v{}", self.number);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut client = match self.client.take() {
                Some(client) => client,
                None => self.connect(gateway)?,
            };
            let outcome = work.done(&mount, &mut client, &mut self.random);
            self.client = Some(client);
            outcome
        }));
        let outcome = outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            // A message that no client can read, or silence.
            Err(Failure::Wrong(
                text.unwrap_or_else(|| "a panic without a text".to_owned()),
            ))
        });
        let faults = self.faults();
        let known = std::mem::replace(&mut self.known, faults);
        let struck = Struck {
            far: faults.far > known.far,
            near: self.connection_was_struck(),
        };
        let faults = faults.far + faults.near - known.far - known.near;
        counts.count(self.number, work, &outcome, faults, struck);
        // A connection with a fault on it may show that later; it is done with.
        if outcome != Ok(true) || faults > 0 || self.random.once_in(8) {
            self.leave();
        }
    }

    /// Ends its connection.
    pub(crate) fn leave(&mut self) {
        self.client = None;
    }

    fn connect(&mut self, gateway: &Gateway) -> Result<Client, Failure> {
        self.opened += 1;
        let near = match &self.way {
            Some(way) => way.near.address(),
            None => gateway.address(),
        };
        gateway
            .try_client_by(near)
            .map_err(|error| Failure::io("the TLS handshake", &error))
    }

    fn faults(&self) -> Faults {
        self.way
            .as_ref()
            .map_or_else(Faults::default, |way| Faults {
                far: way.far.struck(),
                near: way.near.struck(),
            })
    }

    /// Whether a fault has struck the connection that it opened last.
    fn connection_was_struck(&self) -> bool {
        let last = self.opened.checked_sub(1);
        let struck = self.way.as_ref().zip(last);
        struck.is_some_and(|(way, last)| way.near.struck_on(last) > 0)
    }
}
