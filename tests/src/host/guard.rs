//! The guard as a process: `connect-gateway guard run --unpinned`.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Host, Process};
use crate::harness::{Client, Finished, Metrics, Request, gateway_binary, poll};

/// A guard's configuration: one local endpoint, `*:3939`, until it is changed.
pub struct GuardSetup<'a> {
    host: &'a Host,
    top: BTreeMap<&'static str, String>,
    local: BTreeMap<&'static str, String>,
    further: String,
    exceptions: Vec<String>,
    programs: Option<String>,
}

/// A running guard; killed when dropped, and nothing of it stays attached.
pub struct Guard<'a> {
    host: &'a Host,
    config: PathBuf,
    process: Process,
}

/// A counter of its status: how often a program decided something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    /// The program.
    pub program: String,
    /// Why.
    pub reason: String,
    /// `passed`, `refused` or `would_refuse`.
    pub action: String,
    /// How often.
    pub count: u64,
}

impl<'a> GuardSetup<'a> {
    /// The port that is protected.
    pub const PORT: u16 = 3939;

    /// In that mode.
    pub fn new(host: &'a Host, mode: &str) -> Self {
        let file = |name: &str| format!("{:?}", host.dir.path().join(name));
        let run = run_directory(host);
        let top = [
            ("mode", format!("{mode:?}")),
            ("slice", format!("{:?}", host.slice().path)),
            ("socket", format!("{:?}", run.join("guard.sock"))),
            ("metrics", format!("{METRICS:?}")),
            ("pins", file("pins")),
            ("override_file", file("override.json")),
        ];
        let local = [
            ("address", format!("\"*:{}\"", Self::PORT)),
            ("service", format!("{:?}", host.service_cgroup().path)),
            ("uid", Host::SERVICE.to_string()),
            ("run_as", format!("[{}]", Host::HOSTED)),
        ];
        Self {
            host,
            top: top.into(),
            local: local.into(),
            further: String::new(),
            exceptions: Vec::new(),
            programs: None,
        }
    }

    /// A key of `[guard]`.
    pub fn key(mut self, key: &'static str, value: &str) -> Self {
        self.top.insert(key, value.to_owned());
        self
    }

    /// A key of `[[guard.local]]`.
    pub fn local(mut self, key: &'static str, value: &str) -> Self {
        self.local.insert(key, value.to_owned());
        self
    }

    /// Without a key of `[[guard.local]]`.
    pub fn without(mut self, key: &str) -> Self {
        self.local.remove(key);
        self
    }

    /// One more `[[guard.local]]`, by its lines.
    pub fn beside(mut self, lines: &str) -> Self {
        self.further = format!("\n[[guard.local]]\n{lines}\n");
        self
    }

    /// An exception, by a line such as `uid = 5`.
    pub fn exception(mut self, line: &str) -> Self {
        self.exceptions.push(line.to_owned());
        self
    }

    /// Only these of its programs, separated by commas.
    pub fn programs(mut self, programs: &str) -> Self {
        self.programs = Some(programs.to_owned());
        self
    }

    /// `[guard]` and what belongs to it.
    pub fn text(&self) -> String {
        let lines = |keys: &BTreeMap<_, String>| {
            keys.iter()
                .map(|(key, value)| format!("{key} = {value}\n"))
                .collect::<String>()
        };
        let exception = |line| format!("\n[[guard.exception]]\n{line}\n");
        let mut text = format!(
            "[guard]\n{}\n[[guard.local]]\n{}{}",
            lines(&self.top),
            lines(&self.local),
            self.further
        );
        text.extend(self.exceptions.iter().map(exception));
        text
    }

