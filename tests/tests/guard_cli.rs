//! `connect-gateway guard …` where nothing is attached: what it says, and its exit status.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::process::Command;

use gateway_tests::harness::{Dir, Finished, gateway_binary};
use rustix::process::geteuid;
use serde_json::{Value, json};

#[test]
fn the_version_names_the_kernel_programs() {
    let finished = Finished::run(Command::new(gateway_binary()).arg("version"));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{finished:?}");
    assert!(lines[0].starts_with("connect-gateway 0."), "{finished:?}");
    let object = lines[1].strip_prefix("guard object ").unwrap();
    let is_digest = object.strip_prefix("sha256 ").is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    assert!(object == "none" || is_digest, "{object}");
}

#[test]
fn status_without_a_service_is_1_and_says_where_it_should_be() {
    let host = Host::new("enforce");
    for arguments in [&["status"][..], &["status", "--json"]] {
        let finished = host.run(arguments);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert_eq!(finished.stdout, "");
        let expected = format!(
            "connect-gateway: guard: the guard service is not running: nothing answers at {}",
            host.path("run/guard.sock")
        );
        assert!(finished.stderr.starts_with(&expected), "{finished:?}");
    }
}

#[test]
fn wrong_usage_and_wrong_configuration_are_2() {
    let host = Host::new("off");
    let finished = host.run(&["status"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("guard.mode"), "{finished:?}");
    for arguments in [
        &[][..],
        &["--json"],
        &["explain", "localhost"],
        &["run", "--unpinned", "--json"],
    ] {
        let finished = Finished::run(Command::new(gateway_binary()).arg("guard").args(arguments));
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
        assert!(!finished.stderr.is_empty());
    }
}

/// A file without `[guard]` says nothing about a guard: that is not the same as an empty one.
#[test]
fn a_configuration_without_a_guard_is_2() {
    let host = Host::new("enforce");
    host.dir.write("guard.toml", "");
    for command in ["status", "detach", "run"] {
        let finished = host.run(&[command]);
        assert_eq!(finished.code, Some(2), "{command}: {finished:?}");
        assert!(finished.stderr.contains("guard"), "{finished:?}");
    }
}

#[test]
fn overrides_are_stored_without_a_service_and_end() {
    let host = Host::new("enforce");
    if !geteuid().is_root() {
        let finished = host.run(&["detach"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains("only root"), "{finished:?}");
        return;
    }
    let stored = host.run(&["detach"]);
    assert_eq!(stored.code, Some(0), "{stored:?}");
    assert_eq!(
        stored.stdout,
        "the guard service is not running: nothing was pinned, so there was nothing to detach; \
         the override detach is stored for its next start, until `guard --clear`\n"
    );
    let file: Value = serde_json::from_str(&host.dir.read("state/override.json")).unwrap();
    assert_eq!(file["mode"], "detach");

    let stored: Value = serde_json::from_str(&host.run(&["audit", "--json"]).stdout).unwrap();
    assert_eq!(stored["running"], false);
    assert_eq!(stored["pinned"], false);
    assert_eq!(stored["override"]["mode"], "audit");
    assert!(stored["override"]["since_unix"].as_u64() > Some(1_700_000_000));

    let explained = host.run(&["explain", "198.51.100.1"]);
    assert_eq!(
        explained.stdout,
        "198.51.100.1 (mode audit)\n\
         connect to local *:3939: would_refuse by ingress: not_listed: \
         no entry in allow_from holds it\n"
    );

    let cleared: Value = serde_json::from_str(&host.run(&["--clear", "--json"]).stdout).unwrap();
    assert_eq!(
        cleared,
        json!({
            "running": false,
            "override": null,
            "pinned": false,
            "destroyed_sockets": 0,
            "uncut": null,
        })
    );
    assert_eq!(host.dir.read("state/override.json"), "");
}

#[test]
fn explanations_need_no_service() {
    let host = Host::new("enforce");
    let finished = host.run(&["explain", "192.0.2.7", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(
        finished.stderr,
        "the guard service is not running: this is what the configuration says\n"
    );
    let explained: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        explained,
        json!({
            "what": "192.0.2.7",
            "mode": "enforce",
            "process": null,
            "rulings": [{
                "kind": "local",
                "endpoint": "*:3939",
                "role": "connect",
                "action": "passed",
                "reason": "listed",
                "programs": ["ingress"],
                "message": "by the entry 192.0.2.7 in allow_from",
            }],
        })
    );
    let other = host.run(&["explain", "10.0.0.1:80"]);
    assert_eq!(
        other.stdout,
        "10.0.0.1:80 (mode enforce)\nnot protected: no endpoint is concerned\n"
    );
    // Beyond the largest process id that Linux gives.
    let gone = host.run(&["explain", "4194305"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.stderr.contains("process 4194305"), "{gone:?}");
}

/// What others can write is no place for a socket that decides.
#[test]
fn an_unsafe_directory_is_named_and_nothing_starts() {
    let host = Host::new("enforce");
    let run = host.dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&run, open).unwrap();
    let finished = host.run(&["run", "--unpinned"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(
        finished
            .stderr
            .starts_with("connect-gateway: guard: socket_unsafe: "),
        "{finished:?}"
    );
}

/// A configuration of a guard, in a directory of its own.
struct Host {
    dir: Dir,
}

impl Host {
    fn new(mode: &str) -> Self {
        let dir = Dir::new();
        let below = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            r#"
[guard]
mode = "{mode}"
socket = "{}"
metrics = "127.0.0.1:0"
pins = "{}"
override_file = "{}"

[[guard.local]]
address = "*:3939"
service = "rstudio-connect.service"
allow_from = ["192.0.2.7"]
"#,
            below("run/guard.sock"),
            below("pins"),
            below("state/override.json"),
        );
        dir.write("guard.toml", text);
        Self { dir }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let config = self.dir.path().join("guard.toml");
        Finished::run(
            Command::new(gateway_binary())
                .arg("guard")
                .args(arguments)
                .arg("--config")
                .arg(config),
        )
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}
