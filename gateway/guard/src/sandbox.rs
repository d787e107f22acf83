//! What the tests do real things in: cgroups, network namespaces and processes that end with them.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup::Hierarchy;
use crate::namespace;

/// Whether this is root; says so if it is not, for tests that then cannot run.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can do this");
    }
    root
}

/// The hierarchy of cgroups, if this process may change it; else says why not.
pub(crate) fn hierarchy() -> Option<Hierarchy> {
    if !is_root() {
        return None;
    }
    let hierarchy = Hierarchy::find().unwrap();
    if hierarchy.is_none() {
        eprintln!("skipped: no cgroup v2 is mounted here");
    }
    hierarchy
}

/// A cgroup that is removed at its end.
pub(crate) struct Group {
    path: String,
    directory: PathBuf,
}

impl Group {
    pub(crate) fn new(hierarchy: &Hierarchy) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/guard-test-{}-{count}", process::id());
        Self::create(hierarchy.root.join(&path[1..]), path)
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self::create(self.directory.join(name), format!("{}/{name}", self.path))
    }

    fn create(directory: PathBuf, path: String) -> Self {
        fs::create_dir(&directory).unwrap();
        Self { path, directory }
    }

    /// From the hierarchy's root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Starts a program in it, which enters it before it begins. Start it in a namespace by
    /// calling this in one.
    pub(crate) fn spawn(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0\" && echo in && exec \"$@\""])
            .arg(self.directory.join("cgroup.procs"))
            .arg(program)
            .args(arguments);
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "in");
        process
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = within_patience(|| match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => None,
            result => Some(result),
        });
        if !thread::panicking() {
            removed.unwrap().unwrap();
        }
    }
}

/// A network namespace with loopback up, which ends with this.
pub(crate) struct Namespace(Process);

impl Namespace {
    pub(crate) fn new() -> Self {
        let script = "ip link set lo up && echo up && exec cat";
        let mut process =
            Process::start(Command::new("unshare").args(["--net", "sh", "-c", script]));
        assert_eq!(process.line(), "up");
        Self(process)
    }

    /// The file that names it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.id()))
    }

    /// Runs something in it.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        namespace::inside(Some(&self.path()), || Ok(work())).unwrap()
    }

    /// Joins it with another by a cable, whose ends get these addresses.
    pub(crate) fn connect(&self, other: &Self, here: &[IpAddr], there: &[IpAddr]) {
        let peer = other.id().to_string();
        self.ip(&[
            "link", "add", "cable", "type", "veth", "peer", "cable", "netns", &peer,
        ]);
        for (namespace, addresses) in [(self, here), (other, there)] {
            for address in addresses {
                let length = if address.is_ipv4() { 24 } else { 64 };
                let mut arguments = vec!["addr", "add"];
                let address = format!("{address}/{length}");
                arguments.extend([address.as_str(), "dev", "cable"]);
                if length == 64 {
                    // Else it is not usable for a second.
                    arguments.push("nodad");
                }
                namespace.ip(&arguments);
            }
            namespace.ip(&["link", "set", "cable", "up"]);
        }
    }

    /// Runs ip(8) in it.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        let status = self.inside(|| Command::new("ip").args(arguments).status().unwrap());
        assert!(status.success(), "ip {arguments:?}");
    }
}

impl Deref for Namespace {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

/// A process that is spoken to by lines; it is killed at its end.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it with pipes for its input and output.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Its next line; "" at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets it end by the end of its input, without taking notice of it: it is a zombie then.
    pub(crate) fn end_unreaped(mut self) -> Self {
        self.input = None;
        let stat = format!("/proc/{}/stat", self.id());
        within_patience(|| {
            fs::read_to_string(&stat)
                .unwrap()
                .contains(") Z ")
                .then_some(())
        })
        .expect("the process ends");
        self
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }
}

/// Tries until something comes, for at most 10 seconds.
pub(crate) fn within_patience<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(result) = attempt() {
            return Some(result);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
