//! Cgroups of version 2: where they are mounted, which id a path has, whose they are.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use gateway_ebpf::abi::Ancestor;

/// Where cgroup v2 is mounted.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The mount point.
    pub root: PathBuf,
}

/// A cgroup that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// From the hierarchy's root; "/" is the root. Bytes that are not UTF-8 are replaced: no path of
    /// the rules equals it then.
    pub path: String,
    /// As the kernel's helpers give it: the directory's inode number.
    pub id: u64,
}

impl Hierarchy {
    /// Finds the mount in `/proc/self/mountinfo`; `None` if there is none that shows the whole
    /// hierarchy. A part of it, as a container sees it, does not count: depths below it are not
    /// those that the kernel's helpers know.
    pub fn find() -> io::Result<Option<Self>> {
        for root in mount_points(&fs::read("/proc/self/mountinfo")?) {
            if is_whole(&root)? {
                return Ok(Some(Self { root }));
            }
        }
        Ok(None)
    }

    /// A path's cgroup as the programs match it; `None` while it does not exist. The path is
    /// absolute, normalised, and not the root, below which everything is.
    pub fn ancestor(&self, path: &str) -> io::Result<Option<Ancestor>> {
        if path == "/" {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the root cgroup cannot be matched: everything is below it",
            ));
        }
        let level = path.split('/').filter(|name| !name.is_empty()).count();
        let Some(id) = directory_id(&self.directory(path.as_ref())?)? else {
            return Ok(None);
        };
        Ok(Some(Ancestor {
            id,
            level: u32::try_from(level).map_err(io::Error::other)?,
            padding: 0,
        }))
    }

    /// The cgroup of a process. `NotFound` if there is no such process, or its cgroup was removed,
    /// which can happen only to a process that has ended and was not yet waited for.
    pub fn of_process(&self, pid: u32) -> io::Result<Cgroup> {
        let path = process_path(&fs::read(format!("/proc/{pid}/cgroup"))?)?;
        let id = directory_id(&self.directory(&path)?)?;
        let path = path.to_string_lossy().into_owned();
        match id {
            Some(id) => Ok(Cgroup { path, id }),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the cgroup of process {pid} is gone: {}", printable(&path)),
            )),
        }
    }

    /// The paths of cgroups by their ids: `limit` of them, those next to the root first. What cannot
    /// be read is left out. Bytes of a name that are not UTF-8 are replaced: it is for people.
    pub fn paths(&self, limit: usize) -> BTreeMap<u64, String> {
        let mut paths = BTreeMap::new();
        let mut waiting = VecDeque::from([self.root.clone()]);
        while let Some(directory) = waiting.pop_front() {
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                if paths.len() >= limit {
                    return paths;
                }
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let path = entry.path();
                let below = path.strip_prefix(&self.root).unwrap_or(&path);
                paths.insert(entry.ino(), format!("/{}", below.to_string_lossy()));
                waiting.push_back(path);
            }
        }
        paths
    }

    /// The ids of a cgroup and of everything below it; empty if it does not exist.
    pub fn subtree(&self, path: &str) -> io::Result<Vec<u64>> {
        let mut ids = Vec::new();
        walk(&self.directory(path.as_ref())?, |id| ids.push(id))?;
        Ok(ids)
    }

    /// The directory of the cgroup with this absolute path, which need not exist.
    pub(crate) fn directory(&self, path: &OsStr) -> io::Result<PathBuf> {
        match path.as_bytes().strip_prefix(b"/") {
            Some(below) if below.split(|byte| *byte == b'/').all(|name| name != b"..") => {
                Ok(self.root.join(OsStr::from_bytes(below)))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{path:?} is not the path of a cgroup from the hierarchy's root"),
            )),
        }
    }
}

impl Cgroup {
    /// Whether it is the cgroup at `path` or lies below it.
    pub fn is_in(&self, path: &str) -> bool {
        match self.path.strip_prefix(path.trim_end_matches('/')) {
            Some(below) => below.is_empty() || below.starts_with('/'),
            None => false,
        }
    }
}

/// A cgroup's path for a terminal or a log: whoever makes cgroups chooses their names. Whatever is
/// not printable ASCII is escaped; backslashes stay, since systemd's own names have them.
pub(crate) fn printable(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for character in path.chars() {
        if character == ' ' || character.is_ascii_graphic() {
            text.push(character);
        } else {
            text.extend(character.escape_default());
        }
    }
    text
}

/// Where cgroup v2 is mounted from its root on, as this process's cgroup namespace sees it
/// (proc_pid_mountinfo(5)).
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let (root, point) = (fields.nth(3)?, fields.next()?);
            // Optional fields follow, of any number, and end with a hyphen.
            fields.find(|field| *field == b"-")?;
            (fields.next()? == b"cgroup2" && root == b"/")
                .then(|| PathBuf::from(OsString::from_vec(unescaped(point))))
        })
        .collect()
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escape = after.first_chunk::<3>().filter(|_| *first == b'\\');
        match escape.and_then(octal) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

