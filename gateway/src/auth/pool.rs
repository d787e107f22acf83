//! The side pool: threads for work that would stall a worker.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::lock;

/// A fixed number of threads behind a bounded queue. Dropping it ends the threads after the jobs
/// that they are at, waits for them, and drops the jobs that still wait.
pub(super) struct Pool<J: Send + 'static> {
    queue: Arc<Queue<J>>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue<J> {
    jobs: Mutex<Jobs<J>>,
    changed: Condvar,
    capacity: usize,
}

struct Jobs<J> {
    waiting: VecDeque<J>,
    stopped: bool,
}

impl<J: Send + 'static> Pool<J> {
    /// Starts the threads, which call `run` for each job.
    pub(super) fn start(threads: NonZeroUsize, run: fn(J)) -> io::Result<Self> {
        let mut pool = Self {
            queue: Arc::new(Queue {
                jobs: Mutex::new(Jobs {
                    waiting: VecDeque::new(),
                    stopped: false,
                }),
                changed: Condvar::new(),
                capacity: threads.get().saturating_mul(QUEUED_PER_THREAD),
            }),
            threads: Vec::with_capacity(threads.get()),
        };
        for index in 0..threads.get() {
            let queue = Arc::clone(&pool.queue);
            let thread = thread::Builder::new()
                .name(format!("password-{index}"))
                .spawn(move || queue.work(run))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a job, or gives it back if the queue is full.
    pub(super) fn submit(&self, job: J) -> Result<(), J> {
        let mut jobs = lock(&self.queue.jobs);
        if jobs.stopped || jobs.waiting.len() >= self.queue.capacity {
            return Err(job);
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl<J: Send + 'static> Drop for Pool<J> {
    fn drop(&mut self) {
        let abandoned = {
            let mut jobs = lock(&self.queue.jobs);
            jobs.stopped = true;
            std::mem::take(&mut jobs.waiting)
        };
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a password thread ended by a panic");
            }
        }
        drop(abandoned);
    }
}

impl<J> Queue<J> {
    fn work(&self, run: fn(J)) {
        while let Some(job) = self.next() {
            // A job that panics ends alone; what it owned tells whoever waits for it.
            if catch_unwind(AssertUnwindSafe(|| run(job))).is_err() {
                tracing::error!("a password check panicked");
            }
        }
    }

    fn next(&self) -> Option<J> {
        let mut jobs = lock(&self.jobs);
        loop {
            if jobs.stopped {
                return None;
            }
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            jobs = self
                .changed
                .wait(jobs)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J: Send + 'static> fmt::Debug for Pool<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

/// How many jobs may wait for one thread. At the usual 50 to 100 ms for a hash that is 3 to 6
/// seconds, about as long as a client waits gladly.
const QUEUED_PER_THREAD: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_full_queue_gives_jobs_back_and_a_drop_drops_those_that_wait() {
        let pool = Pool::start(NonZeroUsize::MIN, |job: Job| job.run()).unwrap();
        let (started, started_rx) = mpsc::channel();
        let (go, go_rx) = mpsc::channel();
        let (dropped, dropped_rx) = mpsc::channel();
        pool.submit(Job {
            action: Action::Wait(started, go_rx),
            dropped: dropped.clone(),
        })
        .unwrap();
        started_rx.recv().unwrap();
        let idle = || Job {
            action: Action::Nothing,
            dropped: dropped.clone(),
        };
        for _ in 0..QUEUED_PER_THREAD {
            assert!(pool.submit(idle()).is_ok());
        }
        drop(pool.submit(idle()).expect_err("the queue is full"));
        assert_eq!(dropped_rx.try_iter().count(), 1);
        go.send(()).unwrap();
        drop(pool);
        assert_eq!(dropped_rx.try_iter().count(), 1 + QUEUED_PER_THREAD);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let pool = Pool::start(NonZeroUsize::MIN, |job: Job| job.run()).unwrap();
        let (dropped, dropped_rx) = mpsc::channel();
        let (done, done_rx) = mpsc::channel();
        for action in [Action::Panic, Action::Tell(done)] {
            let dropped = dropped.clone();
            assert!(pool.submit(Job { action, dropped }).is_ok());
        }
        done_rx.recv().unwrap();
        dropped_rx.recv().unwrap();
        dropped_rx.recv().unwrap();
    }

    struct Job {
        action: Action,
        dropped: mpsc::Sender<()>,
    }

    #[derive(Debug)]
    enum Action {
        Nothing,
        Panic,
        Tell(mpsc::Sender<()>),
        Wait(mpsc::Sender<()>, mpsc::Receiver<()>),
    }

    impl Job {
        fn run(self) {
            match &self.action {
                Action::Nothing => {}
                Action::Panic => panic!("as the test wants"),
                Action::Tell(done) => done.send(()).unwrap(),
                Action::Wait(started, go) => {
                    started.send(()).unwrap();
                    go.recv().unwrap();
                }
            }
        }
    }

    impl Drop for Job {
        fn drop(&mut self) {
            let _ = self.dropped.send(());
        }
    }

    impl fmt::Debug for Job {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.action.fmt(f)
        }
    }
}
