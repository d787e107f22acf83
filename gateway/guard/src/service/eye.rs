//! Notices at once that a cgroup came or went, where the kernel tells (inotify(7)). What it misses
//! is found by the next regular look.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::cgroup::Hierarchy;
use crate::rules::Rules;
use crate::sys;

/// An eye on the directories in which the cgroups of the rules are, or will be.
#[derive(Debug, Default)]
pub(super) struct Eye {
    sight: Option<Sight>,
    lost: Option<Instant>,
}

/// What became of an eye.
#[derive(Debug)]
pub(super) enum Change {
    /// It sees again.
    Back,
    /// It does not see any more, because of that. This user has too many watches, or instances of
    /// inotify, or there is no memory (`fs.inotify` in sysctl(8)).
    Lost(io::Error),
}

impl Eye {
    /// Forgets what was noticed, and watches the directories above the rules' cgroups as they are
    /// now. To be called in a runtime, before these are looked up: then no change is missed. An eye
    /// that is lost opens again if it can, tried once a second; only the change is told.
    pub(super) fn aim(&mut self, rules: &Rules, hierarchy: &Hierarchy) -> Option<Change> {
        let now = Instant::now();
        if self.lost.is_some_and(|lost| now < lost + AGAIN) {
            return None;
        }
        match self.try_aim(rules, hierarchy) {
            Ok(()) => self.lost.take().map(|_| Change::Back),
            Err(error) => {
                self.sight = None;
                let is_new = self.lost.replace(now).is_none();
                is_new.then_some(Change::Lost(error))
            }
        }
    }

    /// Waits until there is something to see; for ever if it is lost.
    pub(super) async fn stirred(&self) {
        match &self.sight {
            Some(sight) => sight.stirred().await,
            None => pending().await,
        }
    }

    fn try_aim(&mut self, rules: &Rules, hierarchy: &Hierarchy) -> io::Result<()> {
        let sight = match &mut self.sight {
            Some(sight) => sight,
            none => none.insert(Sight::open()?),
        };
        sight.aim(rules, hierarchy)
    }
}

/// An inotify instance.
#[derive(Debug)]
struct Sight {
    inotify: AsyncFd<OwnedFd>,
    watches: BTreeMap<PathBuf, i32>,
    aimed: Instant,
}

