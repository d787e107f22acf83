//! What an operator can get wrong: a message with file, line, key and what was expected; exit
//! status 2; nothing half-started.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::net::TcpListener;
use std::process::Command;

use gateway_tests::harness::{
    ALICE, App, Authority, Backend, Finished, Pool, Prepared, Request, Setup, gateway_binary,
};

#[test]
fn a_good_configuration_is_checked_and_served() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend).prepare();
    for command in [&["check"][..], &["check", "--offline"]] {
        let finished = prepared.finish(command);
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
    let gateway = prepared.start();
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn malformed_values_are_named_with_their_line() {
    let backend = Backend::recording();
    for (from, to, key, expected) in [
        (
            "kind = \"connect\"",
            "kind = \"conect\"",
            "app[0].kind",
            "\"connect\" or \"deployr\"",
        ),
        (
            "public_url = \"https://connect.test/\"",
            "public_url = \"http://connect.test/\"",
            "app[0].public_url",
            "https://",
        ),
        (
            "public_url = \"https://connect.test/\"",
            "public_url = \"https://connect.test/x\"",
            "app[0].public_url",
            "https://host",
        ),
        (
            "public_url = \"https://connect.test/\"",
            "public_url = 7",
            "app[0].public_url",
            "https://",
        ),
        (
            "realm = \"staff\"",
            "realm = \"stuff\"",
            "app[0].realm",
            "staff",
        ),
        (
            "pool = \"connect\"",
            "pool = \"conect\"",
            "app[0].pool",
            "connect",
        ),
        (
            "method = \"basic\"",
            "method = \"magic\"",
            "realm[0].method",
            "basic",
        ),
        (
            "name = \"staff\"",
            "name = \"Staff!\"",
            "realm[0].name",
            "a-z",
        ),
        (
            "kind = \"connect\"",
            "knd = \"connect\"",
            "app[0].knd",
            "kind",
        ),
        (
            "kind = \"connect\"",
            "kind = \"connect\"\nstrip_mount = \"yes\"",
            "app[0].strip_mount",
            "true or false",
        ),
        (
            "[[realm]]",
            "[timeouts]\nhead = \"soon\"\n[[realm]]",
            "timeouts.head",
            "30s",
        ),
        (
            "[[realm]]",
            "[gateway]\nworkers = 0\n[[realm]]",
            "gateway.workers",
            "auto",
        ),
        (
            "[[realm]]",
            "[gateway]\nmax_head = \"1KiB\"\n[[realm]]",
            "gateway.max_head",
            "8KiB",
        ),
        (
            "[[realm]]",
            "[gateway]\ntrusted_proxies = [\"10.0.0.1/8\"]\n[[realm]]",
            "gateway.trusted_proxies",
            "prefix",
        ),
        (
            "[[realm]]",
            "[log]\nlevel = \"loud\"\n[[realm]]",
            "log.level",
            "info",
        ),
        (
            "kind = \"connect\"",
            "kind = \"generic\"\n[app.lanes]\noauth = true",
            "app[0].lanes.oauth",
            "connect",
        ),
        (
            "kind = \"connect\"",
            "kind = \"connect\"\nlisteners = [\"privat\"]",
            "app[0].listeners",
            "public",
        ),
    ] {
        let prepared = Setup::connect(&backend).prepare();
        edit_first(&prepared, from, to);
        let line = prepared.line_of(last_line(to, key));
        refused(&prepared, Some(line), key, expected);
    }
}

#[test]
fn reserved_header_names_carry_no_identity() {
    let backend = Backend::recording();
    for name in [
        "Host",
        "Cookie",
        "Authorization",
        "X-Auth-Token",
        "Content-Length",
        "Connection",
        "X Y",
        "",
    ] {
        let prepared = Setup::new()
            .pool(Pool::plain("connect", backend.address()))
            .app(App::connect().identity(&format!("username = \"{name}\"")))
            .prepare();
        let line = prepared.line_of("username =");
        refused(&prepared, Some(line), "app[0].identity.username", "header");
    }
}

#[test]
fn broken_toml_is_located() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend).prepare();
    edit_first(&prepared, "kind = \"connect\"", "kind = \"connect");
    let line = prepared.line_of("kind = \"connect");
    refused(&prepared, Some(line), "", "");
    let prepared = Setup::connect(&backend).prepare();
    edit_first(
        &prepared,
        "kind = \"connect\"",
        "kind = \"connect\"\nkind = \"generic\"",
    );
    let line = prepared.line_of("kind = \"generic\"");
    refused(&prepared, Some(line), "kind", "");
}

#[test]
fn every_fault_is_reported_at_once() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend).prepare();
    edit_first(&prepared, "kind = \"connect\"", "kind = \"conect\"");
    edit_first(&prepared, "realm = \"staff\"", "realm = \"stuff\"");
    edit_first(&prepared, "\"public.key\"", "\"absent.key\"");
    let finished = prepared.finish(&["check"]);
    assert_eq!(finished.code, Some(2));
    for key in [
        "app[0].kind",
        "app[0].realm",
        "listener[0].certificate[0].key",
    ] {
        assert!(finished.stderr.contains(key), "{}", finished.stderr);
    }
}

