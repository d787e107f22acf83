//! The gateway as a process.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use serde_json::Value;

use super::{
    Answer, CONNECT, Client, Http3, Metrics, Prepared, Request, gateway_binary, poll,
    setup::wants_http3, tls,
};

/// A running gateway; killed when dropped. That it ran until then, and never panicked, is part of
/// every test.
pub struct Gateway {
    /// Its configuration and files.
    pub prepared: Prepared,
    child: Child,
    stopped: bool,
    listeners: BTreeMap<String, SocketAddr>,
    admin: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// A run of the binary that came to its end by itself.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote.
    pub stderr: String,
}

impl Gateway {
    /// Starts one and waits until it serves.
    #[track_caller]
    pub fn start(prepared: Prepared) -> Self {
        Self::start_by(prepared, &[])
    }

    /// As [`Gateway::start`], by a launcher: a command that executes, in its own process, the
    /// command that follows it.
    #[track_caller]
    pub fn start_by(prepared: Prepared, launcher: &[&str]) -> Self {
        let dir = &prepared.dir;
        let ready = dir.path().join("ready.json");
        let mut child = launched(launcher)
            .arg("run")
            .arg("--config")
            .arg(prepared.config())
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("stdout")).unwrap())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .expect("the gateway starts");
        let facts = poll::until("the gateway is ready", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the gateway ended with {status}: {}", dir.read("stderr"));
            }
            let text = std::fs::read(&ready).ok()?;
            Some(serde_json::from_slice::<Value>(&text).expect("the ready file is written whole"))
        });
        assert_eq!(facts["pid"].as_u64(), Some(u64::from(child.id())));
        let address = |value: &Value| value.as_str().unwrap().parse().unwrap();
        let listeners = facts["listeners"].as_object().unwrap();
        Self {
            listeners: listeners
                .iter()
                .map(|(name, value)| (name.clone(), address(value)))
                .collect(),
            admin: address(&facts["admin"]),
            tls: tls::trust(prepared.ca.der()),
            child,
            stopped: false,
            prepared,
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the listener `public` is.
    pub fn address(&self) -> SocketAddr {
        self.listeners["public"]
    }

    /// Where a listener is.
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        self.listeners[listener]
    }

    /// Where metrics and health are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A connection whose TLS names [`CONNECT`].
    pub fn client(&self) -> Client {
        self.client_for(CONNECT)
    }

    /// A connection whose TLS names another host.
    pub fn client_for(&self, host: &str) -> Client {
        match wants_http3() {
            true => Client::http3(self.http3_for(host)),
            false => Client::tls(self.address(), self.tls.clone(), host),
        }
    }

    /// As [`Gateway::client`], by way of a relay's address.
    pub fn client_by(&self, relay: SocketAddr) -> Client {
        Client::tls(relay, self.tls.clone(), CONNECT)
    }

    /// As [`Gateway::client_by`], where the handshake may break off.
    pub fn try_client_by(&self, relay: SocketAddr) -> std::io::Result<Client> {
        Client::try_tls(relay, self.tls.clone(), CONNECT)
    }

    /// TLS that names [`CONNECT`] over a connection that is there already.
    pub fn client_over(&self, tcp: TcpStream) -> Client {
        Client::tls_over(tcp, self.tls.clone(), CONNECT)
    }

    /// A connection over HTTP/3 whose TLS names [`CONNECT`].
    #[track_caller]
    pub fn http3(&self) -> Http3 {
        self.http3_for(CONNECT)
    }

    /// A connection over HTTP/3 whose TLS names another host.
    #[track_caller]
    pub fn http3_for(&self, host: &str) -> Http3 {
        Http3::connect(self.address(), self.http3_tls(), host)
    }

    /// The authority of its listener's certificate, in a file.
    pub fn ca_file(&self) -> PathBuf {
        self.prepared.dir.path().join("ca.pem")
    }

    /// What clients over HTTP/3 trust.
    pub fn http3_tls(&self) -> ClientConfig {
        tls::trust_http3(self.prepared.ca.der())
    }

    /// A plain connection to the listener `public` from a certain address of this host.
    pub fn tcp_from(&self, source: &str) -> TcpStream {
        super::tcp_from(source.parse().unwrap(), self.address()).expect("the listener accepts")
    }

    /// Asks on a connection of its own, whose TLS names [`CONNECT`].
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Answer {
        self.client().ask(request)
    }

    /// Asks on a connection of its own for another host.
    #[track_caller]
    pub fn ask_on(&self, host: &str, request: Request) -> Answer {
        self.client_for(host).ask(&request.on(host))
    }

    /// The metrics as they are now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.ask_admin("/metrics").expect(200).text())
    }

    /// Waits until the sum of a metric is at least `least`, and returns it.
    #[track_caller]
    pub fn counted(&self, name: &str, labels: &[(&str, &str)], least: f64) -> f64 {
        poll::until(&format!("{name}{labels:?} counts {least}"), || {
            let sum = self.metrics().sum(name, labels);
            (sum >= least).then_some(sum)
        })
    }

    /// Asks the admin listener.
    #[track_caller]
    pub fn ask_admin(&self, path: &str) -> Answer {
        let request = Request::get(path)
            .on(&self.admin.to_string())
            .field("Connection", "close");
        Client::plain(self.admin).ask(&request)
    }

    /// The access log so far, each line parsed.
    pub fn access_log(&self) -> Vec<Value> {
        let text = self.prepared.dir.read("stdout");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// Waits for an access log line.
    #[track_caller]
    pub fn logged(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        poll::until(&format!("the access log has {what}"), || {
            self.access_log().into_iter().find(|line| fits(line))
        })
    }

    /// The process log so far.
    pub fn process_log(&self) -> String {
        self.prepared.dir.read("stderr")
    }

    /// Waits for a process log line that holds all of these, without regard to case.
    #[track_caller]
    pub fn said(&self, parts: &[&str]) -> String {
        poll::until(&format!("the process log says {parts:?}"), || {
            let log = self.process_log();
            let fits = |line: &&str| {
                let line = line.to_lowercase();
                parts.iter().all(|part| line.contains(&part.to_lowercase()))
            };
            log.lines().find(fits).map(str::to_owned)
        })
    }

    /// Forgets the peak of its resident memory; returns what is resident now, in bytes.
    pub fn reset_peak_memory(&self) -> u64 {
        // proc(5): "5" resets VmHWM to the present size.
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
        self.memory("VmRSS:")
    }

    /// Its resident memory, in bytes.
    pub fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The peak of its resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The CPU time that it has used so far, in user and kernel mode, to 10 ms.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // proc(5): utime and stime are the 14th and 15th field; the 2nd ends with the last `)`.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields[at - 3].parse::<u64>().unwrap();
        // A tick is 10 ms wherever Linux runs on x86 or ARM (USER_HZ).
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        self.stopped = true;
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Stops it: until [`Gateway::resume`], only the kernel acts on its connections.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        poll::until("every thread has stopped", || {
            let mut tasks = std::fs::read_dir(&tasks).unwrap();
            let stopped = tasks.all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                // proc(5): the state follows the name, which ends with the last `)`.
                stat.rsplit_once(") ").unwrap().1.starts_with('T')
            });
            stopped.then_some(())
        });
    }

    /// Lets it go on after [`Gateway::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end after [`Gateway::terminate`].
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        poll::until("the gateway ends", || self.child.try_wait().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap();
        let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kibibytes * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let ended = self.child.try_wait().unwrap();
        if ended.is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        let log = self.process_log();
        if std::thread::panicking() {
            let from = log.len().saturating_sub(4000);
            eprintln!(
                "the process log ends with:\n{}",
                log.get(from..).unwrap_or(&log)
            );
            return;
        }
        assert!(
            self.stopped || ended.is_none(),
            "the gateway died: {ended:?}\n{log}"
        );
        assert!(!log.contains("panicked at"), "the gateway panicked:\n{log}");
    }
}

impl Finished {
    /// Runs `connect-gateway COMMAND --config FILE`, by a launcher or without; it must end by
    /// itself.
    #[track_caller]
    pub(crate) fn of(launcher: &[&str], command: &[&str], config: &Path) -> Self {
        Self::run(launched(launcher).args(command).arg("--config").arg(config))
    }

    /// Runs any command that must end by itself, with little output.
    #[track_caller]
    pub fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > poll::patience() {
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                panic!(
                    "{command:?} does not end: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn launched(launcher: &[&str]) -> Command {
    match launcher {
        [] => Command::new(gateway_binary()),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(gateway_binary());
            command
        }
    }
}
