//! Sessions: on the server's side, in memory, bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use policy::{Identity, SessionToken};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::fingerprint::{Fingerprint, Prehashed};
use super::lock;
use crate::clock::Moment;

/// One visitor's session. Workers hold it beside the store, so its end shows in itself.
#[derive(Debug)]
pub(super) struct Session {
    identity: Arc<Identity>,
    opened: Moment,
    idle: Duration,
    lifetime: Duration,
    /// Nanoseconds of the [`Moment`] of the last use, give or take [`Session::grain`].
    used: AtomicU64,
    revoked: AtomicBool,
    /// Tells whatever depends on it that it was revoked.
    revocation: Notify,
}

/// All sessions of all realms, by fingerprint of realm and token.
///
/// Ended sessions are removed when one is opened or counted, once a minute at most. When a shard
/// is full of live ones, those that were idle for longest are revoked.
#[derive(Debug)]
pub(super) struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    capacity_of_shard: usize,
    random: SystemRandom,
}

#[derive(Debug, Default)]
struct Shard {
    sessions: HashMap<Fingerprint, Arc<Session>, Prehashed>,
    swept: Moment,
}

impl Session {
    /// Whose it is.
    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Whether it lives; if so, it counts as used now.
    pub(super) fn touch(&self, now: Moment) -> bool {
        let alive = self.is_alive(now);
        // Not stored each time: workers that share a session would fight over its cache line.
        if alive && now.since(self.used()) >= self.grain() {
            self.used.fetch_max(now.nanos(), Ordering::Relaxed);
        }
        alive
    }

    /// Whether it lives: not revoked, used lately, and not older than its lifetime.
    pub(super) fn is_alive(&self, now: Moment) -> bool {
        !self.revoked.load(Ordering::Relaxed)
            && now.since(self.used()) < self.idle
            && now.since(self.opened) < self.lifetime
    }

    /// How long it surely lives on, unless it is revoked; `None` if it has ended. Uses that are
    /// made known when that time is over come early enough to keep it: it is at most an eighth of
    /// the idle time.
    pub(super) fn look_again(&self, now: Moment) -> Option<Duration> {
        let unused = self.idle.saturating_sub(now.since(self.used()));
        let left = self.lifetime.saturating_sub(now.since(self.opened));
        self.is_alive(now)
            .then(|| unused.min(left).min(self.idle / 8))
    }

    /// Ends when it is revoked after this call.
    pub(super) fn revoked(&self) -> Notified<'_> {
        self.revocation.notified()
    }

    /// Ends it, in every worker.
    fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        self.revocation.notify_waiters();
    }

    fn used(&self) -> Moment {
        Moment::from_nanos(self.used.load(Ordering::Relaxed))
    }

    fn grain(&self) -> Duration {
        GRAIN.min(self.idle / 16)
    }
}

impl Sessions {
    /// A store for at most `capacity` sessions, in about equal shards.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            capacity_of_shard: capacity.div_ceil(SHARDS).max(1),
            random: SystemRandom::new(),
        }
    }

    /// Opens a session in the realm with that index. An error means that the system gave no random bytes.
    pub(super) fn open(
        &self,
        index: usize,
        realm: &config::Realm,
        identity: Arc<Identity>,
        now: Moment,
    ) -> Result<(SessionToken, Arc<Session>), Unspecified> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes)?;
        let token = SessionToken::new(bytes);
        let session = Arc::new(Session {
            identity,
            opened: now,
            idle: realm.session_idle,
            lifetime: realm.session_lifetime,
            used: AtomicU64::new(now.nanos()),
            revoked: AtomicBool::new(false),
            revocation: Notify::new(),
        });
        let key = Fingerprint::session(index, &token);
        if let Some(shard) = self.shard(&key) {
            let mut shard = lock(shard);
            shard.sweep(now);
            shard.make_room(self.capacity_of_shard, now);
            shard.sessions.insert(key, Arc::clone(&session));
        }
        Ok((token, session))
    }

    /// The live session with that fingerprint; it counts as used now.
    pub(super) fn get(&self, key: &Fingerprint, now: Moment) -> Option<Arc<Session>> {
        self.find(key).filter(|session| session.touch(now))
    }

    /// The session with that fingerprint, alive or not; to look is no use of it.
    pub(super) fn find(&self, key: &Fingerprint) -> Option<Arc<Session>> {
        let shard = lock(self.shard(key)?);
        shard.sessions.get(key).map(Arc::clone)
    }

    /// How many there are. Some may have ended within the last minute.
    pub(super) fn count(&self, now: Moment) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let mut shard = lock(shard);
            shard.sweep(now);
            shard.sessions.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, key: &Fingerprint) -> Option<&Mutex<Shard>> {
        self.shards.get(key.shard() % SHARDS)
    }
}

