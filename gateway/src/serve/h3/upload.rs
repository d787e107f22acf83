//! A request's stream, as far as it is read: its frames, and the body as slices of what came.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, VarInt};
use wire::h1::{Body, Chunked};
use wire::h3::{Code, DataCount, Error, Event, Message, SectionError, Side, check_trailers};

use crate::quic::wire_code;
use crate::serve::body::FlowError;
use crate::serve::leg::{Source, Upload};

/// The client's side of a request stream.
#[derive(Debug)]
pub(super) struct Reader {
    stream: RecvStream,
    message: Message,
    count: DataCount,
    /// What came and was not taken.
    pending: VecDeque<Bytes>,
    max_section: u64,
    /// All has come.
    ended: bool,
    /// Nothing more is read.
    stopped: bool,
    /// What was wrong with what came.
    fault: Option<Error>,
    /// With which code the client broke it off.
    reset: Option<VarInt>,
}

/// What a head was.
pub(super) enum Head {
    /// A field section.
    Section(Bytes),
    /// More than fits.
    TooLarge,
}

/// Why no head came.
pub(super) enum NoHead {
    /// The client broke a rule.
    Fault(Error),
    /// It gave the request up, or is gone.
    Gone,
}

impl Reader {
    pub(super) fn new(stream: RecvStream, max_section: u64) -> Self {
        // A section is hardly larger encoded than decoded: a literal costs a few bytes for lengths.
        let most = usize::try_from(max_section).unwrap_or(usize::MAX);
        Self {
            stream,
            message: Message::new(Side::Server, most),
            count: DataCount::new(Body::Chunked),
            pending: VecDeque::new(),
            max_section,
            ended: false,
            stopped: false,
            fault: None,
            reset: None,
        }
    }

    /// Reads the head.
    pub(super) async fn head(&mut self) -> Result<Head, NoHead> {
        loop {
            while let Some(front) = self.pending.front_mut() {
                match self.message.read(front) {
                    Ok(Event::Head(section)) => return Ok(Head::Section(section)),
                    Ok(Event::NeedMore) => drop(self.pending.pop_front()),
                    Ok(Event::TooLarge) => return Ok(Head::TooLarge),
                    Ok(Event::Data(_) | Event::Trailers(_)) => {
                        debug_assert!(false, "a message that does not begin with its head");
                        return Err(NoHead::Gone);
                    }
                    Err(error) => return Err(self.broken(error)),
                }
            }
            if self.ended {
                return Err(match self.message.end() {
                    Err(error) => self.broken(error),
                    Ok(()) => NoHead::Gone,
                });
            }
            if poll_fn(|cx| self.poll_more(cx)).await.is_err() {
                return Err(NoHead::Gone);
            }
        }
    }

    /// What follows the head is a body with that framing.
    pub(super) fn expect(&mut self, body: Body) {
        self.count = DataCount::new(body);
    }

