//! Where the guard cannot hold, it says why in one message, exit status 2, and attaches nothing.

use gateway_tests::harness::{Finished, poll, tool};
use gateway_tests::host::{Host, Who};

use crate::life::Life;

#[test]
fn without_its_table_it_does_not_start() {
    let Some(life) = Life::new() else { return };
    life.host
        .dir
        .write("guard.toml", "[log]\nlevel = \"info\"\n");
    refused(&life, &life.command(&["run"]), "[guard]");
}

#[test]
fn contradictory_rules_are_refused() {
    let Some(life) = Life::new() else { return };
    let host = &life.host;
    let text = |path: &str| format!("{path:?}");
    let (slice, service) = (text(&host.slice().path), text(&host.service_cgroup().path));
    let setup = || life.setup("enforce");
    let with = |more: &str| format!("{}\n{more}", setup().text());
    for (rules, says) in [
        (setup().key("slice", &service).text(), "guard.slice"),
        (setup().local("service", &slice).text(), "guard.slice"),
        (
            with(&format!("[[guard.exception]]\ncgroup = {service}\n")),
            "guard.exception",
        ),
        (
            with(&format!("[[guard.exception]]\ncgroup = {slice}\n")),
            "guard.exception",
        ),
        (
            with(&format!("[[guard.exception]]\nuid = {}\n", Host::HOSTED)),
            "guard.exception",
        ),
        (
            with(&format!("[[guard.exception]]\nuid = {}\n", Host::SERVICE)),
            "guard.exception",
        ),
        (
            with("[[guard.remote]]\naddress = \"127.0.0.1:3939\"\n"),
            "guard.remote",
        ),
        (
            setup().local("allow_from", "[\"0.0.0.0/0\"]").text(),
            "allow_from",
        ),
        (setup().local("address", "\"*:0\"").text(), "address"),
        (setup().key("mode", "\"detach\"").text(), "guard.mode"),
        (setup().key("modes", "1").text(), "modes"),
    ] {
        host.dir.write("guard.toml", &rules);
        let finished = life.command(&["run"]);
        refused(&life, &finished, says);
        let config = life.config();
        let place = format!("{}:", config.display());
        assert!(finished.stderr.contains(&place), "{finished:?}");
    }
    // The control: the rules that these were made of are taken.
    life.configure("enforce");
    life.start().stop();
}

#[test]
fn without_cgroup_v2_it_does_not_start() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .unwrap();
    let mount = mount.split(' ').nth(4).unwrap();
    let script = format!("umount -l {mount} && exec \"$@\"");
    let launcher = command(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    refused(&life, &life.command_by(&launcher, &["run"]), "no_cgroup2");
}

#[test]
fn without_bpffs_it_does_not_start() {
    let Some(life) = Life::new() else { return };
    let elsewhere = life.host.dir.path().join("pins");
    let pins = format!("{elsewhere:?}");
    let text = life.setup("enforce").key("pins", &pins).text();
    life.host.dir.write("guard.toml", text);
    refused(&life, &life.command(&["run"]), "no_bpffs");
    assert!(!elsewhere.exists());
}

#[test]
fn without_capabilities_it_does_not_start() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let without = |what: &str| {
        let bounding = format!("--bounding-set={what}");
        let inheritable = format!("--inh-caps={what}");
        command(&["setpriv", &bounding, &inheritable])
    };
    for what in ["-all", "-bpf,-sys_admin", "-net_admin,-sys_admin"] {
        let finished = life.command_by(&without(what), &["run"]);
        refused(&life, &finished, "no_capability");
    }
    // The control: not having others is no fault.
    life.start().stop();
    life.done(&["detach"]);
    life.done(&["--clear"]);
}

#[test]
fn as_nobody_it_does_not_start() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let nobody = Who::user(life.host.guard().cgroup(), Host::OUTSIDER);
    let finished = life.command_by(&nobody.launcher(), &["run"]);
    refused(&life, &finished, "guard");
}

/// Anybody on the host can take a port. It must not keep the guard down.
#[test]
fn where_its_address_is_taken_it_guards_and_tries_again() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let taken = || std::net::TcpListener::bind("127.0.0.1:9146").unwrap();
    let taken = life.host.namespace.run(taken);
    let _service = life.serve();
    let guard = life.start();
    assert!(!life.strangers_get_in());
    let unbound = || {
        let (status, code) = life.status();
        assert_eq!(code, Some(0), "{status}");
        let findings = status["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .find(|one| one["name"] == "metrics_unbound")
    };
    let found = unbound().expect("it is said");
    assert_eq!(found["severity"], "warning");
    let message = found["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1:9146"), "{message}");
    guard.said("that it is taken", |line| {
        line["finding"] == "metrics_unbound"
    });

    drop(taken);
    poll::until("it has its address", || unbound().is_none().then_some(()));
    life.metrics_say("so, too", |metrics| {
        let label = [("name", "metrics_unbound")];
        metrics.sum("connect_gateway_guard_finding", &label) == 0.0
    });
    guard.stop();
}

/// A part of the guard must not look as if it were the whole.
#[test]
fn a_part_of_its_programs_is_said() {
    let Some(life) = Life::new() else { return };
    life.configure("enforce");
    let said = || {
        let (status, _) = life.status();
        let findings = status["findings"].as_array().unwrap();
        let is_found = findings.iter().any(|one| one["name"] == "incomplete");
        let text = life.done(&["status"]).stdout;
        let first = text.lines().next().unwrap();
        assert_eq!(first.ends_with("NOT WITH ALL PROGRAMS"), is_found, "{text}");
        is_found
    };
    let guard = life.start_with(&["--programs", "connect4,connect6"]);
    assert!(said());
    guard.stop();
    let guard = life.start();
    assert!(!said());
    guard.stop();
}

/// What is pinned and left out would be detached.
#[test]
fn a_part_of_its_programs_does_not_take_the_place_of_the_whole() {
    let Some(life) = Life::new() else { return };
    let _service = life.serve();
    life.configure("enforce");
    life.start().kill();
    let whole = life.pinned();
    let finished = life.command(&["run", "--programs", "bind4,bind6,connect4,connect6"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    let says =
        finished.stderr.contains("programs_pinned") && finished.stderr.contains(": ingress;");
    assert!(says, "{finished:?}");
    assert_eq!(life.pinned(), whole);
    assert!(!life.strangers_get_in());

    // Nothing of what it takes over is left out here.
    life.done(&["detach"]);
    life.done(&["--clear"]);
    let mut boundary = Life::programs();
    boundary.retain(|program| ["ingress", "origin"].contains(program));
    for _ in 0..2 {
        life.start_with(&["--programs", "ingress"]).kill();
        assert_eq!(life.pinned(), boundary);
        assert!(!life.strangers_get_in());
    }
    life.start().stop();
    assert_eq!(life.pinned(), whole);
}

/// Exit status 2 with those words, and everybody gets in.
#[track_caller]
fn refused(life: &Life, finished: &Finished, says: &str) {
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains(says), "{says}: {finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert_eq!(finished.stdout, "");
    assert_eq!(life.pinned(), [""; 0]);
    let service = life.serve();
    assert!(life.strangers_get_in());
    drop(service);
}

fn command(line: &[&str]) -> Vec<String> {
    let program = tool(line[0]).to_str().unwrap().to_owned();
    let arguments = line[1..].iter().map(|&one| one.to_owned());
    std::iter::once(program).chain(arguments).collect()
}