impl Shard {
    fn sweep(&mut self, now: Moment) {
        if now.since(self.swept) >= SWEEP_INTERVAL {
            self.drop_ended(now);
        }
    }

    fn drop_ended(&mut self, now: Moment) {
        self.swept = now;
        self.sessions.retain(|_, session| session.is_alive(now));
    }

    /// Room for one more.
    fn make_room(&mut self, capacity: usize, now: Moment) {
        if self.sessions.len() < capacity {
            return;
        }
        self.drop_ended(now);
        if self.sessions.len() >= capacity {
            drop_oldest(&mut self.sessions, |s| s.used(), |s| s.revoke());
        }
    }
}

/// Removes the oldest sixteenth of a full map, at least one entry, so that the walk through it is
/// paid for by as many insertions.
pub(super) fn drop_oldest<V>(
    map: &mut HashMap<Fingerprint, V, Prehashed>,
    age: impl Fn(&V) -> Moment,
    dropped: impl Fn(&V),
) {
    let mut ages: Vec<Moment> = map.values().map(&age).collect();
    if ages.is_empty() {
        return;
    }
    let last = ages.len() / 16;
    let (_, threshold, _) = ages.select_nth_unstable(last);
    let mut left = last + 1;
    map.retain(|_, value| {
        let keep = left == 0 || age(value) > *threshold;
        if !keep {
            left -= 1;
            dropped(value);
        }
        keep
    });
}

