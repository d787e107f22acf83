//! Serving one HTTP/1.1 connection: heads in, one exchange after the other, in order.

mod answer;
mod body;
mod leg;
mod reply;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

pub(super) use body::{Decoder, Received, Sent};
use bytes::{Bytes, BytesMut};
use config::Limits;
use policy::Reason;
use tokio::time::{Duration, Instant, sleep, timeout};
use wire::h1::{HeadEnd, HeadError, has_long_line, parse_request};

use super::leg::Visitor;
use super::pace::Account;
use super::request::{handle, refuse_head};
use super::{After, DRAIN_GRACE};
use crate::buffers::Size;
use crate::shared::Front;
use crate::timer::IdleTimer;
use crate::tls::Transport;
use crate::worker::Worker;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    visitor: Rc<Visitor>,
    transport: Transport,
    /// What has been received and not yet used.
    buffer: BytesMut,
    timer: IdleTimer,
    account: Account,
    /// The memory of the current request's id.
    id: String,
}

impl Client {
    /// A connection after its handshake.
    pub(crate) fn new(
        front: Arc<Front>,
        transport: Transport,
        listener: usize,
        peer: IpAddr,
        sni: Option<Box<str>>,
    ) -> Self {
        Self {
            transport,
            buffer: BytesMut::new(),
            timer: IdleTimer::new(front.timeouts.head),
            account: Account::default(),
            visitor: Rc::new(Visitor {
                front,
                listener,
                peer,
                sni,
            }),
            id: String::new(),
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(worker: &Rc<Worker>, mut client: Client) {
    loop {
        let after = match client.next_head(worker).await {
            Next::Ended => return client.close().await,
            // Boxed: an exchange is many times the size of a connection that waits for one.
            Next::Head(bytes) => Box::pin(client.handle(worker, bytes)).await,
            Next::Refused(reason) => Box::pin(client.refuse_head(worker, reason)).await,
        };
        match after {
            After::Abort => return,
            After::KeepAlive => {
                let idle = client.visitor.front.timeouts.idle;
                client.timer.restart(Instant::now(), idle);
            }
            After::Linger => return client.linger(worker).await,
        }
    }
}

/// What came instead of the next head, or it.
enum Next {
    /// The client is gone, silent, or the process drains.
    Ended,
    /// A whole head.
    Head(Bytes),
    /// Something that is no head.
    Refused(Reason),
}

impl Client {
    async fn next_head(&mut self, worker: &Worker) -> Next {
        let limit = worker.shared.max_head;
        let mut end = HeadEnd::default();
        let mut begun = false;
        let mut hurried = false;
        loop {
            if !self.buffer.is_empty() {
                match end.find(&self.buffer) {
                    Ok(Some(length)) if length <= limit => {
                        return Next::Head(self.buffer.split_to(length).freeze());
                    }
                    Ok(None) if self.buffer.len() <= limit => {}
                    Ok(_) => {
                        return Next::Refused(too_large(&self.buffer, &self.visitor.front.limits));
                    }
                    Err(error) => return Next::Refused(Reason::BadHead(error)),
                }
                if !begun {
                    begun = true;
                    self.timer
                        .restart(Instant::now(), self.visitor.front.timeouts.head);
                }
            } else if worker.is_draining() {
                return Next::Ended;
            }
            // Memory follows what has come, so that a slow head costs little.
            let room = if begun {
                HEAD_READ_MORE
            } else {
                Size::Small.bytes()
            };
            let buffers = &worker.buffers;
            let read = buffers.read(&self.transport, &mut self.buffer, room, Size::Small);
            tokio::select! {
                biased;
                read = read => match read {
                    Ok(0) | Err(_) => return Next::Ended,
                    Ok(_) => {}
                },
                () = self.timer.expired() => {
                    return if begun { Next::Refused(Reason::HeadTimeout) } else { Next::Ended };
                }
                () = worker.drain_begun(), if !hurried => {
                    hurried = true;
                    if begun {
                        self.timer.restart(Instant::now(), DRAIN_GRACE);
                    }
                }
            }
        }
    }

    async fn handle(&mut self, worker: &Rc<Worker>, bytes: Bytes) -> After {
        let request = match parse_request(bytes, worker.table()) {
            Ok(request) => request,
            Err(HeadError::FieldCount) => {
                return self.refuse_head(worker, Reason::HeadTooLarge).await;
            }
            Err(error) => return self.refuse_head(worker, Reason::BadHead(error)).await,
        };
        let mut fresh = std::mem::take(&mut self.id);
        worker.ids.write_next(&mut fresh);
        let after = handle(self, worker, &request, &fresh).await;
        self.id = fresh;
        worker.recycle(request.head.recycle());
        after
    }

    /// Answers what is no head. Nothing that follows on this connection has a certain meaning.
    async fn refuse_head(&mut self, worker: &Rc<Worker>, reason: Reason) -> After {
        let mut fresh = std::mem::take(&mut self.id);
        worker.ids.write_next(&mut fresh);
        let after = refuse_head(self, worker, reason, &fresh).await;
        self.id = fresh;
        after
    }

    /// Ends a connection on which nothing is owed: with close_notify, so that the client can tell
    /// this end from an attacker's.
    async fn close(self) {
        // A client that is gone cannot be told; one that takes nothing is not waited for.
        let _ = timeout(CLOSE, self.transport.shutdown()).await;
    }

    /// Ends our direction, then reads what the client still sends, for a while: closing at once
    /// would reset the connection and could destroy the answer before the client reads it.
    async fn linger(mut self, worker: &Worker) {
        let ended = async {
            self.transport.shutdown().await?;
            loop {
                self.buffer.clear();
                let (transport, buffer) = (&self.transport, &mut self.buffer);
                let room = Size::Small.bytes();
                let read = worker.buffers.read(transport, buffer, room, Size::Small);
                if read.await? == 0 {
                    return std::io::Result::Ok(());
                }
            }
        };
        let drained = async {
            worker.drain_begun().await;
            sleep(DRAIN_GRACE).await;
        };
        // Whoever ends first, the connection is over.
        tokio::select! {
            _ = ended => {}
            () = sleep(LINGER) => {}
            () = drained => {}
        }
    }
}

/// What of a head is too large that is beyond its size.
fn too_large(buffer: &[u8], limits: &Limits) -> Reason {
    if has_long_line(buffer, limits.target) {
        Reason::TargetTooLong
    } else {
        Reason::HeadTooLarge
    }
}

/// A read within a head is worth a system call from this much room on.
const HEAD_READ_MORE: usize = 1024;

/// How long the end of an idle connection may take to write.
const CLOSE: Duration = Duration::from_secs(1);

/// How long a closing connection is still read from.
const LINGER: Duration = Duration::from_secs(5);
