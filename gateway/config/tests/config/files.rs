//! Files that a configuration names, or is.

use gateway_config::Config;

use crate::support::{Directory, MINIMAL, USERS, minimal};

#[test]
fn the_configuration_itself_must_be_readable_text() {
    let directory = Directory::new();
    let path = directory.path("absent.toml");
    let error = Config::load(&path).unwrap_err().to_string();
    let expected = format!("{}: cannot read: No such file or directory", path.display());
    assert!(error.starts_with(&expected), "{error}");

    let path = directory.path("latin1.toml");
    directory.write("latin1.toml", b"# ok\n[gateway]\n# caf\xe9\n");
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}:3: not TOML: expected UTF-8", path.display())
    );

    let error = Config::load(&directory.path("")).unwrap_err().to_string();
    assert!(error.contains("cannot read: Is a directory"), "{error}");
    let error = Config::load("/dev/zero".as_ref()).unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: cannot read: larger than 16 MiB");
}

#[test]
fn files_that_cannot_be_read_are_named_by_their_key() {
    let directory = Directory::new();
    for (from, line, key) in [
        ("chain.pem", 5, "listener[0].certificate[0].chain"),
        ("pkcs8.key", 6, "listener[0].certificate[0].key"),
        ("users", 10, "realm[0].htpasswd"),
    ] {
        let absent = directory.path("absent");
        let expected = format!(
            "{line}: {key}: cannot read {}: No such file or directory (os error 2)",
            absent.display()
        );
        assert_eq!(directory.faults(&minimal(from, "absent")), [expected]);
        let faults = directory.faults(&minimal(from, "/"));
        let expected = format!("{line}: {key}: cannot read /: Is a directory (os error 21)");
        assert_eq!(faults, [expected]);
        let faults = directory.faults(&minimal(from, ""));
        assert_eq!(faults, [format!("{line}: {key}: expected a file's path")]);
    }
}

#[test]
fn absolute_paths_stay_as_they_are() {
    let directory = Directory::new();
    let chain = directory.path("chain.pem").display().to_string();
    directory.load(&minimal("chain.pem", &chain)).unwrap();
}

#[test]
fn keys_of_every_plain_format_are_read() {
    let directory = Directory::new();
    for key in ["pkcs1.key", "pkcs8.key", "sec1.key"] {
        directory.load(&minimal("pkcs8.key", key)).unwrap();
    }
    // Key and chain may share a file.
    let both = [directory.path("chain.pem"), directory.path("sec1.key")]
        .map(|path| std::fs::read_to_string(path).unwrap())
        .concat();
    directory.write("both.pem", both);
    let text = minimal("pkcs8.key", "both.pem").replace("chain.pem", "both.pem");
    let config = directory.load(&text).unwrap();
    assert_eq!(config.listeners[0].certificates[0].chain.len(), 2);
}

#[test]
fn keys_that_cannot_be_used_are_explained_without_their_content() {
    let directory = Directory::new();
    directory.write("empty.key", "");
    let broken = "-----BEGIN PRIVATE KEY-----\ntopsecret!\n-----END PRIVATE KEY-----\n";
    directory.write("broken.key", broken);
    directory.write("open.key", "-----BEGIN PRIVATE KEY-----\ntopsecret\n");
    directory.write("begin.key", "-----BEGIN topsecret\n");
    let two = std::fs::read_to_string(directory.path("sec1.key")).unwrap();
    directory.write("two.key", two.repeat(2));
    let encrypted = "encrypted private keys are not supported: expected one without a passphrase";
    for (key, message) in [
        ("encrypted-pkcs8.key", encrypted),
        ("encrypted-sec1.key", encrypted),
        (
            "chain.pem",
            "no private key in it: expected PEM, PKCS#8, SEC1 or PKCS#1",
        ),
        (
            "empty.key",
            "no private key in it: expected PEM, PKCS#8, SEC1 or PKCS#1",
        ),
        ("broken.key", "not PEM: the base64 of a section is broken"),
        ("open.key", "not PEM: a section has no \"-----END …\" line"),
        ("begin.key", "not PEM: a \"-----BEGIN …\" line is broken"),
        ("two.key", "several private keys in it: expected one"),
    ] {
        let path = directory.path(key);
        let expected = format!(
            "6: listener[0].certificate[0].key: {}: {message}",
            path.display()
        );
        assert_eq!(directory.faults(&minimal("pkcs8.key", key)), [expected]);
    }
}

#[test]
fn chains_must_hold_a_certificate() {
    let directory = Directory::new();
    directory.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    for (chain, message) in [
        (
            "sec1.key",
            "no certificate in it: expected PEM, \"-----BEGIN CERTIFICATE-----\"",
        ),
        ("broken.pem", "not PEM: the base64 of a section is broken"),
    ] {
        let path = directory.path(chain);
        let expected = format!(
            "5: listener[0].certificate[0].chain: {}: {message}",
            path.display()
        );
        assert_eq!(directory.faults(&minimal("chain.pem", chain)), [expected]);
    }
}

#[test]
fn htpasswd_faults_stand_at_their_own_lines() {
    let directory = Directory::new();
    directory.write("users", format!("{USERS}bob:$apr1$topsecret$x\n{USERS}"));
    let users = directory.path("users").display().to_string();
    let error = directory.load(MINIMAL).unwrap_err().to_string();
    let expected = format!(
        "{users}:2: realm[0].htpasswd: MD5 (apr1) is not accepted: expected bcrypt ($2b$ or \
         $2y$), argon2id ($argon2id$) or SHA-512-crypt ($6$)\n\
         {users}:3: realm[0].htpasswd: this user is on line 1 already"
    );
    assert_eq!(error, expected);

    directory.write("users", [USERS.as_bytes(), b"caf\xe9:x\n"].concat());
    let error = directory.load(MINIMAL).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{users}:2: realm[0].htpasswd: expected UTF-8")
    );

    directory.write("users", "# nobody\n");
    let error = directory.load(MINIMAL).unwrap_err().to_string();
    let expected =
        format!("{users}: realm[0].htpasswd: no user in it: expected lines of the form user:hash");
    assert_eq!(error, expected);
}

#[test]
fn access_logs_need_a_directory() {
    let directory = Directory::new();
    let text = format!("{MINIMAL}[log]\naccess = \"absent/access.log\"\n");
    let path = directory.path("absent/access.log");
    let message = format!(
        "22: log.access: {}: its directory does not exist",
        path.display()
    );
    assert_eq!(directory.faults(&text), [message]);
}
