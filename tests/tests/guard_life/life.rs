//! A host with a pinned guard that can be started, stopped and killed.

use std::path::PathBuf;
use std::process::Command;

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::{Client, Finished, Metrics, Request, gateway_binary, poll};
use gateway_tests::host::{Bpffs, GuardSetup, Host, Process, Who, bpf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// See the module.
pub(crate) struct Life {
    /// Goes first: nothing of the guard's may be left when the cgroups go.
    bpffs: Bpffs,
    pub(crate) host: Host,
}

/// A running guard service. Dropped, it is killed, and what is pinned stays.
pub(crate) struct Service(Process);

impl Life {
    /// A host without a service. None where that cannot be.
    pub(crate) fn new() -> Option<Self> {
        let host = Host::new()?;
        let bpffs = Bpffs::private(host.dir.path());
        Some(Self { bpffs, host })
    }

    /// What is to be written down: one local endpoint.
    pub(crate) fn setup(&self, mode: &str) -> GuardSetup<'_> {
        let pins = format!("{:?}", self.pins());
        GuardSetup::new(&self.host, mode).key("pins", &pins)
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, mode: &str) {
        self.host.dir.write("guard.toml", self.setup(mode).text());
    }

    /// Where it is.
    pub(crate) fn config(&self) -> PathBuf {
        self.host.dir.path().join("guard.toml")
    }

    /// The directory of pins.
    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs.path().join("connect-gateway")
    }

    /// The programs for one local endpoint, as their pins are called, in order.
    pub(crate) fn programs() -> Vec<&'static str> {
        let mut programs = vec!["bind4", "bind6", "connect4", "connect6", "ingress"];
        // It notes where sockets were made, for `ingress` to know.
        if !bpf::packets_tell_their_namespace().unwrap() {
            programs.push("origin");
        }
        programs
    }

    /// The pins of programs, by name.
    pub(crate) fn pinned(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.pins()) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<_> = entries.map(name).collect();
        // The maps of notes have names in capitals.
        names.retain(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
        names.sort();
        names
    }

    /// Starts the service and waits until it guards.
    #[track_caller]
    pub(crate) fn start(&self) -> Service {
        self.start_with(&[])
    }

    /// The same, with further arguments.
    #[track_caller]
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Service {
        let ready = self.host.dir.path().join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready).unwrap();
        }
        let config = self.config();
        let mut all = vec!["guard", "run", "--config", config.to_str().unwrap()];
        all.extend(["--ready-file", ready.to_str().unwrap()]);
        all.extend(arguments);
        let program = gateway_binary().to_str().unwrap();
        let mut process = self.host.spawn_program(&self.host.guard(), program, &all);
        poll::until("the guard is ready", || {
            assert!(process.is_alive(), "the guard ended: {}", process.told());
            ready.exists().then_some(())
        });
        Service(process)
    }

    /// Runs `connect-gateway guard …` as root, in no cgroup in particular.
    #[track_caller]
    pub(crate) fn command(&self, command: &[&str]) -> Finished {
        self.command_by(&[], command)
    }

    /// The same by a launcher: a command that executes what follows it.
    #[track_caller]
    pub(crate) fn command_by(&self, launcher: &[String], command: &[&str]) -> Finished {
        let gateway = gateway_binary().to_str().unwrap().to_owned();
        let mut line = launcher.iter().chain(std::iter::once(&gateway));
        let mut run = Command::new(line.next().unwrap());
        run.args(line).arg("guard").args(command);
        Finished::run(run.arg("--config").arg(self.config()))
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(crate) fn done(&self, command: &[&str]) -> Finished {
        let finished = self.command(command);
        assert_eq!(finished.code, Some(0), "{command:?}: {finished:?}");
        finished
    }

    /// Its status and the exit status that came with it.
    #[track_caller]
    pub(crate) fn status(&self) -> (Value, Option<i32>) {
        let finished = self.command(&["status", "--json"]);
        let status = serde_json::from_str(&finished.stdout);
        (
            status.unwrap_or_else(|_| panic!("{finished:?}")),
            finished.code,
        )
    }

    /// Waits until the service's cgroup is known to be there, or to be gone.
    #[track_caller]
    pub(crate) fn notices_the_service(&self, present: bool) {
        poll::until("the service's cgroup is noticed", || {
            let (status, _) = self.status();
            (status["endpoints"][0]["service_present"] == present).then_some(())
        });
    }

    /// Waits until its metrics listener says something: it gives an answer again for a second.
    #[track_caller]
    pub(crate) fn metrics_say(&self, what: &str, says: impl Fn(&Metrics) -> bool) {
        let address = "127.0.0.1:9146";
        let request = Request::get("/metrics")
            .on(address)
            .field("Connection", "close");
        let ask = || Client::plain(address.parse().unwrap()).ask(&request);
        poll::until(&format!("the metrics say {what}"), || {
            let answer = self.host.namespace.run(ask).expect(200);
            says(&Metrics::parse(&answer.text())).then_some(())
        });
    }

    /// Starts what is protected.
    #[track_caller]
    pub(crate) fn serve(&self) -> Process {
        let listen = ["--listen", "[::]:3939"];
        self.host.serve(&self.host.service(), &listen)
    }

    /// What a connect comes to.
    #[track_caller]
    pub(crate) fn connect(&self, who: &Who) -> Outcome {
        self.host.attempt(who, &["connect", "127.0.0.1:3939"])
    }

    /// The gateway gets an answer; whether strangers do, which must be all or none.
    #[track_caller]
    pub(crate) fn strangers_get_in(&self) -> bool {
        let outcome = self.connect(&self.host.gateway());
        assert!(outcome.answered_by("service"), "{outcome:?}");
        let strangers = [self.host.outsider(), self.host.hosted()];
        let outcomes = strangers.map(|who| self.connect(&who));
        let [one, other] = outcomes.each_ref().map(Outcome::reached);
        assert_eq!(one, other, "{outcomes:?}");
        one
    }
}

impl Service {
    /// Ends it by SIGTERM.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.0.wait();
        assert!(status.success(), "{status}: {}", self.0.told());
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill();
    }

    /// Stops it: until [`Service::resume`] it notices nothing.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.0.pid());
        poll::until("the guard has stopped", || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            // proc(5): the state follows the name, which ends with the last `)`.
            stat.rsplit_once(") ")
                .unwrap()
                .1
                .starts_with('T')
                .then_some(())
        });
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The whole lines of its log.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.0.told();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        whole.lines().map(parse).collect()
    }

    /// Waits for a line of its log.
    #[track_caller]
    pub(crate) fn said(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        poll::until(&format!("the guard's log says {what}"), || {
            self.log().into_iter().find(&fits)
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}
