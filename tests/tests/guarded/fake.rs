//! A guard that says whatever the test wants it to say.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

/// A service at a socket, until it is dropped.
pub(crate) struct FakeGuard {
    socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// Nothing: it ends the conversation.
    End,
    /// Nothing, and the conversation goes on.
    Nothing,
    /// This line.
    Text(String),
}

struct Shared {
    says: Mutex<Says>,
    asked: AtomicBool,
    over: AtomicBool,
}

impl Says {
    /// This status.
    pub(crate) fn status(status: &Value) -> Self {
        Self::Text(json!({ "ok": status }).to_string())
    }
}

impl FakeGuard {
    /// One that says this.
    pub(crate) fn start(socket: &Path, says: Says) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared {
            says: Mutex::new(says),
            asked: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        Self {
            socket: socket.to_owned(),
            shared,
            thread: Some(thread::spawn(move || serve(&listener, &served))),
        }
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, says: Says) {
        *self.shared.says.lock().unwrap() = says;
    }

    /// Whether it has answered somebody.
    pub(crate) fn was_asked(&self) -> bool {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for FakeGuard {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.socket) {
            Ok(()) => {}
            // The gateway went first, and took its directory along.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("{error}"),
        }
        self.shared.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.expect("every question was one for the status");
        }
    }
}

/// The status of a guard that enforces, for this slice; tests change it.
pub(crate) fn enforcing(slice: &str) -> Value {
    let link = |program: &str| {
        json!({
            "program": program, "attached": true, "program_id": 7, "runs": 0, "run_time_ns": 0,
        })
    };
    json!({
        "version": "0.1.0",
        "object_sha256": "00",
        "pid": 1,
        "kernel": "6.1.0",
        "state": "enforcing",
        "mode": "enforce",
        "configured_mode": "enforce",
        "override": null,
        "slice": { "path": slice, "present": true },
        "endpoints": [{
            "kind": "local",
            "address": "*:3939",
            "service": "/system.slice/rstudio-connect.service",
            "service_present": true,
            "uid": null,
            "allow_from": [],
        }],
        "links": [link("ingress"), link("connect4"), link("connect6")],
        "findings": [],
        "verdicts": [],
        "events_lost": 0,
        "suppressed_log_lines": 0,
        "reattached": 0,
        "destroyed_sockets": 0,
    })
}

fn serve(listener: &UnixListener, shared: &Shared) {
    let mut waiting = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let says = shared.says.lock().unwrap().clone();
                waiting.extend(answer(stream, says));
                shared.asked.store(true, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Answers, or gives the connection back that is to hear nothing.
fn answer(mut stream: UnixStream, says: Says) -> Option<UnixStream> {
    stream.set_nonblocking(false).unwrap();
    let mut question = String::new();
    let length = BufReader::new(&stream).read_line(&mut question).unwrap();
    // A gateway that was killed says nothing more.
    if length > 0 {
        assert_eq!(question, "{\"ask\":\"status\"}\n");
    }
    match says {
        Says::End => None,
        Says::Nothing => Some(stream),
        Says::Text(text) => {
            // So, too, it may have gone meanwhile.
            let _gone = stream.write_all(format!("{text}\n").as_bytes());
            None
        }
    }
}