impl Sight {
    /// Watches nothing yet.
    fn open() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self {
            inotify: sys::registered(inotify)?,
            watches: BTreeMap::new(),
            aimed: Instant::now(),
        })
    }

    fn aim(&mut self, rules: &Rules, hierarchy: &Hierarchy) -> io::Result<()> {
        self.aimed = Instant::now();
        self.forget()?;
        for path in rules.cgroups() {
            let directory = hierarchy.directory(path.as_ref())?;
            // All of them: the kernel does not say that a cgroup's directory itself is gone.
            let above = directory.ancestors().skip(1);
            for directory in above.take_while(|above| above.starts_with(&hierarchy.root)) {
                self.watch(directory.to_owned())?;
            }
        }
        Ok(())
    }

    /// Waits at least a moment since it was aimed: whoever owns a part of the tree could keep this
    /// process busy otherwise.
    async fn stirred(&self) {
        sleep_until(self.aimed + REST).await;
        match self.inotify.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The runtime ends.
            Err(_) => pending().await,
        }
    }

    fn forget(&self) -> io::Result<()> {
        loop {
            match rustix::io::read(&self.inotify, &mut [0; 4096]) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn watch(&mut self, directory: PathBuf) -> io::Result<()> {
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        let watch = match inotify::add_watch(&self.inotify, &directory, flags) {
            Ok(watch) => watch,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NODEV) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match self.watches.insert(directory, watch) {
            // It was made anew. The kernel may have let go of the old one (EINVAL).
            Some(old) if old != watch => match inotify::remove_watch(&self.inotify, old) {
                Ok(()) | Err(Errno::INVAL) => Ok(()),
                Err(error) => Err(error.into()),
            },
            _ => Ok(()),
        }
    }
}

/// How long after it was lost an eye is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long nothing is noticed after a look.
const REST: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use tokio::time::timeout;

    use super::*;
    use crate::rules::Exception;
    use crate::sandbox::{self, Group};

    #[tokio::test]
    async fn what_comes_and_goes_is_noticed() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        // The part of the tree that this test alone changes.
        let top = Group::new(&hierarchy);
        let hierarchy = Hierarchy {
            root: hierarchy.root.join(&top.path()[1..]),
        };
        let rules = Rules {
            slice: "/middle/slice".into(),
            locals: Vec::new(),
            remotes: Vec::new(),
            exceptions: vec![Exception::Cgroup("/beside/excepted".into())],
        };
        let beside = top.child("beside");
        let mut sight = Sight::open().unwrap();
        let mut aim = |has_noticed: bool| {
            assert_eq!(is_readable(&sight), has_noticed);
            // Twice: the end of an old watch is something to notice, too.
            sight.aim(&rules, &hierarchy).unwrap();
            sight.aim(&rules, &hierarchy).unwrap();
            assert!(!is_readable(&sight));
        };
        aim(false);
        // What is above the slice comes and goes, too.
        for _ in 0..3 {
            let middle = top.child("middle");
            aim(true);
            let slice = middle.child("slice");
            aim(true);
            let below = slice.child("below");
            drop(below);
            aim(false);
            drop(slice);
            aim(true);
            drop(middle);
            aim(true);
        }
        let excepted = beside.child("excepted");
        aim(true);
        drop(excepted);
        aim(true);
        // One for each directory, however often it was made.
        assert_eq!(sight.watches.len(), 3);
    }

    #[tokio::test]
    async fn it_wakes_who_waits() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let top = Group::new(&hierarchy);
        let rules = Rules {
            slice: format!("{}/slice", top.path()),
            locals: Vec::new(),
            remotes: Vec::new(),
            exceptions: Vec::new(),
        };
        let mut eye = Eye::default();
        for _ in 0..2 {
            assert!(eye.aim(&rules, &hierarchy).is_none());
            let _slice = top.child("slice");
            let patience = Duration::from_secs(10);
            timeout(patience, eye.stirred()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn it_opens_again() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let top = Group::new(&hierarchy);
        let slice = |slice: String| Rules {
            slice,
            locals: Vec::new(),
            remotes: Vec::new(),
            exceptions: Vec::new(),
        };
        let good = slice(format!("{}/slice", top.path()));
        // No system call takes so long a name.
        let bad = slice(format!("/{}/slice", "x".repeat(5000)));
        let mut eye = Eye::default();
        let some_time_later = |eye: &mut Eye| eye.lost = eye.lost.map(|lost| lost - AGAIN);
        for _ in 0..2 {
            assert!(eye.aim(&good, &hierarchy).is_none());
            match eye.aim(&bad, &hierarchy) {
                Some(Change::Lost(error)) => assert_eq!(error.kind(), ErrorKind::InvalidFilename),
                other => panic!("{other:?}"),
            }
            // Nothing is told twice, and nothing is tried at once.
            assert!(eye.aim(&good, &hierarchy).is_none());
            assert!(eye.sight.is_none());
            some_time_later(&mut eye);
            assert!(eye.aim(&bad, &hierarchy).is_none());
            some_time_later(&mut eye);
            assert!(matches!(eye.aim(&good, &hierarchy), Some(Change::Back)));
            let _slice = top.child("slice");
            assert!(is_readable(eye.sight.as_ref().unwrap()));
        }
    }

    /// inotify(7): events are there when the call that caused them returns.
    fn is_readable(sight: &Sight) -> bool {
        let mut ready = [PollFd::new(&sight.inotify, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec::default())).unwrap() == 1
    }
}