/// Whether a mount that calls itself whole is: another may lie over it, and inside a cgroup
/// namespace "/" is somewhere below the real root, whose id is always 1.
fn is_whole(root: &Path) -> io::Result<bool> {
    let filesystem = match rustix::fs::statfs(root) {
        Ok(statistics) => statistics.f_type,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    Ok(filesystem == CGROUP2_MAGIC && directory_id(root)? == Some(ROOT_ID))
}

/// The path in `/proc/PID/cgroup`: the line of hierarchy 0, which is version 2 (cgroups(7)).
fn process_path(cgroups: &[u8]) -> io::Result<OsString> {
    cgroups
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .map(|path| OsString::from_vec(path.to_vec()))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no cgroup of version 2"))
}

/// A cgroup's id; `None` if there is none at this path.
fn directory_id(path: &Path) -> io::Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir().then(|| metadata.ino())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Visits a directory and everything below it, parents first. What is removed meanwhile may be
/// visited or not. What may not be read is left out, with what is below: its owner must not keep
/// the rest from being visited.
fn walk(top: &Path, mut visit: impl FnMut(u64)) -> io::Result<()> {
    let mut waiting = vec![top.to_path_buf()];
    let mut visited = 0;
    while let Some(directory) = waiting.pop() {
        visited += 1;
        if visited > MAX_CGROUPS {
            return Err(io::Error::other(format!(
                "more than {MAX_CGROUPS} cgroups below {}",
                top.display()
            )));
        }
        match directory_id(&directory) {
            Ok(Some(id)) => visit(id),
            Ok(None) => continue,
            Err(error) if is_forbidden(&error) => continue,
            Err(error) => return Err(error),
        }
        match children(&directory) {
            Ok(children) => waiting.extend(children),
            Err(error) if is_gone(&error) || is_forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

/// Whether something was not there, or went while it was looked at (kernfs then says ENODEV).
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error),
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV | rustix::io::Errno::NOTDIR)
    )
}

/// Root without CAP_DAC_OVERRIDE may not read everything.
fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// linux/magic.h
const CGROUP2_MAGIC: rustix::fs::FsWord = 0x6367_7270;

/// The id of the root cgroup, of each hierarchy.
const ROOT_ID: u64 = 1;

