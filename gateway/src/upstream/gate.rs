//! How many requests a pool takes of one worker at once, and which wait.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::Capacity;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::address::AddressBlock;
use crate::telemetry::Cells;

/// One worker's share of a pool's slots, with a queue in the order of arrival.
///
/// No address has all of either, unless that is less than four: a request whose address has its part of the slots lets others go
/// first.
#[derive(Debug)]
pub(crate) struct Gate {
    state: RefCell<State>,
    /// The most slots of one address.
    per_address: usize,
    queue: usize,
    /// The most of one address that wait.
    queue_per_address: usize,
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
pub(crate) struct Slot {
    gate: Rc<Gate>,
    address: AddressBlock,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The queue is full, or the address's part of it.
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
        let per_address = share.part_of(capacity.in_flight_per_address).max(1);
        let queue = share.part_of(capacity.queue);
        Rc::new(Self {
            state: RefCell::new(State {
                free: slots,
                clients: HashMap::new(),
                line: BTreeMap::new(),
                next: 0,
            }),
            // Parts are rounded; what is not all of the pool must not be all of a worker's either.
            per_address: match capacity.in_flight_per_address < capacity.in_flight {
                true => per_address.min(all_but_one(slots)),
                false => per_address,
            },
            queue,
            queue_per_address: all_but_one(queue).min(queue - queue / 8),
            wait: capacity.queue_wait,
            pool,
            cells,
        })
    }

    /// A slot for a request of this client, at once or after waiting in line. Who stops waiting
    /// leaves the line.
    pub(crate) async fn enter(self: &Rc<Self>, client: IpAddr) -> Result<Slot, Busy> {
        let address = AddressBlock::from(client);
        let Some(waiting) = self.slot_or_place(address)? else {
            return Ok(self.slot(address));
        };
        let (_place, slot) = waiting;
        match timeout(self.wait, slot).await {
            Ok(Ok(slot)) => Ok(slot),
            // The inner error is that of a sender that is gone, and it goes only with the place.
            Ok(Err(_)) | Err(_) => Err(Busy::Timeout),
        }
    }

    /// Takes a slot (`None`), or a place in the line.
    fn slot_or_place(
        self: &Rc<Self>,
        address: AddressBlock,
    ) -> Result<Option<(Place<'_>, oneshot::Receiver<Slot>)>, Busy> {
        let state = &mut *self.state.borrow_mut();
        let client = state.clients.entry(address).or_default();
        // Whoever is in line could not go either: a slot that is freed goes to them at once.
        if state.free > 0 && client.slots < self.per_address {
            state.free -= 1;
            client.slots += 1;
            return Ok(None);
        }
        if state.line.len() >= self.queue || client.waiting >= self.queue_per_address {
            state.forget(address);
            return Err(Busy::Full);
        }
        client.waiting += 1;
        let number = state.next;
        state.next += 1;
        let (sender, receiver) = oneshot::channel();
        state.line.insert(number, Waiter { address, sender });
        self.cells.upstream_queued(self.pool);
        let place = Place { gate: self, number };
        Ok(Some((place, receiver)))
    }

    /// A slot that was taken.
    fn slot(self: &Rc<Self>, address: AddressBlock) -> Slot {
        self.cells.upstream_entered(self.pool);
        Slot {
            gate: Rc::clone(self),
            address,
        }
    }

