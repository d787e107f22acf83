//! What clients do while they move.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use gateway_tests::harness::{ALICE, Http3, Http3Stream, Request, poll};

use super::site::{DOWNLOAD, PLACES, Site, UPLOAD, body};

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exchange {
    Download,
    Upload,
}

/// An exchange in the middle of which its client moves three times, each time to another address and
/// port. From each place something comes through before it leaves.
pub(super) struct Moving<'s> {
    site: &'s Site<'s>,
    client: &'s Http3,
    exchange: Exchange,
    stream: Http3Stream<'s>,
    /// Where it goes, the last place first.
    route: Vec<IpAddr>,
    /// How often it has moved.
    moved: usize,
    /// How many datagrams had gone astray when it did.
    strays: u64,
    received: Vec<u8>,
}

/// A worker that has not the connection gets its datagrams, and nothing comes on.
#[derive(Debug)]
pub(super) struct Lost;

impl Exchange {
    pub(super) const ALL: [Self; 2] = [Self::Download, Self::Upload];
}

impl<'s> Moving<'s> {
    /// Begins one of a client that is at the first of the [`PLACES`] of a family.
    #[track_caller]
    pub(super) fn begin(
        site: &'s Site<'s>,
        client: &'s Http3,
        exchange: Exchange,
        family: usize,
    ) -> Self {
        let stream = match exchange {
            Exchange::Download => {
                let mut stream = client.begin(&Request::get("/content/1/").by(&ALICE));
                stream.finish();
                stream
            }
            Exchange::Upload => {
                let mut stream = site.upload(client);
                stream.send_data(part(0));
                stream
            }
        };
        let [own, elsewhere] = PLACES[family].map(|place| place.parse().unwrap());
        Self {
            site,
            client,
            exchange,
            stream,
            route: vec![elsewhere, own, elsewhere],
            moved: 0,
            strays: site.strays(),
            received: Vec::new(),
        }
    }

    /// Moves, and goes on to the end. Who was lost may go on later. Fails the test if the connection
    /// is ended.
    #[track_caller]
    pub(super) fn go(&mut self) -> Result<(), Lost> {
        while let Some(place) = self.route.last().copied() {
            self.come_through()?;
            self.route.pop();
            self.strays = self.site.strays();
            self.site.inside(|| self.client.move_to(place));
            self.moved += 1;
            if let Exchange::Upload = self.exchange {
                self.stream.send_data(part(self.moved));
                if self.route.is_empty() {
                    self.stream.finish();
                }
            }
        }
        while let Some(bytes) = self.read()? {
            self.received.extend_from_slice(&bytes);
        }
        // An answer of known length is one frame.
        assert!(self.received.ends_with(match self.exchange {
            Exchange::Download => body(DOWNLOAD),
            Exchange::Upload => b"ok",
        }));
        Ok(())
    }

    /// Goes on until something has come through that was not on its way when the client came here.
    #[track_caller]
    fn come_through(&mut self) -> Result<(), Lost> {
        match self.exchange {
            Exchange::Download => {
                while self.received.len() < (3 * self.moved + 1) * (DOWNLOAD / 12) {
                    let bytes = self.read()?.expect("there is more to come");
                    self.received.extend_from_slice(&bytes);
                }
                Ok(())
            }
            Exchange::Upload => poll::until("an upload comes on, or is lost", || {
                let arrived = || self.site.uploaded() > (self.moved * PART) as u64;
                let arrives = || arrived().then_some(());
                match poll::within(SILENCE, arrives) {
                    Some(()) => Some(Ok(())),
                    None => self.is_astray().then_some(Err(Lost)),
                }
            }),
        }
    }

    /// Reads of the answer; none at its end.
    #[track_caller]
    fn read(&mut self) -> Result<Option<Bytes>, Lost> {
        poll::until("an answer comes on, or is lost", || {
            match self.stream.read_within(SILENCE) {
                Some(read) => Some(Ok(read.expect("nobody ends the connection"))),
                None => self.is_astray().then_some(Err(Lost)),
            }
        })
    }

    fn is_astray(&self) -> bool {
        self.site.strays() > self.strays
    }
}

/// What is uploaded from a place.
fn part(place: usize) -> &'static [u8] {
    &body(UPLOAD)[place * PART..][..PART]
}

const PART: usize = UPLOAD / 4;

/// How long nothing must have come on of what is lost.
const SILENCE: Duration = Duration::from_secs(1);
