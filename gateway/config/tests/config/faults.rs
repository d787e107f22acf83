//! Every fault, with its line, its key and what was expected.

mod apps;
mod bounds;
mod guard;
mod legs;

use crate::support::{Directory, MINIMAL, minimal};

/// Asserts that a text has exactly these faults, each given as its place and a part of its message.
fn assert_faults(directory: &Directory, text: &str, expected: &[(&str, &str)]) {
    let faults = directory.faults(text);
    assert_eq!(faults.len(), expected.len(), "{faults:#?}\nin\n{text}");
    for (fault, (place, part)) in faults.iter().zip(expected) {
        let message = fault.strip_prefix(&format!("{place}: "));
        let message = message.unwrap_or_else(|| panic!("expected {place}, got {fault}"));
        assert!(message.contains(part), "expected {part}, got {fault}");
    }
}

/// Replacements in the minimal configuration, each with its one fault.
fn assert_replacements(cases: &[(&str, &str, &str, &str)]) {
    let directory = Directory::new();
    for (from, to, place, part) in cases {
        assert_faults(&directory, &minimal(from, to), &[(place, part)]);
    }
}

/// Lines after the minimal configuration (from line 21), each with its one fault.
fn assert_additions(cases: &[(&str, &str, &str)]) {
    let directory = Directory::new();
    for (added, place, part) in cases {
        assert_faults(&directory, &format!("{MINIMAL}{added}\n"), &[(place, part)]);
    }
}

#[test]
fn syntax() {
    assert_additions(&[
        ("[gateway]\ndrain = 30s", "22: gateway.drain", "not TOML: "),
        (
            "[gateway\ndrain = \"30s\"",
            "21: app[0]",
            "not TOML: unclosed table",
        ),
        (
            "[gateway]\ndrain = \"30s",
            "22: gateway.drain",
            "not TOML: invalid basic string",
        ),
        (
            "pool = \"connect\"",
            "21: app[0].pool",
            "not TOML: duplicate key",
        ),
        ("[log]\n[log]", "22: log", "not TOML: duplicate key"),
    ]);
    // Every syntax fault is reported, and no fault that only follows from it.
    let text = "[gateway]\ndrain = 30s\nmax_head = 64KiB\nunknown = 1\n";
    let expected = [
        ("2: gateway.drain", "not TOML: "),
        ("3: gateway.max_head", "not TOML: "),
    ];
    assert_faults(&Directory::new(), text, &expected);
}

#[test]
fn unknown_keys_name_the_accepted_ones() {
    assert_additions(&[
        (
            "adress = \"x\"",
            "21: app[0].adress",
            "unknown key: expected one of name, kind, public_url",
        ),
        (
            "[gateway]\nworker = 1",
            "22: gateway.worker",
            "expected one of workers, drain, trusted_proxies",
        ),
        (
            "[admin]\nport = 1",
            "22: admin.port",
            "expected one of address",
        ),
        (
            "[log]\nformat = 1",
            "22: log.format",
            "expected one of access, level",
        ),
        (
            "[timeouts]\nread = 1",
            "22: timeouts.read",
            "expected one of head, idle, body, answer",
        ),
        (
            "[app.timeouts]\nidle = 1",
            "22: app[0].timeouts.idle",
            "expected one of answer, tunnel",
        ),
        (
            "[app.identity]\nemail = 1",
            "22: app[0].identity.email",
            "expected one of username",
        ),
        (
            "[app.lanes]\nkey = 1",
            "22: app[0].lanes.key",
            "expected one of health_from, bearer",
        ),
        (
            "[tls]\na = 1",
            "21: tls",
            "one of gateway, admin, log, timeouts, limits, guard, listener, realm, pool, app",
        ),
        ("[\"quoted key\"]", "21: quoted key", "unknown key"),
    ]);
    assert_replacements(&[
        (
            "key = ",
            "x = 1\nkey = ",
            "6: listener[0].certificate[0].x",
            "expected one of chain, key",
        ),
        (
            "[[listener.c",
            "limits = { max_head = 1 }\n[[listener.c",
            "4: listener[0].limits.max_head",
            "expected one of connections, connections_per_address, header_fields, target",
        ),
        (
            "[[listener.c",
            "timeouts = { tunnel = \"1s\" }\n[[listener.c",
            "4: listener[0].timeouts.tunnel",
            "expected one of head, idle, body",
        ),
        (
            "[[listener.c",
            "limits = { target = \"65KiB\" }\n[[listener.c",
            "4: listener[0].limits.target",
            "\"1KiB\" to max_head, which is 65536 bytes",
        ),
        (
            "[[listener.c",
            "x = 1\n[[listener.c",
            "4: listener[0].x",
            "one of name, address, proxy_protocol_from, http3, limits, timeouts, certificate",
        ),
        (
            "htpasswd",
            "x = 1\nhtpasswd",
            "10: realm[0].x",
            "method, htpasswd, password_cache",
        ),
        (
            "[[pool.s",
            "x = 1\n[[pool.s",
            "13: pool[0].x",
            "name, tls, ca, client_certificate",
        ),
        (
            "url = \"h",
            "x = 1\nurl = \"h",
            "14: pool[0].server[0].x",
            "expected one of url, expected_name",
        ),
    ]);
}