const SHARDS: usize = 16;
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
const GRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::super::tests::{self, RIGHT};
    use super::*;

    #[test]
    fn a_session_ends_by_silence_and_by_age() {
        let world = World::new(1000);
        let (_, idle) = world.open(0);
        assert!(idle.is_alive(at(99)));
        assert!(!idle.is_alive(at(100)));
        assert!(!idle.touch(at(100)), "a touch does not bring it back");
        assert!(!idle.is_alive(at(100)));
        let (_, used) = world.open(0);
        for seconds in (0..1000).step_by(50) {
            assert!(used.touch(at(seconds)), "{seconds}");
        }
        assert!(used.touch(at(999)));
        assert!(!used.touch(at(1000)));
    }

    #[test]
    fn a_touch_is_not_lost_however_short_the_idle_time() {
        let mut world = World::new(1000);
        world.realm.session_idle = Duration::from_secs(1);
        let (_, session) = world.open(0);
        let mut now = at(0);
        for _ in 0..100 {
            now = now.plus(Duration::from_millis(900));
            assert!(session.touch(now));
        }
        assert!(!session.touch(now.plus(Duration::from_secs(1))));
    }

    #[test]
    fn who_looks_again_in_time_sees_every_end() {
        let world = World::new(1000);
        let (_, session) = world.open(0);
        for (seconds, wait) in [(0, Some(12_500)), (90, Some(10_000)), (100, None)] {
            let wait = wait.map(Duration::from_millis);
            assert_eq!(session.look_again(at(seconds)), wait, "{seconds}");
        }
        let (_, old) = world.open(0);
        for seconds in (0..1000).step_by(50) {
            old.touch(at(seconds));
        }
        assert_eq!(old.look_again(at(995)), Some(Duration::from_secs(5)));
        assert_eq!(old.look_again(at(1000)), None);
    }

    #[test]
    fn a_revocation_wakes_whoever_waits() {
        let world = World::new(1000);
        let (_, session) = world.open(0);
        let mut revoked = Box::pin(session.revoked());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(revoked.as_mut().poll(&mut cx).is_pending());
        session.revoke();
        assert!(revoked.as_mut().poll(&mut cx).is_ready());
        assert_eq!(session.look_again(at(1)), None);
    }

    #[test]
    fn ended_sessions_are_swept() {
        let world = World::new(1000);
        for _ in 0..50 {
            world.open(0);
        }
        assert_eq!(world.sessions.count(at(99)), 50);
        let (_, kept) = world.open(99);
        assert_eq!(world.sessions.count(at(160)), 1);
        assert!(kept.is_alive(at(160)));
    }

    #[test]
    fn a_full_store_revokes_those_idle_for_longest() {
        let world = World::new(SHARDS * 32);
        let mut opened = Vec::new();
        for n in 0..2_000 {
            let (token, session) = world.open_at(Moment::from_nanos(n));
            opened.push((token, session));
            assert!(world.sessions.count(at(0)) <= SHARDS * 32);
        }
        let now = Moment::from_nanos(2_000);
        for (token, session) in &opened {
            let key = Fingerprint::session(0, token);
            let stored = world.sessions.get(&key, now).is_some();
            assert_eq!(
                stored,
                session.is_alive(now),
                "what leaves the store is revoked"
            );
        }
        let alive = |range: &[(SessionToken, Arc<Session>)]| {
            range.iter().filter(|(_, s)| s.is_alive(now)).count()
        };
        assert_eq!(alive(&opened[..500]), 0);
        assert_eq!(alive(&opened[1_900..]), 100);
    }

    #[test]
    fn a_full_store_of_one_moment_does_not_lose_all_at_once() {
        let world = World::new(SHARDS * 32);
        for _ in 0..2_000 {
            world.open(0);
        }
        let count = world.sessions.count(at(0));
        assert!((SHARDS * 29..=SHARDS * 32).contains(&count), "{count}");
    }

    #[test]
    fn a_session_is_found_by_its_realm_and_token_only() {
        let world = World::new(1000);
        let (token, _) = world.open(0);
        let get = |realm, token| {
            let key = Fingerprint::session(realm, token);
            world.sessions.get(&key, at(1)).is_some()
        };
        assert!(get(0, &token));
        assert!(!get(1, &token));
        assert!(!get(0, &SessionToken::new([0; 32])));
    }

    #[test]
    fn to_look_for_a_session_is_no_use_of_it() {
        let world = World::new(1000);
        let (token, _) = world.open(0);
        let key = Fingerprint::session(0, &token);
        let found = world.sessions.find(&key).unwrap();
        assert!(found.is_alive(at(99)) && !found.is_alive(at(100)));
        assert!(world.sessions.get(&key, at(99)).is_some());
        assert!(found.is_alive(at(198)));
    }

    #[test]
    fn a_worker_that_holds_a_session_takes_no_lock() {
        let world = tests::World::new();
        let (_, token) = tests::known(&world.ask("alice", RIGHT, "192.0.2.1", 0));
        tests::known(&world.session(1, 0, token, 1));
        let sessions = &world.auth.checks.sessions;
        let _all: Vec<_> = sessions.shards.iter().map(lock).collect();
        tests::known(&world.session(1, 0, token, 2));
    }

    struct World {
        sessions: Sessions,
        realm: config::Realm,
        identity: Arc<Identity>,
    }

    impl World {
        fn new(capacity: usize) -> Self {
            Self {
                sessions: Sessions::new(capacity),
                realm: tests::realm(),
                identity: tests::identity("alice"),
            }
        }

        fn open(&self, seconds: u64) -> (SessionToken, Arc<Session>) {
            self.open_at(at(seconds))
        }

        fn open_at(&self, now: Moment) -> (SessionToken, Arc<Session>) {
            let identity = Arc::clone(&self.identity);
            self.sessions.open(0, &self.realm, identity, now).unwrap()
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(seconds))
    }
}