/// More cgroups than any host has: systemd's with 10,000 units has some 10,000.
const MAX_CGROUPS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use rustix::thread::CapabilitySet;

    use super::*;
    use crate::sandbox::{self, Group};
    use crate::scratch::Scratch;

    #[test]
    fn the_mount_is_found_among_others() {
        let mountinfo = b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup2 rw,cpu\n\
            41 31 0:38 /part /mnt/part rw,relatime shared:5 - cgroup2 cgroup2 rw\n\
            42 31 0:38 / /with\\040space\\134 rw shared:5 master:6 - cgroup2 none rw\n\
            43 31 0:38 / /second rw - cgroup2 cgroup2 rw\n\
            44 31 0:38 / /cut-off rw";
        assert_eq!(
            mount_points(mountinfo),
            [PathBuf::from("/with space\\"), PathBuf::from("/second")]
        );
        assert!(mount_points(b"").is_empty());
    }

    #[test]
    fn only_whole_escapes_are_undone() {
        assert_eq!(unescaped(b"a\\040b\\011"), b"a b\t");
        assert_eq!(unescaped(b"\\04"), b"\\04");
        assert_eq!(unescaped(b"\\088\\400"), b"\\088\\400");
        assert_eq!(unescaped(b"\\"), b"\\");
    }

    #[test]
    fn a_mount_that_is_no_cgroup_is_not_whole() {
        assert!(!is_whole(Path::new("/proc")).unwrap());
        assert!(!is_whole(Path::new("/nowhere")).unwrap());
    }

    #[test]
    fn a_process_names_its_path() {
        let cgroups = b"9:name=systemd:/x\n4:memory:/y\n0::/a.slice/b:c.service\n";
        assert_eq!(process_path(cgroups).unwrap(), "/a.slice/b:c.service");
        assert!(process_path(b"4:memory:/y\n").is_err());
        let odd = process_path(b"0::/\xff\n").unwrap();
        assert_eq!(odd.as_bytes(), b"/\xff");
    }

    #[test]
    fn below_is_by_whole_names() {
        let cgroup = Cgroup {
            path: "/a.slice/b".into(),
            id: 7,
        };
        assert!(cgroup.is_in("/a.slice/b"));
        assert!(cgroup.is_in("/a.slice"));
        assert!(cgroup.is_in("/"));
        assert!(!cgroup.is_in("/a.slice/b/c"));
        assert!(!cgroup.is_in("/a.sli"));
        assert!(!cgroup.is_in("/b"));
    }

    #[test]
    fn paths_that_leave_the_hierarchy_are_refused() {
        let hierarchy = Hierarchy {
            root: PathBuf::from("/proc"),
        };
        for path in ["", "self", "/../etc", "/a/../.."] {
            let error = hierarchy.subtree(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        assert!(hierarchy.ancestor("/").is_err());
        assert_eq!(hierarchy.ancestor("/nowhere").unwrap(), None);
        // A file is no cgroup.
        assert_eq!(hierarchy.ancestor("/uptime").unwrap(), None);
        assert_eq!(hierarchy.ancestor("/uptime/x").unwrap(), None);
    }

    #[test]
    fn a_cgroup_is_known_while_it_exists() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let outer = Group::new(&hierarchy);
        let inner = outer.child("inner");
        let ancestor = hierarchy.ancestor(inner.path()).unwrap().unwrap();
        assert_eq!(ancestor.level, 2);
        assert_eq!(
            hierarchy.paths(usize::MAX).get(&ancestor.id).unwrap(),
            inner.path()
        );
        let outer_id = hierarchy.ancestor(outer.path()).unwrap().unwrap().id;
        assert_eq!(
            hierarchy.subtree(outer.path()).unwrap(),
            [outer_id, ancestor.id]
        );
        // Below the root it looks like a cgroup file system all the same.
        assert!(is_whole(&hierarchy.root).unwrap());
        assert!(!is_whole(&hierarchy.directory(inner.path().as_ref()).unwrap()).unwrap());
        let child = inner.spawn("cat", &[]);
        let cgroup = hierarchy.of_process(child.id()).unwrap();
        assert_eq!(cgroup.path, inner.path());
        assert_eq!(cgroup.id, ancestor.id);
        assert!(cgroup.is_in(outer.path()));

        let path = inner.path().to_owned();
        let ended = child.end_unreaped();
        drop(inner);
        assert_eq!(hierarchy.ancestor(&path).unwrap(), None);
        assert!(!hierarchy.paths(usize::MAX).contains_key(&ancestor.id));
        assert!(hierarchy.subtree(&path).unwrap().is_empty());
        let error = hierarchy.of_process(ended.id()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("(deleted)"), "{error}");
        // The same path has another id when it comes again.
        let again = outer.child("inner");
        let ancestor_again = hierarchy.ancestor(again.path()).unwrap().unwrap();
        assert_ne!(ancestor_again.id, ancestor.id);
    }

    #[test]
    fn paths_are_bounded_and_next_to_the_root_first() {
        let scratch = Scratch::new();
        for below in ["a/deep/deeper", "b", "c/deep"] {
            fs::create_dir_all(scratch.path().join(below)).unwrap();
        }
        let hierarchy = Hierarchy {
            root: scratch.path().to_owned(),
        };
        let paths = |limit| {
            let mut paths: Vec<_> = hierarchy.paths(limit).into_values().collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(3), ["/a", "/b", "/c"]);
        let all = ["/a", "/a/deep", "/a/deep/deeper", "/b", "/c", "/c/deep"];
        assert_eq!(paths(100), all);
    }

    /// Root has its rights here, and a name of the user's: what it may not read is left out.
    #[test]
    fn what_may_not_be_read_keeps_nothing_else_from_being_found() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let outer = Group::new(&hierarchy);
        let (closed, open) = (outer.child("closed"), outer.child("open"));
        let directory = hierarchy.root.join(closed.path().trim_start_matches('/'));
        chown(&directory, Some(60_200), None).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o000)).unwrap();
        let id = hierarchy.ancestor(open.path()).unwrap().unwrap().id;
        let found = std::thread::scope(|scope| {
            let look = || {
                // Of this thread alone.
                let mut sets = rustix::thread::capabilities(None).unwrap();
                sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
                rustix::thread::set_capabilities(None, sets).unwrap();
                assert!(fs::read_dir(&directory).is_err());
                let ids = hierarchy.subtree(outer.path()).unwrap();
                ids.contains(&id) && hierarchy.paths(usize::MAX).contains_key(&id)
            };
            scope.spawn(look).join().unwrap()
        });
        assert!(found);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_a_name() {
        let Some(hierarchy) = sandbox::hierarchy() else {
            return;
        };
        let outer = Group::new(&hierarchy);
        let directory = hierarchy.root.join(outer.path().trim_start_matches('/'));
        let odd = directory.join(OsStr::from_bytes(b"odd\xff\x1b[31m"));
        fs::create_dir(&odd).unwrap();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(odd.join("cgroup.procs"), child.id().to_string()).unwrap();
        let cgroup = hierarchy.of_process(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        while fs::remove_dir(&odd).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let cgroup = cgroup.unwrap();
        assert!(cgroup.is_in(outer.path()));
        assert_eq!(
            cgroup.path,
            format!("{}/odd\u{fffd}\u{1b}[31m", outer.path())
        );
        assert!(printable(&cgroup.path).ends_with(r"/odd\u{fffd}\u{1b}[31m"));
        assert_eq!(printable(r"/a\x2db.slice"), r"/a\x2db.slice");
    }

    #[test]
    fn no_process_no_cgroup() {
        let hierarchy = Hierarchy {
            root: PathBuf::from("/sys/fs/cgroup"),
        };
        let error = hierarchy.of_process(u32::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