#[test]
fn missing_files_are_named() {
    let backend = Backend::recording();
    for (from, to, key) in [
        (
            "\"public.pem\"",
            "\"absent.pem\"",
            "listener[0].certificate[0].chain",
        ),
        (
            "\"public.key\"",
            "\"absent.key\"",
            "listener[0].certificate[0].key",
        ),
        (
            "\"staff.htpasswd\"",
            "\"absent.htpasswd\"",
            "realm[0].htpasswd",
        ),
    ] {
        let prepared = Setup::connect(&backend).prepare();
        prepared.edit(from, to);
        let line = prepared.line_of(to);
        refused(&prepared, Some(line), key, to.trim_matches('"'));
    }
    // The configuration itself.
    let prepared = Setup::connect(&backend).prepare();
    std::fs::remove_file(prepared.config()).unwrap();
    refused(&prepared, None, "", "gateway.toml");
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let backend = Backend::recording();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    for (file, content, key, expected) in [
        ("public.key", "", "listener[0].certificate[0].key", "PKCS#8"),
        (
            "public.key",
            "no key at all\n",
            "listener[0].certificate[0].key",
            "PKCS#8",
        ),
        (
            "public.key",
            encrypted,
            "listener[0].certificate[0].key",
            "passphrase",
        ),
        (
            "public.pem",
            "",
            "listener[0].certificate[0].chain",
            "BEGIN CERTIFICATE",
        ),
        (
            "public.pem",
            broken,
            "listener[0].certificate[0].chain",
            "PEM",
        ),
    ] {
        let prepared = Setup::connect(&backend).prepare();
        prepared.dir.write(file, content);
        let line = prepared.line_of(&format!("\"{file}\""));
        refused(&prepared, Some(line), key, expected);
    }
}

#[test]
fn an_unreadable_key_is_named() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend).prepare();
    let key = prepared.dir.path().join("public.key");
    // Nobody can read a directory as a file, not even root.
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    let line = prepared.line_of("\"public.key\"");
    refused(
        &prepared,
        Some(line),
        "listener[0].certificate[0].key",
        "public.key",
    );
    if rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let prepared = Setup::connect(&backend).prepare();
    let key = prepared.dir.path().join("public.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o0)).unwrap();
    refused(
        &prepared,
        Some(line),
        "listener[0].certificate[0].key",
        "ermission denied",
    );
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let backend = Backend::recording();
    let ca = Authority::new("some CA");
    let prepared = Setup::connect(&backend).prepare();
    prepared
        .dir
        .write("public.key", ca.server(&["connect.test"]).key_pem());
    let line = prepared.line_of("\"public.key\"");
    refused(
        &prepared,
        Some(line),
        "listener[0].certificate[0].key",
        "does not belong",
    );

    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    ca.client("front-end").write(setup.path(), "auth");
    setup.write("auth.key", &ca.client("front-end").key_pem());
    let prepared = setup
        .pool(Pool::tls("connect", "back-ca.pem", &[("https://127.0.0.1:9", &[])]).mutual("auth"))
        .app(App::connect())
        .prepare();
    let line = prepared.line_of("\"auth.key\"");
    refused(
        &prepared,
        Some(line),
        "pool[0].client_key",
        "does not belong",
    );
}

