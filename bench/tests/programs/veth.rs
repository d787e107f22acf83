//! Scenarios over veth: what stays when a run is ended, and what is said where none can be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Dir, bench_command};

#[test]
fn nothing_stays_however_a_run_ends() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make namespaces");
        return;
    }
    let dir = Dir::new("veth-ends");
    // Asked for its version, the gateway says nothing as long as the run lasts.
    let gateway = dir.0.join("connect-gateway");
    let script = "#!/bin/sh\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.02; done\n";
    fs::write(&gateway, script).unwrap();
    fs::set_permissions(&gateway, fs::Permissions::from_mode(0o755)).unwrap();
    // Not SIGINT, which does the same: a shell has what it runs in the background ignore it.
    for signal in [Signal::TERM, Signal::KILL] {
        let mut run = bench_command(&dir, &dir.0)
            .arg("--scenario=h3-new-veth")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cable = PathBuf::from(format!("/sys/class/net/bench-{}", run.id()));
        until(|| cable.exists(), "no cable");
        kill_process(Pid::from_child(&run), signal).unwrap();
        assert_eq!(run.wait().unwrap().signal(), Some(signal.as_raw()));
        until(|| !cable.exists(), "the cable is still there");
    }
}

#[test]
fn without_the_right_to_it_a_run_says_so() {
    let dir = Dir::new("veth-right");
    let bench = bench_command(&dir, &dir.0);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set=-sys_admin", "--"])
            .arg(bench.get_program())
            .args(bench.get_args());
        command
    } else {
        bench
    };
    let output = command.arg("--scenario=h3-new-veth").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = "bench: no network namespace for clients over veth, which only root can make: ";
    assert!(said.starts_with(line), "{said}");
    assert!(said.contains("Operation not permitted"), "{said}");
}

fn until(condition: impl Fn() -> bool, otherwise: &str) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{otherwise}");
        sleep(Duration::from_millis(5));
    }
}