    /// Writes it down and starts a guard with it; waits until it is attached.
    #[track_caller]
    pub fn start(self) -> Guard<'a> {
        let config = self.host.dir.write("guard.toml", self.text());
        self.start_with(&config)
    }

    /// Starts a guard with a configuration that holds [`GuardSetup::text`].
    #[track_caller]
    pub fn start_with(self, config: &Path) -> Guard<'a> {
        let ready = self.host.dir.path().join("guard-ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready).unwrap();
        }
        let mut arguments = vec!["guard", "run", "--unpinned", "--config"];
        arguments.push(config.to_str().unwrap());
        arguments.extend(["--ready-file", ready.to_str().unwrap()]);
        if let Some(programs) = &self.programs {
            arguments.extend(["--programs", programs]);
        }
        let guard = self.host.guard();
        let program = gateway_binary().to_str().unwrap();
        let mut process = self.host.spawn_program(&guard, program, &arguments);
        poll::until("the guard is ready", || {
            assert!(process.is_alive(), "the guard ended: {}", process.told());
            ready.exists().then_some(())
        });
        Guard {
            host: self.host,
            config: config.to_owned(),
            process,
        }
    }
}

impl Guard<'_> {
    /// Runs `connect-gateway guard COMMAND --config …`.
    #[track_caller]
    pub fn command(&self, command: &[&str]) -> Finished {
        let mut run = Command::new(gateway_binary());
        run.arg("guard").args(command).arg("--config");
        Finished::run(run.arg(&self.config))
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> Value {
        let finished = self.command(&["status", "--json"]);
        serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"))
    }

    /// Its counters.
    #[track_caller]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let status = self.status();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let verdicts = status["verdicts"].as_array().unwrap().iter();
        verdicts
            .map(|verdict| Verdict {
                program: text(&verdict["program"]),
                reason: text(&verdict["reason"]),
                action: text(&verdict["action"]),
                count: verdict["count"].as_u64().unwrap(),
            })
            .collect()
    }

    /// How often a program did that for that reason.
    #[track_caller]
    pub fn count(&self, program: &str, reason: &str, action: &str) -> u64 {
        self.verdicts()
            .iter()
            .filter(|one| (&*one.program, &*one.reason, &*one.action) == (program, reason, action))
            .map(|one| one.count)
            .sum()
    }

    /// Everything that it refused, or would have, by whatever program.
    #[track_caller]
    pub fn refused(&self) -> u64 {
        self.verdicts()
            .iter()
            .filter(|one| one.action != "passed")
            .map(|one| one.count)
            .sum()
    }

    /// What its metrics listener says, once it counts every refusal: it gives an answer again for a
    /// second.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let request = Request::get("/metrics")
            .on(METRICS)
            .field("Connection", "close");
        let ask = || Client::plain(METRICS.parse().unwrap()).ask(&request);
        let refused = self.refused();
        poll::until("the metrics count every refusal", || {
            let answer = self.host.namespace.run(ask).expect(200);
            let metrics = Metrics::parse(&answer.text());
            let count = |action| metrics.sum(VERDICTS, &[("action", action)]);
            (count("refused") + count("would_refuse") >= refused as f64).then_some(metrics)
        })
    }

    /// The log's lines about decisions.
    pub fn events(&self) -> Vec<Value> {
        let log = self.process.told();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .filter(|line: &Value| line["reason"].is_string())
            .collect()
    }

    /// Waits for an event.
    #[track_caller]
    pub fn event(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        poll::until(&format!("the guard logs {what}"), || {
            self.events().into_iter().find(&fits)
        })
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.told()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it by SIGTERM.
    #[track_caller]
    pub fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = self.process.wait();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

/// The directory of the guard's socket, which the gateway's group may enter, as its unit makes it.
fn run_directory(host: &Host) -> PathBuf {
    let run = host.dir.path().join("run");
    if !run.exists() {
        std::fs::create_dir(&run).unwrap();
        chown(&run, None, Some(Host::GATEWAY)).unwrap();
        std::fs::set_permissions(&run, Permissions::from_mode(0o750)).unwrap();
    }
    run
}

const METRICS: &str = "127.0.0.1:9146";
const VERDICTS: &str = "connect_gateway_guard_verdicts_total";