    /// Waits until something has come behind the head, or its end.
    pub(super) fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.has_pending() && !self.ended {
            if ready!(self.poll_more(cx)).is_err() {
                // It is said when it is read.
                break;
            }
        }
        Poll::Ready(())
    }

    /// Whether all has come, and nothing behind the head.
    pub(super) fn is_empty(&self) -> bool {
        self.ended && !self.has_pending()
    }

    /// What follows the head is a tunnel (RFC 9220 §3).
    pub(super) fn tunnel(&mut self) {
        self.message.tunnel();
    }

    /// The next payload; `None` if more has to come.
    pub(super) fn take(&mut self) -> Result<Chunked, FlowError> {
        while let Some(front) = self.pending.front_mut() {
            let step = match self.message.read(front) {
                Ok(Event::Data(data)) => {
                    let counted = self.count.take(data.len());
                    counted.map(|()| Some(data))
                }
                Ok(Event::NeedMore) => {
                    self.pending.pop_front();
                    Ok(None)
                }
                // They are checked, and dropped: none may become a header.
                Ok(Event::Trailers(section)) => check_trailers(&section, self.max_section)
                    .map(|()| None)
                    .map_err(|error| error.as_error()),
                Ok(Event::TooLarge) => Err(SectionError::TooLarge.as_error()),
                Ok(Event::Head(_)) => {
                    debug_assert!(false, "a second head is trailers");
                    Ok(None)
                }
                Err(error) => Err(error),
            };
            match step {
                Ok(Some(data)) => return Ok(Chunked::Data(data)),
                Ok(None) => {}
                Err(error) => return Err(self.malformed(error)),
            }
        }
        if !self.ended {
            return Ok(Chunked::NeedMore);
        }
        match self.message.end().and_then(|()| self.count.end()) {
            Ok(()) => Ok(Chunked::End),
            Err(error) => Err(self.malformed(error)),
        }
    }

    /// Receives more, or the end. To be asked when all was taken.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        if self.stopped {
            return Poll::Ready(Err(ReadError::ClosedStream));
        }
        let mut pieces = [const { Bytes::new() }; BATCH];
        let read = {
            let read = self.stream.read_chunks(&mut pieces);
            ready!(pin!(read).poll(cx))
        };
        match read {
            Ok(Some(count)) => self.pending.extend(pieces.into_iter().take(count)),
            Ok(None) => self.ended = true,
            Err(error) => {
                self.stopped = true;
                if let ReadError::Reset(code) = error {
                    self.reset = Some(code);
                }
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether something came that was not taken.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.iter().all(Bytes::is_empty)
    }

    /// Whether all has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What was wrong with what came.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault
    }

    /// With which code the client broke it off, if it did and that came before it was stopped.
    pub(super) fn reset(&self) -> Option<u64> {
        self.reset.map(VarInt::into_inner)
    }

    /// Reads nothing more, unless all has come.
    pub(super) fn stop(&mut self, code: Code) {
        if !self.ended && !self.stopped {
            self.stopped = true;
            {
                let reset = pin!(self.stream.received_reset());
                // Only what came already is of interest.
                if let Poll::Ready(Ok(reset)) = reset.poll(&mut Context::from_waker(Waker::noop()))
                {
                    self.reset = reset;
                }
            }
            // It fails if the client has ended the stream meanwhile, which is as well.
            let _ = self.stream.stop(wire_code(code));
        }
    }

    fn broken(&mut self, error: Error) -> NoHead {
        self.fault = Some(error);
        NoHead::Fault(error)
    }

    fn malformed(&mut self, error: Error) -> FlowError {
        self.fault = Some(error);
        FlowError::Malformed(error)
    }
}

/// A request's body.
pub(in crate::serve) struct Up<'a> {
    pub(super) reader: &'a mut Reader,
    /// Bytes that came, with framing.
    pub(super) received: &'a Cell<u64>,
    /// It is a tunnel's: what comes is no body.
    pub(super) tunnel: bool,
}

impl Source for Up<'_> {
    fn take(&mut self) -> Result<Chunked, FlowError> {
        match self.tunnel {
            true => Ok(Chunked::End),
            false => self.reader.take(),
        }
    }

    fn take_received(&mut self) -> bool {
        // quinn has no cheaper way to ask than to read, and what it has comes in one piece.
        false
    }

    async fn read(&mut self) -> Result<bool, FlowError> {
        let more = poll_fn(|cx| self.reader.poll_more(cx)).await;
        let come: usize = self.reader.pending.iter().map(Bytes::len).sum();
        self.received.set(self.received.get() + come as u64);
        match more {
            Ok(()) => Ok(true),
            Err(ReadError::ClosedStream | ReadError::Reset(_)) => Err(FlowError::Ended),
            Err(error) => Err(FlowError::Read(io::Error::other(error))),
        }
    }
}

impl Upload for Up<'_> {
    /// Nothing that comes behind a whole request could tell; the answer's stream does.
    async fn departure(&mut self) -> FlowError {
        std::future::pending().await
    }
}

/// The most pieces of one read: packets, that is.
const BATCH: usize = 32;
