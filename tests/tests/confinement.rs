//! What the running gateway has given up, as the kernel tells it: capabilities, the gain of any,
//! and being looked into.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Child, Command, Stdio};

use gateway_tests::harness::{ALICE, Backend, Gateway, Prepared, Request, Setup, poll, tool};
use rustix::io::Errno;
use rustix::process::{
    Gid, Pid, PidfdFlags, PidfdGetfdFlags, Uid, geteuid, pidfd_getfd, pidfd_open,
};
use rustix::thread::{capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

#[test]
fn root_keeps_nothing_but_low_ports() {
    let Some(()) = as_root() else { return };
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    let own = Privileges::of(&fs::read_to_string("/proc/self/status").unwrap());
    assert!(own.permitted & !LOW_PORTS != 0 && own.bounding & !LOW_PORTS != 0);
    assert!(
        !own.no_new_privileges,
        "the test itself is confined: {own:?}"
    );
    let expected = Privileges {
        permitted: own.permitted & LOW_PORTS,
        effective: own.permitted & LOW_PORTS,
        ..Privileges::NONE
    };
    assert_everywhere(&gateway, &expected);
}

/// As the unit starts it: another user, with one ambient capability.
#[test]
fn a_service_binds_a_low_port_and_keeps_no_more() {
    let Some(()) = as_root() else { return };
    let launcher = [
        AS_NOBODY,
        &["--inh-caps=-all,+net_bind_service"],
        &["--ambient-caps=-all,+net_bind_service"],
        &["--bounding-set=-all,+net_bind_service"],
    ]
    .concat();
    let backend = Backend::recording();
    let gateway = low_port(&backend, "127.83.0.1:443").start_by(&launcher);
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    let expected = Privileges {
        permitted: LOW_PORTS,
        effective: LOW_PORTS,
        // Only CAP_SETPCAP changes it; without a gain by exec it means nothing.
        bounding: LOW_PORTS,
        ..Privileges::NONE
    };
    assert_everywhere(&gateway, &expected);
}

#[test]
fn without_the_capability_a_low_port_is_a_fault() {
    let Some(()) = as_root() else { return };
    let prepared = low_port(&Backend::recording(), "127.83.0.2:443");
    let finished = prepared.finish_by(&NO_CAPABILITY.concat(), &["run"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    for part in ["listener[0].address", "127.83.0.2:443", "Permission denied"] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
}

#[test]
fn a_process_that_is_confined_already_serves() {
    let Some(()) = as_root() else { return };
    let launcher = [&NO_CAPABILITY.concat()[..], &["--no-new-privs"]].concat();
    let gateway = for_nobody(Setup::connect(&Backend::recording()).prepare()).start_by(&launcher);
    assert_everywhere(&gateway, &Privileges::NONE);
}

#[test]
fn a_user_namespace_serves() {
    let Some(()) = as_root() else { return };
    let unshare = tool("unshare");
    let launcher = [unshare.to_str().unwrap(), "--user", "--map-root-user"];
    let gateway = Setup::connect(&Backend::recording())
        .prepare()
        .start_by(&launcher);
    let expected = Privileges {
        permitted: LOW_PORTS,
        effective: LOW_PORTS,
        ..Privileges::NONE
    };
    assert_everywhere(&gateway, &expected);
}

/// Otherwise whoever runs as the gateway's user takes its connections behind the guard's back.
#[test]
fn another_process_of_the_same_user_gets_no_hold_of_it() {
    let Some(()) = as_root() else { return };
    let launcher = NO_CAPABILITY.concat();
    let gateway = for_nobody(Setup::connect(&Backend::recording()).prepare()).start_by(&launcher);
    let other = Sleeper::start(&launcher);

    let owner = |pid: u32| fs::metadata(format!("/proc/{pid}/status")).unwrap().uid();
    assert_eq!(owner(other.0.id()), NOBODY, "a process that is dumpable");
    assert_eq!(owner(gateway.pid()), 0, "the gateway");

    let [control, stolen] = as_nobody(move || {
        [other.0.id(), gateway.pid()].map(|pid| {
            let pid = Pid::from_raw(pid.cast_signed()).unwrap();
            let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            let taken = pidfd_getfd(&process, 0, PidfdGetfdFlags::empty());
            let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
            (
                taken.map(drop),
                environment.map(drop).map_err(|error| error.kind()),
            )
        })
    });
    assert_eq!(control, (Ok(()), Ok(())), "a process that is dumpable");
    let refused = std::io::ErrorKind::PermissionDenied;
    assert_eq!(stolen, (Err(Errno::PERM), Err(refused)), "the gateway");
}

/// Root without capabilities is a user like others.
#[test]
fn a_file_that_only_privileges_open_is_a_fault() {
    let Some(()) = as_root() else { return };
    let prepared = Setup::connect(&Backend::recording()).prepare();
    let key = prepared.dir.path().join("public.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&key, Some(NOBODY), None).unwrap();
    let checked = prepared.finish(&["check", "--offline"]);
    assert_eq!(
        checked.code,
        Some(0),
        "check keeps its privileges: {checked:?}"
    );
    let finished = prepared.finish(&["run"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    for part in [
        "listener[0].certificate[0].key",
        "public.key",
        "Permission denied",
    ] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    chown(&key, Some(0), None).unwrap();
    drop(prepared.start());
}

/// What a thread may do, from its `status` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Privileges {
    inheritable: u64,
    permitted: u64,
    effective: u64,
    bounding: u64,
    ambient: u64,
    no_new_privileges: bool,
}

impl Privileges {
    const NONE: Self = Self {
        inheritable: 0,
        permitted: 0,
        effective: 0,
        bounding: 0,
        ambient: 0,
        no_new_privileges: true,
    };

    fn of(status: &str) -> Self {
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{key} in\n{status}")).trim()
        };
        let set = |key| u64::from_str_radix(value(key), 16).unwrap();
        Self {
            inheritable: set("CapInh:"),
            permitted: set("CapPrm:"),
            effective: set("CapEff:"),
            bounding: set("CapBnd:"),
            ambient: set("CapAmb:"),
            no_new_privileges: value("NoNewPrivs:") == "1",
        }
    }
}

#[track_caller]
fn assert_everywhere(gateway: &Gateway, expected: &Privileges) {
    let tasks = format!("/proc/{}/task", gateway.pid());
    let statuses = fs::read_dir(tasks).unwrap().map(|task| {
        let path = task.unwrap().path().join("status");
        fs::read_to_string(path).unwrap()
    });
    let statuses: Vec<_> = statuses.collect();
    assert!(statuses.len() > 1, "the control thread and workers");
    for status in statuses {
        assert_eq!(&Privileges::of(&status), expected, "{status}");
    }
}

/// A process without secrets, in the gateway's place; killed when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(launcher: &[&str]) -> Self {
        let child = Command::new(launcher[0])
            .args(&launcher[1..])
            .args(["sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let sleeper = Self(child);
        let name = format!("/proc/{}/comm", sleeper.0.id());
        poll::until("the launcher is done", || {
            (fs::read_to_string(&name).unwrap() == "sleep\n").then_some(())
        });
        sleeper
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs something on a thread that has become [`NOBODY`], without any capability.
fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        assert!(capabilities(None).unwrap().permitted.is_empty());
        work()
    });
    thread.join().unwrap()
}

fn low_port(backend: &Backend, address: &str) -> Prepared {
    let address: SocketAddr = address.parse().unwrap();
    for_nobody(Setup::connect(backend).listen(address).prepare())
}

/// Lets [`NOBODY`] read and write the test's directory.
fn for_nobody(prepared: Prepared) -> Prepared {
    chown(prepared.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    prepared
}

/// None, with a word why, if the test is not run by root.
fn as_root() -> Option<()> {
    if geteuid().is_root() {
        return Some(());
    }
    eprintln!("skipped: only root has privileges that the gateway can give up");
    None
}

/// `CAP_NET_BIND_SERVICE` (capabilities(7)).
const LOW_PORTS: u64 = 1 << 10;

const NOBODY: u32 = 65534;

const AS_NOBODY: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

const NO_CAPABILITY: [&[&str]; 2] = [AS_NOBODY, &["--inh-caps=-all", "--bounding-set=-all"]];
