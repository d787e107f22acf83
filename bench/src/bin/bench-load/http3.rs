//! Load over HTTP/3: requests in a closed loop on connections that stay, or a connection for each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gateway_bench::http3::{Client, Connection, Request};
use gateway_bench::order::{Order, Outcome, Work};
use tokio::task::JoinSet;

use crate::closed::finish;
use crate::handshakes::each_anew;
use crate::tally::Tally;
use crate::{in_time, ready, time};

/// Does what was ordered.
pub(crate) async fn work(order: &Order) -> Result<Outcome> {
    let target = Rc::new(Target::new(order)?);
    let outcome = match order.work {
        Work::Closed { milliseconds } => {
            let connections = in_time(target.connect(order.connections)).await?;
            ready()?;
            closed(&target, connections, order.streams, time(milliseconds)).await?
        }
        Work::Handshakes {
            milliseconds,
            resumed: false,
        } => {
            in_time(target.once()).await?;
            ready()?;
            let at_once = usize::try_from(order.connections)?;
            each_anew(at_once, time(milliseconds), || {
                let target = Rc::clone(&target);
                async move || target.once().await
            })
            .await?
        }
        other => bail!("not over HTTP/3: {other:?}"),
    };
    // A server that was not told would keep the connections, and wait.
    in_time(async {
        target.client.end().await;
        Ok(())
    })
    .await?;
    Ok(Outcome {
        datagrams: Some(target.client.datagrams()),
        ..outcome
    })
}

/// Where the load goes, and what it consists of.
struct Target {
    client: Client,
    requests: Vec<Request>,
    /// Which request is the next.
    next: Cell<usize>,
}

impl Target {
    fn new(order: &Order) -> Result<Self> {
        let requests = order.requests.iter().map(Request::new);
        let requests: Vec<Request> = requests.collect::<Result<_>>()?;
        anyhow::ensure!(!requests.is_empty(), "no request");
        let connections = usize::try_from(order.connections)?;
        Ok(Self {
            client: Client::new(
                order.address,
                &order.name,
                &order.ca,
                order.group,
                connections.min(SOCKETS),
            )?,
            requests,
            next: Cell::new(0),
        })
    }

    /// The next request: all take their turns.
    fn next(&self) -> Result<&Request> {
        let at = self.next.get();
        self.next.set((at + 1) % self.requests.len());
        self.requests.get(at).context("no request")
    }

    /// All connections, after every request was answered once.
    async fn connect(&self, count: u32) -> Result<Vec<Connection>> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(self.client.connect().await?);
        }
        let rounds = self.requests.len().div_ceil(connections.len()).max(1);
        for _ in 0..rounds {
            for connection in &connections {
                connection.exchange(self.next()?).await?;
            }
        }
        Ok(connections)
    }

    /// One connection with one request; how much payload there was.
    async fn once(&self) -> Result<u64> {
        let connection = self.client.connect().await?;
        connection.exchange(self.next()?).await
    }
}

/// Each stream has one request under way, for so long; what is under way then is finished, and counts.
async fn closed(
    target: &Rc<Target>,
    connections: Vec<Connection>,
    streams: u32,
    time: Duration,
) -> Result<Outcome> {
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for connection in connections {
        let connection = Rc::new(RefCell::new(Rc::new(connection)));
        for _ in 0..streams {
            let (target, tally) = (Rc::clone(target), Rc::clone(&tally));
            let connection = Rc::clone(&connection);
            tasks.spawn_local(async move { repeat(&target, &connection, &tally, end).await });
        }
    }
    finish(tasks, tally, end, || 0).await
}

/// One request after the other, on a connection that is made anew where it has ended.
async fn repeat(
    target: &Target,
    connection: &RefCell<Rc<Connection>>,
    tally: &RefCell<Tally>,
    end: Instant,
) -> Result<()> {
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(());
        }
        let current = Rc::clone(&connection.borrow());
        match current.exchange(target.next()?).await {
            Ok(bytes) => tally.borrow_mut().done(begun.elapsed(), bytes),
            Err(error) => {
                tally.borrow_mut().failed(&error);
                let is_other = !Rc::ptr_eq(&current, &connection.borrow());
                if current.is_over() && !is_other {
                    let new = Rc::new(target.client.connect().await?);
                    connection.replace(new);
                }
            }
        }
    }
}

/// Connections beyond share them.
const SOCKETS: usize = 8;