#[test]
fn missing_keys_name_their_table() {
    assert_replacements(&[
        (
            "name = \"public\"\n",
            "",
            "1: listener[0].name",
            "missing: expected a name of 1 to 32",
        ),
        (
            "address = \"127.0.0.1:8443\"\n",
            "",
            "1: listener[0].address",
            "missing: expected an address",
        ),
        (
            "chain = \"chain.pem\"\n",
            "",
            "4: listener[0].certificate[0].chain",
            "missing: expected the path",
        ),
        (
            "key = \"pkcs8.key\"\n",
            "",
            "4: listener[0].certificate[0].key",
            "missing: expected the path",
        ),
        (
            "[[listener.certificate]]\nchain = \"chain.pem\"\nkey = \"pkcs8.key\"\n",
            "",
            "1: listener[0].certificate",
            "missing: expected at least one [[listener.certificate]]",
        ),
        (
            "method = \"basic\"\n",
            "",
            "7: realm[0].method",
            "missing: expected \"basic\"",
        ),
        (
            "htpasswd = \"users\"\n",
            "",
            "7: realm[0].htpasswd",
            "missing: expected the path of an htpasswd",
        ),
        (
            "[[pool.server]]\nurl = \"http://127.0.0.1:3939\"\n",
            "",
            "11: pool[0].server",
            "missing: expected at least one [[pool.server]]",
        ),
        (
            "url = \"http://127.0.0.1:3939\"\n",
            "",
            "13: pool[0].server[0].url",
            "missing: expected http://",
        ),
        (
            "kind = \"connect\"\n",
            "",
            "15: app[0].kind",
            "missing: expected \"connect\" or \"deployr\" or \"generic\"",
        ),
        (
            "public_url = \"https://connect.example.com/\"\n",
            "",
            "15: app[0].public_url",
            "missing: ",
        ),
        (
            "realm = \"staff\"\n",
            "",
            "15: app[0].realm",
            "missing: expected the name of a [[realm]]",
        ),
        (
            "pool = \"connect\"\n",
            "",
            "15: app[0].pool",
            "missing: expected the name of a [[pool]]",
        ),
    ]);
    let expected = [
        ("listener", "missing: expected at least one [[listener]]"),
        ("realm", "missing: expected at least one [[realm]]"),
        ("pool", "missing: expected at least one [[pool]]"),
        ("app", "missing: expected at least one [[app]]"),
    ];
    assert_faults(&Directory::new(), "", &expected);
}