#[test]
fn unusable_password_hashes_are_named_by_line() {
    let backend = Backend::recording();
    for (line, expected) in [
        ("mallory:plaintext", "bcrypt"),
        ("mallory:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "bcrypt"),
        ("mallory:$apr1$4VLJxhzn$lYrMGhCj6Kpm5z3tYdZbE1", "bcrypt"),
        ("mallory:$1$abcdefgh$0123456789012345678901", "bcrypt"),
        ("no colon at all", "user:hash"),
        (&ALICE.line(), "already"),
    ] {
        let prepared = Setup::connect(&backend).prepare();
        let text = prepared.dir.read("staff.htpasswd");
        prepared
            .dir
            .write("staff.htpasswd", format!("# users\n\n{text}{line}\n"));
        let number = text.lines().count() + 3;
        for command in COMMANDS {
            let finished = start(&prepared, command);
            assert_eq!(finished.code, Some(2), "{finished:?}");
            let place = format!("staff.htpasswd:{number}:");
            assert!(
                finished.stderr.contains(&place),
                "{line}: {}",
                finished.stderr
            );
            assert!(
                finished.stderr.contains(expected),
                "{line}: {}",
                finished.stderr
            );
            if let Some((_, hash)) = line.split_once(':') {
                assert!(
                    !finished.stderr.contains(hash),
                    "a hash is shown: {}",
                    finished.stderr
                );
            }
        }
    }
}

#[test]
fn a_password_file_without_users_is_refused() {
    let backend = Backend::recording();
    let prepared = Setup::connect(&backend).prepare();
    prepared.dir.write("staff.htpasswd", "# nobody\n");
    for command in COMMANDS {
        let finished = start(&prepared, command);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        for part in ["staff.htpasswd: realm[0].htpasswd: ", "user:hash"] {
            assert!(finished.stderr.contains(part), "{}", finished.stderr);
        }
    }
}

#[test]
fn a_port_in_use_is_named() {
    let backend = Backend::recording();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let prepared = Setup::connect(&backend).listen(address).prepare();
    let line = prepared.line_of("name = \"public\"") + 1;
    refused_by_run(&prepared, line, "listener[0].address", &address.to_string());
    let prepared = Setup::connect(&backend).admin(address).prepare();
    let line = prepared.line_of("[admin]") + 1;
    refused_by_run(&prepared, line, "admin.address", &address.to_string());
    // Another gateway's port is in use just as well, although it could be shared.
    let gateway = Setup::connect(&backend).start();
    let prepared = Setup::connect(&backend).listen(gateway.address()).prepare();
    let line = prepared.line_of("name = \"public\"") + 1;
    refused_by_run(
        &prepared,
        line,
        "listener[0].address",
        &gateway.address().to_string(),
    );
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let backend = Backend::recording();
    let address = "192.0.2.1:8443";
    let prepared = Setup::connect(&backend)
        .listen(address.parse().unwrap())
        .prepare();
    let line = prepared.line_of("name = \"public\"") + 1;
    refused_by_run(&prepared, line, "listener[0].address", address);
}

#[test]
fn check_tries_the_back_ends() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let prepared = Setup::new()
        .pool(Pool::plain("connect", address))
        .app(App::connect())
        .prepare();
    let finished = prepared.finish(&["check"]);
    assert_ne!(finished.code, Some(0), "{finished:?}");
    let said = finished.stdout + &finished.stderr;
    assert!(said.contains(&address.to_string()), "{said}");
    assert!(said.contains("refused"), "{said}");
    let finished = prepared.finish(&["check", "--offline"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    // A back-end that is down does not keep the gateway down.
    let gateway = prepared.start();
    gateway.ask(&Request::get("/").by(&ALICE)).expect_json(502);
}

#[test]
fn the_command_line_is_strict() {
    for arguments in [
        &[][..],
        &["serve"],
        &["run"],
        &["run", "--config"],
        &["check", "--colour"],
    ] {
        let finished = Finished::run(Command::new(gateway_binary()).args(arguments));
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
        assert!(!finished.stderr.is_empty());
    }
    let finished = Finished::run(Command::new(gateway_binary()).arg("version"));
    assert_eq!(finished.code, Some(0));
    assert!(
        finished.stdout.starts_with("connect-gateway 0."),
        "{finished:?}"
    );
}

/// Neither `check` nor `run` accepts it; both say where, what and what else.
#[track_caller]
fn refused(prepared: &Prepared, line: Option<usize>, key: &str, expected: &str) {
    for command in COMMANDS {
        let finished = start(prepared, command);
        assert_eq!(finished.code, Some(2), "{command:?}: {finished:?}");
        let file = prepared.config().display().to_string();
        let place = line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
        for part in [&place, key, expected] {
            assert!(
                finished.stderr.contains(part),
                "{part:?} in:\n{}",
                finished.stderr
            );
        }
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}

/// `check` cannot know, `run` finds out; whatever was started before it is ended again.
#[track_caller]
fn refused_by_run(prepared: &Prepared, line: usize, key: &str, expected: &str) {
    let finished = start(prepared, &["run"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let place = format!("{}:{line}", prepared.config().display());
    for part in [&place, key, expected] {
        assert!(
            finished.stderr.contains(part),
            "{part:?} in:\n{}",
            finished.stderr
        );
    }
}

#[track_caller]
fn start(prepared: &Prepared, command: &[&str]) -> Finished {
    let ready = prepared.dir.path().join("ready.json");
    let mut arguments = command.to_vec();
    if command[0] == "run" {
        arguments.extend(["--ready-file", ready.to_str().unwrap()]);
    }
    let finished = prepared.finish(&arguments);
    assert!(!ready.exists(), "it said that it was ready");
    assert_eq!(prepared.dir.read("stdout"), "", "it logged a request");
    finished
}

fn edit_first(prepared: &Prepared, from: &str, to: &str) {
    let text = prepared.dir.read("gateway.toml");
    assert!(text.contains(from), "{from:?} in\n{text}");
    prepared
        .dir
        .write("gateway.toml", text.replacen(from, to, 1));
}

/// The line of `to` that the fault is in: the one that holds the key's last part.
fn last_line<'a>(to: &'a str, key: &str) -> &'a str {
    let name = key.rsplit('.').next().unwrap();
    to.lines()
        .rfind(|line| line.starts_with(name))
        .unwrap_or(to)
}

const COMMANDS: [&[&str]; 2] = [&["check"], &["run"]];
