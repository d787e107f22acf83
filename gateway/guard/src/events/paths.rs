//! The paths of cgroups, for the log alone: whoever makes many cgroups must not keep the service
//! from its work.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cgroup::Hierarchy;

/// What is known of paths. Ids are never given twice and cgroups are never renamed, so a path holds
/// for ever.
#[derive(Debug)]
pub(super) struct Paths {
    cgroups: Hierarchy,
    known: BTreeMap<u64, String>,
    search: Option<JoinHandle<BTreeMap<u64, String>>>,
    searched: Option<Instant>,
}

impl Paths {
    /// Starts with nothing known.
    pub(super) fn new(cgroups: Hierarchy) -> Self {
        Self {
            cgroups,
            known: BTreeMap::new(),
            search: None,
            searched: None,
        }
    }

    /// The cgroup in which a process is, if it is the one with this id: it may have ended or moved
    /// since it was refused.
    pub(super) fn of_process(&mut self, pid: u32, id: u64) -> Option<String> {
        if let Some(path) = self.known.get(&id) {
            return Some(path.clone());
        }
        let cgroup = match self.cgroups.of_process(pid) {
            Ok(cgroup) => cgroup,
            Err(error) => {
                tracing::debug!(pid, %error, "looking for a cgroup");
                return None;
            }
        };
        if cgroup.id != id {
            return None;
        }
        if self.known.len() >= MAX_PATHS {
            self.known.clear();
        }
        self.known.insert(id, cgroup.path.clone());
        Some(cgroup.path)
    }

    /// The path of an id, if it is known. If not, all are searched for on another thread, so that
    /// it may be known the next time.
    pub(super) fn of(&mut self, id: u64, now: Instant) -> Option<String> {
        self.take_found();
        let path = self.known.get(&id).cloned();
        if path.is_none() {
            self.search(now);
        }
        path
    }

    fn take_found(&mut self) {
        let Some(search) = self.search.take_if(|search| search.is_finished()) else {
            return;
        };
        match search.join() {
            Ok(found) => self.known = found,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    fn search(&mut self, now: Instant) {
        let is_due = self
            .searched
            .is_none_or(|searched| now.saturating_duration_since(searched) >= PAUSE);
        if !is_due || self.search.is_some() {
            return;
        }
        self.searched = Some(now);
        let cgroups = self.cgroups.clone();
        let search = move || cgroups.paths(MAX_PATHS);
        match std::thread::Builder::new()
            .name("cgroups".into())
            .spawn(search)
        {
            Ok(search) => self.search = Some(search),
            Err(error) => tracing::debug!(%error, "looking for cgroups"),
        }
    }
}

/// Cgroups whose paths are remembered, those next to the root first.
const MAX_PATHS: usize = 4096;
/// Between two searches.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{self, Group};
    use crate::scratch::Scratch;

    #[test]
    fn a_search_takes_nobodys_time_and_comes_once_in_ten_seconds() {
        let scratch = Scratch::new();
        let make = |name: &str| {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
        };
        let first = make("first");
        let mut paths = Paths::new(Hierarchy {
            root: scratch.path().to_owned(),
        });
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(paths.of(first, start), None, "it is searched for");
        while paths.search.as_ref().is_some_and(|one| !one.is_finished()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(paths.of(first, start).unwrap(), "/first");

        let second = make("second");
        for _ in 0..1000 {
            assert_eq!(paths.of(second, at(9)), None);
            assert!(paths.search.is_none(), "not again so soon");
        }
        assert_eq!(paths.of(second, at(10)), None);
        assert!(paths.search.is_some());
        while paths.search.as_ref().is_some_and(|one| !one.is_finished()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(paths.of(second, at(10)).unwrap(), "/second");
        assert_eq!(paths.of(first, at(10)).unwrap(), "/first");
    }

    /// Without a search, since there may be any number of cgroups.
    #[test]
    fn a_process_tells_its_cgroup_if_it_is_still_that_one() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let group = Group::new(&hierarchy);
        let id = hierarchy.ancestor(group.path()).unwrap().unwrap().id;
        let child = group.spawn("cat", &[]);
        let mut paths = Paths::new(hierarchy);
        assert_eq!(paths.of_process(child.id(), id + 1), None);
        assert_eq!(paths.of_process(u32::MAX, id), None);
        let path = paths.of_process(child.id(), id);
        assert_eq!(path.as_deref(), Some(group.path()));
        // Known by now, also when the process is gone.
        assert_eq!(paths.of_process(u32::MAX, id), path);
        assert!(paths.search.is_none());
    }
}
