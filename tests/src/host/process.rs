//! Processes of a host: each in its cgroup, under its user, in the host's namespace from its first
//! instruction on.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{Cgroup, Host, Namespace, attacker_binary};
use crate::attacker::Outcome;
use crate::harness::poll;

/// In which cgroup, and which user.
#[derive(Clone, Debug)]
pub struct Who {
    cgroup: Cgroup,
    uid: Option<u32>,
}

/// A process that prints JSON lines; killed when dropped.
pub struct Process {
    what: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Who {
    /// Root in a cgroup.
    pub fn root(cgroup: &Cgroup) -> Self {
        Self {
            cgroup: cgroup.clone(),
            uid: None,
        }
    }

    /// Another user in a cgroup.
    pub fn user(cgroup: &Cgroup, uid: u32) -> Self {
        Self {
            cgroup: cgroup.clone(),
            uid: Some(uid),
        }
    }

    /// The same cgroup, but root.
    pub fn as_root(&self) -> Self {
        Self::root(&self.cgroup)
    }

    /// The same cgroup, but another user.
    pub fn as_user(&self, uid: u32) -> Self {
        Self::user(&self.cgroup, uid)
    }

    /// The same user, but another cgroup.
    pub fn in_cgroup(&self, cgroup: &Cgroup) -> Self {
        Self {
            cgroup: cgroup.clone(),
            uid: self.uid,
        }
    }

    /// The cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The start of a command line that runs another program as this one, in its own process.
    pub fn launcher(&self) -> Vec<String> {
        let mut launcher = self.become_it();
        launcher.extend(["exec".to_owned(), "--".to_owned()]);
        launcher
    }

    fn become_it(&self) -> Vec<String> {
        let attacker = attacker_binary().to_str().unwrap().to_owned();
        let directory = self.cgroup.dir.to_str().unwrap().to_owned();
        let mut arguments = vec![attacker, "--cgroup".to_owned(), directory];
        if let Some(uid) = self.uid {
            arguments.extend(["--uid".to_owned(), uid.to_string()]);
        }
        arguments
    }
}

impl Host {
    /// Starts the attacker's program with these arguments.
    pub fn spawn(&self, who: &Who, arguments: &[&str]) -> Process {
        self.spawn_in(&self.namespace, who, arguments)
    }

    /// The same in another namespace.
    pub fn spawn_in(&self, namespace: &Namespace, who: &Who, arguments: &[&str]) -> Process {
        let mut command = who.become_it();
        command.extend(arguments.iter().map(|&one| one.to_owned()));
        Process::start(self, namespace, &command, arguments.join(" "))
    }

    /// Starts another program.
    pub fn spawn_program(&self, who: &Who, program: &str, arguments: &[&str]) -> Process {
        let mut command = who.launcher();
        command.push(program.to_owned());
        command.extend(arguments.iter().map(|&one| one.to_owned()));
        let what = format!("{program} {}", arguments.join(" "));
        Process::start(self, &self.namespace, &command, what)
    }

    /// Runs one attempt to its end.
    #[track_caller]
    pub fn attempt(&self, who: &Who, arguments: &[&str]) -> Outcome {
        self.spawn(who, arguments).outcome()
    }

    /// Starts a server; it must be able to listen.
    #[track_caller]
    pub fn serve(&self, who: &Who, arguments: &[&str]) -> Process {
        let mut all = vec!["serve"];
        all.extend(arguments);
        let server = self.spawn(who, &all);
        server.event("listening");
        server
    }
}

impl Process {
    fn start(host: &Host, namespace: &Namespace, command: &[String], what: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Files, not pipes: what a process reported before it answered is there to be read then.
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|name| host.dir.path().join(format!("{name}-{count}")));
        let mut spawn = Command::new(&command[0]);
        spawn
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap());
        Self {
            what,
            child: namespace.run(|| spawn.spawn()).expect("it starts"),
            stdout,
            stderr,
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every whole line so far; one that is no JSON as a string.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.stdout).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
        };
        whole.lines().map(read).collect()
    }

    /// Waits for the first event of that kind.
    #[track_caller]
    pub fn event(&self, kind: &str) -> Value {
        self.line(&format!("the event {kind}"), |line| line["event"] == kind)
    }

    /// Waits for a line.
    #[track_caller]
    pub fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        poll::until(
            &format!("{} prints {what}\n{}", self.what, self.told()),
            || self.lines().into_iter().find(&fits),
        )
    }

    /// How many events of that kind there are.
    pub fn count(&self, kind: &str) -> usize {
        let fits = |line: &&Value| line["event"] == kind;
        self.lines().iter().filter(fits).count()
    }

    /// Whether a server received that text as a message, or as the start of one.
    pub fn received(&self, text: &str) -> bool {
        let fits = |line: &Value| {
            line["event"] == "received"
                && line["text"]
                    .as_str()
                    .is_some_and(|got| got.starts_with(text))
        };
        self.lines().iter().any(fits)
    }

    /// Gives an order.
    pub fn tell(&mut self, order: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{order}").unwrap();
        stdin.flush().unwrap();
    }

    /// Gives an order, and waits for what it prints next.
    #[track_caller]
    pub fn ask(&mut self, order: &str) -> Value {
        let before = self.lines().len();
        self.tell(order);
        poll::until(&format!("{} answers {order}", self.what), || {
            self.lines().get(before).cloned()
        })
    }

    /// Waits for its end and reads what came of it.
    #[track_caller]
    pub fn outcome(mut self) -> Outcome {
        let status = self.wait();
        assert!(status.success(), "{}: {status}\n{}", self.what, self.told());
        let last = self.lines().pop();
        let last = last.unwrap_or_else(|| panic!("{} says nothing", self.what));
        serde_json::from_value(last).expect("its last line is an outcome")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.what);
        poll::until(&what, || self.child.try_wait().unwrap())
    }

    /// Ends it with SIGKILL, and waits for that.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it wrote to standard error.
    pub fn told(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("{}: {}", self.what, self.told());
            for line in self.lines().iter().rev().take(8).rev() {
                eprintln!("  {line}");
            }
        }
    }
}