#[test]
fn values_of_the_wrong_type() {
    assert_additions(&[
        (
            "[gateway]\nworkers = true",
            "22: gateway.workers",
            "a number from 1 to 1024, found a boolean",
        ),
        (
            "[gateway]\ndrain = 30",
            "22: gateway.drain",
            "found a number",
        ),
        (
            "[gateway]\ntrusted_proxies = \"10.0.0.7\"",
            "22: gateway.trusted_proxies",
            "found a text",
        ),
        (
            "[gateway]\ntrusted_proxies = [\n7]",
            "23: gateway.trusted_proxies[0]",
            "found a number",
        ),
        (
            "[gateway]\nmax_head = 1.5",
            "22: gateway.max_head",
            "found a fraction",
        ),
        (
            "[log]\nlevel = []",
            "22: log.level",
            "\"error\" or \"warn\" or \"info\" or \"debug\", found an array",
        ),
        (
            "[admin]\naddress = 9145",
            "22: admin.address",
            "expected an address with its port",
        ),
        (
            "strip_mount = \"yes\"",
            "21: app[0].strip_mount",
            "expected true or false, found a text",
        ),
        ("identity = 1", "21: app[0].identity", "expected a table"),
        (
            "listeners = \"public\"",
            "21: app[0].listeners",
            "expected names of listeners",
        ),
        ("[[gateway]]", "21: gateway", "expected a table"),
    ]);
    assert_replacements(&[
        (
            "name = \"public\"",
            "name = 1979-05-27",
            "2: listener[0].name",
            "found a date or time",
        ),
        (
            "[[pool.server]]\nurl =",
            "server = 1\n#",
            "13: pool[0].server",
            "expected tables [[pool.server]]",
        ),
        (
            "[[pool.server]]\nurl =",
            "server = [1]\n#",
            "13: pool[0].server[0]",
            "expected a table",
        ),
        (
            "[[pool.server]]\nurl =",
            "server = []\n#",
            "13: pool[0].server",
            "at least one [[pool.server]]",
        ),
    ]);
}

#[test]
fn every_fault_is_reported_at_once() {
    let directory = Directory::new();
    let text = r#"[gateway]
workers = 0
drian = "1s"
[[listener]]
name = "public"
address = "nowhere"
certificate = [{ chain = "absent.pem", key = "encrypted-sec1.key" }]
[[realm]]
name = "staff"
method = "basic"
htpasswd = "absent"
[[pool]]
name = "connect"
tls = "verify"
[[pool.server]]
url = "http://a"
[[app]]
name = "connect"
kind = "generic"
public_url = "https://connect.example.com/"
pool = "conect"
lanes = { oauth = true, bearer = 1 }
"#;
    let error = directory.load(text).unwrap_err().to_string();
    let here = directory.path("").display().to_string();
    let error = error.replace(&here, "");
    let expected = r#"gateway.toml:2: gateway.workers: expected "auto" or a number from 1 to 1024
gateway.toml:3: gateway.drian: unknown key: expected one of workers, drain, trusted_proxies, spoofed_headers, max_head, tls_records
gateway.toml:6: listener[0].address: expected an address with its port, as "0.0.0.0:443" or "[::]:443"
gateway.toml:7: listener[0].certificate[0].chain: cannot read absent.pem: No such file or directory (os error 2)
gateway.toml:7: listener[0].certificate[0].key: encrypted-sec1.key: encrypted private keys are not supported: expected one without a passphrase
gateway.toml:11: realm[0].htpasswd: cannot read absent: No such file or directory (os error 2)
gateway.toml:15: pool[0].server[0].ca: missing: expected the PEM file that signs the server, here or in the pool
gateway.toml:16: pool[0].server[0].url: expected an https URL, since tls is not "off"
gateway.toml:17: app[0].realm: missing: expected the name of a [[realm]]
gateway.toml:21: app[0].pool: no pool has this name: expected one of connect
gateway.toml:22: app[0].lanes.bearer: expected true or false, found a number
gateway.toml:22: app[0].lanes.oauth: kind "generic" does not have this: only "connect" does"#;
    assert_eq!(error, expected);
}
