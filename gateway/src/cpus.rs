//! Which CPUs the process may use.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use rustix::thread::{CpuSet, sched_getaffinity};

/// One entry for each worker: the CPU to run on, if it is known.
///
/// As many as affinity and the cgroup's quota leave (not as the machine has), unless `asked`.
pub(crate) fn for_workers(asked: Option<NonZeroUsize>) -> Vec<Option<usize>> {
    let count = asked
        .or_else(|| available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let usable: Vec<usize> = match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect(),
        Err(_) => Vec::new(),
    };
    // More workers than CPUs were asked for: let the kernel place them.
    let pinned = count <= usable.len();
    (0..count)
        .map(|index| usable.get(index).copied().filter(|_| pinned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_worker() {
        assert!(!for_workers(None).is_empty());
        assert_eq!(for_workers(NonZeroUsize::new(3)).len(), 3);
    }

    #[test]
    fn more_workers_than_cpus_are_not_pinned() {
        assert!(
            for_workers(NonZeroUsize::new(1024))
                .iter()
                .all(Option::is_none)
        );
    }
}