    /// Frees a slot and takes it for whoever waits longest of those that may have one.
    fn freed(&self, address: AddressBlock) -> Option<Waiter> {
        let state = &mut *self.state.borrow_mut();
        state.free += 1;
        if let Some(client) = state.clients.get_mut(&address) {
            client.slots -= 1;
        }
        let clients = &state.clients;
        let may = |waiter: &Waiter| {
            let client = clients.get(&waiter.address);
            client.is_some_and(|client| client.slots < self.per_address)
        };
        let next = state.line.iter().find(|(_, waiter)| may(waiter));
        let next = next.map(|(number, _)| *number);
        let waiter = next.and_then(|number| state.leave(number));
        if let Some(waiter) = &waiter {
            state.free -= 1;
            state.clients.entry(waiter.address).or_default().slots += 1;
            self.cells.upstream_unqueued(self.pool);
        }
        state.forget(address);
        waiter
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.cells.upstream_left(self.gate.pool);
        if let Some(waiter) = self.gate.freed(self.address) {
            // Whoever left meanwhile has it dropped, which frees it again.
            let _ = waiter.sender.send(self.gate.slot(waiter.address));
        }
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

/// Leaves one to others, unless there are so few that one would be missed.
fn all_but_one(places: usize) -> usize {
    match places {
        0..4 => places,
        _ => places - 1,
    }
}

/// Who has a slot, and who waits. While a slot is free, nobody waits who may have one.
#[derive(Debug)]
struct State {
    free: usize,
    /// Those that have a slot or wait for one.
    clients: HashMap<AddressBlock, Client>,
    /// By the order of arrival.
    line: BTreeMap<u64, Waiter>,
    next: u64,
}

/// What an address has.
#[derive(Debug, Default)]
struct Client {
    slots: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Waiter {
    address: AddressBlock,
    sender: oneshot::Sender<Slot>,
}

impl State {
    /// Takes a waiter out of the line, if it is still there.
    fn leave(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.line.remove(&number)?;
        if let Some(client) = self.clients.get_mut(&waiter.address) {
            client.waiting -= 1;
        }
        Some(waiter)
    }

    /// Keeps nothing of an address that has nothing here.
    fn forget(&mut self, address: AddressBlock) {
        let client = self.clients.get(&address);
        if client.is_some_and(|client| client.slots == 0 && client.waiting == 0) {
            self.clients.remove(&address);
        }
    }
}

/// A place in the line, left when it is dropped.
struct Place<'a> {
    gate: &'a Gate,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let state = &mut *self.gate.state.borrow_mut();
        if let Some(waiter) = state.leave(self.number) {
            self.gate.cells.upstream_unqueued(self.gate.pool);
            state.forget(waiter.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use proptest::collection::vec;
    use proptest::prelude::*;
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
        let slot = now(gate.enter(ALICE)).unwrap().unwrap();
        assert_eq!(now(gate.enter(ALICE)).unwrap().unwrap_err(), Busy::Full);
        drop(slot);
        assert!(now(gate.enter(ALICE)).unwrap().is_ok());
    }

    #[test]
    fn slots_are_given_in_the_order_of_arrival() {
        paused().block_on(async {
            let gate = gate(1, 3, ALONE);
            let order = Rc::new(RefCell::new(Vec::new()));
            let first = gate.enter(ALICE).await.unwrap();
            let tasks = tokio::task::LocalSet::new();
            for number in 0..3 {
                let (gate, order) = (Rc::clone(&gate), Rc::clone(&order));
                tasks.spawn_local(async move {
                    let _slot = gate.enter(ALICE).await.unwrap();
                    order.borrow_mut().push(number);
                });
            }
            tasks
                .run_until(async {
                    tokio::task::yield_now().await;
                    assert_eq!(gate.state.borrow().line.len(), 3);
                    assert_eq!(gate.enter(ALICE).await.unwrap_err(), Busy::Full);
                    drop(first);
                })
                .await;
            // Nobody overtakes those in line.
            assert!(now(gate.enter(ALICE)).is_none());
            tasks.await;
            assert_eq!(*order.borrow(), [0, 1, 2]);
            nothing_left(&gate, 1);
        });
    }

    #[test]
    fn waiting_ends_in_time_and_who_leaves_makes_room() {
        paused().block_on(async {
            let gate = gate(1, 1, ALONE);
            let slot = gate.enter(ALICE).await.unwrap();
            let start = Instant::now();
            assert_eq!(gate.enter(ALICE).await.unwrap_err(), Busy::Timeout);
            assert_eq!(start.elapsed(), WAIT);
            {
                let mut leaving = pin!(gate.enter(ALICE));
                assert!(poll(leaving.as_mut()).is_none());
                assert_eq!(gate.enter(ALICE).await.unwrap_err(), Busy::Full);
            }
            assert!(gate.state.borrow().line.is_empty());
            let mut next = pin!(gate.enter(ALICE));
            assert!(poll(next.as_mut()).is_none());
            drop(slot);
            assert!(poll(next.as_mut()).unwrap().is_ok());
            nothing_left(&gate, 1);
        });
    }

    #[test]
    fn one_address_never_has_it_all() {
        paused().block_on(async {
            let gate = gate(8, 8, ALONE);
            let mut mine: Vec<_> = (0..7)
                .map(|_| now(gate.enter(ALICE)).unwrap().unwrap())
                .collect();
            // Alice waits although a slot is free, and Bob goes first.
            let mut waiting: Vec<_> = (0..7).map(|_| Box::pin(gate.enter(ALICE))).collect();
            for waiting in &mut waiting {
                assert!(poll(waiting.as_mut()).is_none());
            }
            assert_eq!(now(gate.enter(ALICE)).unwrap().unwrap_err(), Busy::Full);
            let bob = now(gate.enter(BOB)).unwrap().unwrap();
            let mut bobs = pin!(gate.enter(BOB));
            assert!(poll(bobs.as_mut()).is_none());
            assert_eq!(now(gate.enter(CAROL)).unwrap().unwrap_err(), Busy::Full);
            // What Bob gives back is his again: Alice has her part.
            drop(bob);
            let bob = poll(bobs.as_mut()).unwrap().unwrap();
            assert!(poll(waiting[0].as_mut()).is_none());
            drop(bob);
            assert!(poll(waiting[0].as_mut()).is_none());
            // What Alice gives back is hers, in order.
            mine.pop();
            let again = poll(waiting[0].as_mut()).unwrap().unwrap();
            assert!(poll(waiting[1].as_mut()).is_none());
            // A slot that is on its way to who leaves goes to the next.
            mine.pop();
            drop(waiting.remove(1));
            assert!(poll(waiting[1].as_mut()).unwrap().is_ok());
            drop((mine, waiting, again));
            nothing_left(&gate, 8);
        });
    }

    #[test]
    fn nor_has_it_all_of_a_worker() {
        for (in_flight, queue, of) in [(18, 18, 4), (8, 4, 2), (1024, 256, 3), (9, 0, 2)] {
            for index in 0..of {
                let gate = gate(in_flight, queue, Share { index, of });
                let slots = gate.state.borrow().free;
                assert!(gate.per_address < slots, "{in_flight} {index}");
                let most = gate.queue_per_address;
                assert!(most < gate.queue || gate.queue < 4, "{queue} {index}");
            }
        }
    }

    proptest! {
        #[test]
        fn slots_are_neither_lost_nor_doubled(steps in vec((0_usize..3, 0_usize..6), 1..200)) {
            const SLOTS: usize = 5;
            let gate = gate(5, 4, ALONE);
            let mut held: Vec<(usize, Slot)> = Vec::new();
            let mut waiting = Vec::new();
            let runtime = paused();
            let _inside = runtime.enter();
            for (who, what) in steps {
                match what {
                    0 | 1 if !held.is_empty() => drop(held.swap_remove(who % held.len())),
                    2 if !waiting.is_empty() => drop(waiting.remove(who % waiting.len())),
                    _ => {
                        let gate = Rc::clone(&gate);
                        let client = [ALICE, BOB, CAROL][who];
                        let enter = Box::pin(async move { gate.enter(client).await });
                        waiting.push((who, enter));
                    }
                }
                let mut still = Vec::new();
                for (who, mut enter) in waiting {
                    match poll(enter.as_mut()) {
                        Some(Ok(slot)) => held.push((who, slot)),
                        Some(Err(busy)) => prop_assert_eq!(busy, Busy::Full),
                        None => still.push((who, enter)),
                    }
                }
                waiting = still;
                let of = |who: usize| held.iter().filter(|(holder, _)| *holder == who).count();
                prop_assert!(held.len() <= SLOTS && waiting.len() <= 4);
                for who in 0..3 {
                    let waits = waiting.iter().filter(|(waiter, _)| *waiter == who).count();
                    prop_assert!(of(who) <= 4 && waits <= 3, "one address has {}, {waits}", of(who));
                    // Nobody waits who may go.
                    prop_assert!(waits == 0 || held.len() == SLOTS || of(who) == 4);
                }
            }
            drop((held, waiting));
            nothing_left(&gate, SLOTS);
        }
    }

    /// All slots are free, and nobody is known any more.
    #[track_caller]
    fn nothing_left(gate: &Gate, slots: usize) {
        let state = gate.state.borrow();
        assert_eq!(
            (state.free, state.line.len(), state.clients.len()),
            (slots, 0, 0)
        );
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
            in_flight_per_address: in_flight - u32::from(in_flight > 3),
            queue,
            queue_wait: WAIT,
        };
        Gate::new(0, capacity, share, telemetry.worker(0))
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        poll(pin!(future))
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
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

    const ALICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const CAROL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
    const ALONE: Share = Share { index: 0, of: 1 };
    const WAIT: Duration = Duration::from_secs(10);
}
