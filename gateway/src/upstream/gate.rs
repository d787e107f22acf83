//! How many requests a pool takes of one worker at once, and which wait.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::Capacity;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::telemetry::Cells;

/// One worker's share of a pool's slots, with a queue in the order of arrival.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Hands freed slots to whoever waits longest, and lets nobody overtake. It belongs to one
    /// thread, so that its lock is never waited for.
    slots: Semaphore,
    waiting: Cell<usize>,
    queue: usize,
    wait: Duration,
    pool: usize,
    cells: Arc<Cells>,
}

/// Which worker of how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// How many there are; at least 1.
    pub(crate) of: usize,
}

/// A slot of a pool; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Rc<Gate>);

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The queue is full.
    Full,
    /// None was freed in time.
    Timeout,
}

impl Gate {
    /// A worker's share of pool number `pool`: at least one slot, so that each worker serves.
    pub(crate) fn new(
        pool: usize,
        capacity: Capacity,
        share: Share,
        cells: Arc<Cells>,
    ) -> Rc<Self> {
        let slots = share.part_of(capacity.in_flight).max(1);
        Rc::new(Self {
            slots: Semaphore::new(slots),
            waiting: Cell::new(0),
            queue: share.part_of(capacity.queue),
            wait: capacity.queue_wait,
            pool,
            cells,
        })
    }

    /// A slot, at once or after waiting in line. Who stops waiting leaves the line.
    pub(crate) async fn enter(self: &Rc<Self>) -> Result<Slot, Busy> {
        if let Ok(permit) = self.slots.try_acquire() {
            permit.forget();
            return Ok(self.slot());
        }
        if self.waiting.get() >= self.queue {
            return Err(Busy::Full);
        }
        let _waiting = Waiting::new(self);
        match timeout(self.wait, self.slots.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(self.slot())
            }
            // The inner error is that of a closed semaphore, and nobody closes it.
            Ok(Err(_)) | Err(_) => Err(Busy::Timeout),
        }
    }

    fn slot(self: &Rc<Self>) -> Slot {
        self.cells.upstream_entered(self.pool);
        Slot(Rc::clone(self))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.cells.upstream_left(self.0.pool);
        self.0.slots.add_permits(1);
    }
}

impl Share {
    /// The part of a total; what cannot be divided goes to the first workers.
    fn part_of(self, total: u32) -> usize {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let of = self.of.max(1);
        total / of + usize::from(self.index < total % of)
    }
}

/// Counts a request for as long as it waits, whatever ends that.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.waiting.set(gate.waiting.get() + 1);
        gate.cells.upstream_queued(gate.pool);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        self.0.cells.upstream_unqueued(self.0.pool);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::{Labels, Telemetry};

    #[test]
    fn shares_are_even_and_add_up() {
        for (total, of) in [(1024, 3), (0, 4), (2, 4), (7, 1), (1_000_000, 1024)] {
            let parts: Vec<_> = (0..of)
                .map(|index| Share { index, of }.part_of(total))
                .collect();
            assert_eq!(parts.iter().sum::<usize>(), total as usize);
            let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
            assert!(most - least <= 1, "{parts:?}");
        }
    }

    #[test]
    fn every_worker_serves() {
        let gate = gate(1, 0, Share { index: 1, of: 2 });
        let slot = now(gate.enter()).unwrap().unwrap();
        assert_eq!(now(gate.enter()).unwrap().unwrap_err(), Busy::Full);
        drop(slot);
        assert!(now(gate.enter()).unwrap().is_ok());
    }

    #[test]
    fn slots_are_given_in_the_order_of_arrival() {
        paused().block_on(async {
            let gate = gate(1, 3, ALONE);
            let order = Rc::new(RefCell::new(Vec::new()));
            let first = gate.enter().await.unwrap();
            let tasks = tokio::task::LocalSet::new();
            for number in 0..3 {
                let (gate, order) = (Rc::clone(&gate), Rc::clone(&order));
                tasks.spawn_local(async move {
                    let _slot = gate.enter().await.unwrap();
                    order.borrow_mut().push(number);
                });
            }
            tasks
                .run_until(async {
                    tokio::task::yield_now().await;
                    assert_eq!(gate.waiting.get(), 3);
                    assert_eq!(gate.enter().await.unwrap_err(), Busy::Full);
                    drop(first);
                })
                .await;
            // Nobody overtakes those in line.
            assert!(now(gate.enter()).is_some_and(|entered| entered.is_err()));
            tasks.await;
            assert_eq!(*order.borrow(), [0, 1, 2]);
            assert_eq!(gate.slots.available_permits(), 1);
        });
    }

    #[test]
    fn waiting_ends_in_time_and_who_leaves_makes_room() {
        paused().block_on(async {
            let gate = gate(1, 1, ALONE);
            let slot = gate.enter().await.unwrap();
            let start = Instant::now();
            assert_eq!(gate.enter().await.unwrap_err(), Busy::Timeout);
            assert_eq!(start.elapsed(), WAIT);
            {
                let mut leaving = pin!(gate.enter());
                assert!(poll(leaving.as_mut()).is_none());
                assert_eq!(gate.enter().await.unwrap_err(), Busy::Full);
            }
            assert_eq!(gate.waiting.get(), 0);
            let mut next = pin!(gate.enter());
            assert!(poll(next.as_mut()).is_none());
            drop(slot);
            assert!(poll(next.as_mut()).unwrap().is_ok());
        });
    }

    fn gate(in_flight: u32, queue: u32, share: Share) -> Rc<Gate> {
        let telemetry = Telemetry::new(&Labels {
            apps: &[],
            auth_causes: &[],
            listeners: &[],
            pools: &["pool"],
        });
        let capacity = Capacity {
            in_flight,
            queue,
            queue_wait: WAIT,
        };
        Gate::new(0, capacity, share, telemetry.worker(0))
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        poll(pin!(future))
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(value) => Some(value),
        }
    }

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    }

    const ALONE: Share = Share { index: 0, of: 1 };
    const WAIT: Duration = Duration::from_secs(10);
}
