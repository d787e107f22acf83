//! What would open the guard, what contradicts itself, what the kernel's tables cannot hold.

use gateway_config::check_syntax;

use super::assert_faults;
use crate::support::{Directory, MINIMAL};

/// A guard to which more is added: from line 21 of the file on, so that additions begin at line 26.
const GUARD: &str = r#"[guard]
mode = "enforce"
[[guard.local]]
address = "*:3939"
service = "rstudio-connect.service"
"#;

/// Texts in place of the minimal configuration's guard, with their faults. The check of the syntax
/// alone must find them too.
fn assert_guards(cases: &[(&str, &[(&str, &str)])]) {
    let directory = Directory::new();
    for (guard, expected) in cases {
        let text = format!("{MINIMAL}{guard}");
        assert_faults(&directory, &text, expected);
        let error = check_syntax(&text, "x".as_ref()).expect_err(guard);
        assert_eq!(error.diagnostics.len(), expected.len(), "{error}");
    }
}

/// Lines after [`GUARD`], each with its one fault.
fn assert_added(cases: &[(&str, &str, &str)]) {
    for (added, place, part) in cases {
        assert_guards(&[(&format!("{GUARD}{added}\n"), &[(place, part)])]);
    }
}

/// Replacements in [`GUARD`], each with its one fault.
fn assert_replaced(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, place, part) in cases {
        assert!(GUARD.contains(from), "{from}");
        assert_guards(&[(&GUARD.replacen(from, to, 1), &[(place, part)])]);
    }
}

#[test]
fn what_is_mandatory_is_missed() {
    assert_replaced(&[
        (
            "mode = \"enforce\"\n",
            "",
            "21: guard.mode",
            "missing: expected \"audit\" or \"enforce\"",
        ),
        (
            "address = \"*:3939\"\n",
            "",
            "23: guard.local[0].address",
            "missing: expected a port of every address",
        ),
        (
            "service = \"rstudio-connect.service\"\n",
            "",
            "23: guard.local[0].service",
            "missing: expected a unit",
        ),
    ]);
    assert_added(&[
        (
            "[[guard.remote]]",
            "26: guard.remote[0].address",
            "missing: expected an address elsewhere",
        ),
        (
            "[[guard.exception]]",
            "26: guard.exception[0].cgroup",
            "missing: expected a unit, as \"NAME.service\", or a cgroup's path, or uid",
        ),
    ]);
    let nothing = "missing: expected at least one [[guard.local]] or [[guard.remote]] to protect";
    assert_guards(&[
        (
            "[guard]\nmode = \"audit\"\n",
            &[("21: guard.local", nothing)],
        ),
        (
            "[guard]\nmode = \"audit\"\nlocal = []\nremote = []\n",
            &[("23: guard.local", nothing)],
        ),
        // What is at fault itself was at least meant.
        (
            "[guard]\nmode = \"audit\"\nlocal = 1\n",
            &[("23: guard.local", "expected tables [[guard.local]]")],
        ),
        (
            "[guard]\nmode = \"audit\"\nlocal = [1]\n",
            &[("23: guard.local[0]", "expected a table")],
        ),
    ]);
}

#[test]
fn values_of_wrong_types_or_forms() {
    let mode = "expected \"audit\" or \"enforce\"";
    let slice = "expected a cgroup's path, as \"/a/b\", or the name of a .slice unit";
    let service = "expected a cgroup's path, as \"/a/b\", or the name of a .service or .slice unit";
    assert_replaced(&[
        ("\"enforce\"", "\"off\"", "22: guard.mode", mode),
        ("\"enforce\"", "\"detach\"", "22: guard.mode", mode),
        ("\"enforce\"", "true", "22: guard.mode", mode),
        (
            "[[",
            "required = \"yes\"\n[[",
            "23: guard.required",
            "expected true or false, found a text",
        ),
        (
            "[[",
            "allow_unproven_kernel = 1\n[[",
            "23: guard.allow_unproven_kernel",
            "expected true or false, found a number",
        ),
        (
            "[[",
            "statistics = 1\n[[",
            "23: guard.statistics",
            "expected true or false",
        ),
        (
            "[[",
            "socket = \"\"\n[[",
            "23: guard.socket",
            "expected a file's path",
        ),
        (
            "[[",
            "socket = 1\n[[",
            "23: guard.socket",
            "expected a path, found a number",
        ),
        (
            "[[",
            "pins = \"\"\n[[",
            "23: guard.pins",
            "expected a file's path",
        ),
        (
            "[[",
            "override_file = \"\"\n[[",
            "23: guard.override_file",
            "expected a file's path",
        ),
        (
            "[[",
            "metrics = \"localhost:9146\"\n[[",
            "23: guard.metrics",
            "expected an address with its port",
        ),
        ("[[", "slice = \"connect\"\n[[", "23: guard.slice", slice),
        ("[[", "slice = \"a.service\"\n[[", "23: guard.slice", slice),
        (
            "[[",
            "slice = 1\n[[",
            "23: guard.slice",
            "expected the gateway's slice, or its cgroup's path, found a number",
        ),
        (
            "[[",
            "slice = \"-.slice\"\n[[",
            "23: guard.slice",
            "the root of all cgroups",
        ),
        (
            "[[",
            "slice = \"/\"\n[[",
            "23: guard.slice",
            "the root of all cgroups",
        ),
        (
            "[[",
            "slice = \"/a/../b\"\n[[",
            "23: guard.slice",
            "not a normalised path",
        ),
        (
            "[[",
            "slice = \"a--b.slice\"\n[[",
            "23: guard.slice",
            "each dash",
        ),
        (
            "[[",
            "slice = \"a b.slice\"\n[[",
            "23: guard.slice",
            "not a unit's name",
        ),
        (
            "[[",
            "slice = \"cpu.slice\"\n[[",
            "23: guard.slice",
            "expected its path",
        ),
        (
            "rstudio-connect.service",
            "rstudio-connect",
            "25: guard.local[0].service",
            service,
        ),
        (
            "rstudio-connect.service",
            "connect@1.service",
            "25: guard.local[0].service",
            "expected the cgroup's path",
        ),
        (
            "rstudio-connect.service",
            "/",
            "25: guard.local[0].service",
            "the root of all cgroups is refused",
        ),
        (
            "\"rstudio-connect.service\"",
            "[]",
            "25: guard.local[0].service",
            "expected a unit, as \"NAME.service\", or a cgroup's path, found an array",
        ),
    ]);
    assert_added(&[
        (
            "enabled = true",
            "26: guard.local[0].enabled",
            "one of address, service, uid, run_as",
        ),
        (
            "[[guard.remote]]\naddress = \"192.0.2.1:1\"\nport = 1",
            "28: guard.remote[0].port",
            "unknown key: expected one of address",
        ),
        (
            "[[guard.exception]]\ncgroup = \"/a\"\nuser = 1",
            "28: guard.exception[0].user",
            "unknown key: expected one of cgroup, uid",
        ),
        (
            "[guard.x]",
            "26: guard.x",
            "unknown key: expected one of mode, required, slice",
        ),
        (
            "reserve = 1",
            "26: guard.local[0].reserve",
            "expected true or false",
        ),
        (
            "namespace = \"\"",
            "26: guard.local[0].namespace",
            "expected a file's path",
        ),
        (
            "namespace = 1",
            "26: guard.local[0].namespace",
            "expected a path, found a number",
        ),
    ]);
}

#[test]
fn users_are_numbers() {
    let user = "expected a user's number, from 0 to 4294967294";
    for value in ["-1", "4294967295", "9223372036854775808", "\"root\"", "1.0"] {
        assert_added(&[
            (&format!("uid = {value}"), "26: guard.local[0].uid", user),
            (
                &format!("run_as = [1, {value}]"),
                "26: guard.local[0].run_as[1]",
                user,
            ),
            (
                &format!("run_as = [1]\n[[guard.exception]]\nuid = {value}"),
                "28: guard.exception[0].uid",
                user,
            ),
        ]);
    }
    assert_added(&[(
        "run_as = 997",
        "26: guard.local[0].run_as",
        "expected an array of numbers: each a user's number, from 0 to 4294967294, found a number",
    )]);
}

#[test]
fn addresses_have_a_port_and_no_name() {
    let local = "expected a port of every address, as \"*:3939\", or an address with its port";
    for text in [
        "3939",
        "*",
        ":3939",
        "*:0",
        "*:65536",
        "*:x",
        "*:+1",
        "*:1:1",
        "* :1",
        "localhost:3939",
        "127.0.0.1",
        "127.0.0.1:0",
        "::1:3939",
        "[::1]",
        "[fe80::1%1]:3939",
        "",
    ] {
        assert_replaced(&[("*:3939", text, "24: guard.local[0].address", local)]);
    }
    assert_replaced(&[("\"*:3939\"", "3939", "24: guard.local[0].address", local)]);
    let remote = "not a loopback, unspecified or multicast one";
    for text in [
        "connect.internal:3939",
        "192.0.2.10",
        "192.0.2.10:0",
        "*:3939",
        "127.0.0.1:3939",
        "127.9.9.9:3939",
        "[::1]:3939",
        "[::ffff:127.0.0.1]:3939",
        "0.0.0.0:3939",
        "[::]:3939",
        "[::ffff:0.0.0.0]:3939",
        "224.0.0.1:3939",
        "[ff02::1]:3939",
        "[fe80::1%1]:3939",
    ] {
        assert_added(&[(
            &format!("[[guard.remote]]\naddress = \"{text}\""),
            "27: guard.remote[0].address",
            remote,
        )]);
    }
}

#[test]
fn one_port_is_of_one_service() {
    let second = |address: &str, keys: &str| {
        format!(
            "{}[[guard.local]]\naddress = \"{address}\"\n{keys}\n",
            GUARD.replace("3939", "1")
        )
    };
    let service = "service = \"rstudio-connect.service\"";
    for address in ["*:1", "0.0.0.0:1", "[::]:1"] {
        assert_guards(&[(
            &second(address, service),
            &[(
                "27: guard.local[1].address",
                "guard.local[0].address has this address already",
            )],
        )]);
    }
    for (key, value) in [
        ("uid", "0"),
        ("reserve", "false"),
        ("allow_from", "[\"192.0.2.7\"]"),
    ] {
        let place = format!("29: guard.local[1].{key}");
        let message = format!("expected the same as guard.local[0].{key}: both have one port");
        assert_guards(&[(
            &second("127.0.0.1:1", &format!("{service}\n{key} = {value}")),
            &[(&place, &message)],
        )]);
    }
    assert_guards(&[(
        &second("127.0.0.1:1", "service = \"other.service\""),
        &[(
            "28: guard.local[1].service",
            "expected the same as guard.local[0].service: both have one port",
        )],
    )]);
    // Not known without the directory of the file, and therefore no fault of the syntax.
    assert_faults(
        &Directory::new(),
        &format!(
            "{MINIMAL}{}",
            second("127.0.0.1:1", &format!("{service}\nnamespace = \"/n\""))
        ),
        &[(
            "29: guard.local[1].namespace",
            "expected the same as guard.local[0].namespace: both have one port",
        )],
    );
}

#[test]
fn the_slice_is_apart_from_every_service() {
    for (slice, service, relation) in [
        ("/a", "/a", "/a is guard.slice, which is /a: expected"),
        (
            "/a",
            "/a/b",
            "/a/b lies below guard.slice, which is /a: expected",
        ),
        (
            "/a/b/c",
            "/a",
            "/a lies above guard.slice, which is /a/b/c: expected",
        ),
        (
            "a-b.slice",
            "a.slice",
            "/a.slice lies above guard.slice, which is /a.slice/a-b.slice: expected",
        ),
        (
            "system.slice",
            "a.service",
            "/system.slice/a.service lies below guard.slice, which is /system.slice: expected",
        ),
    ] {
        let text = GUARD
            .replace("[[", &format!("slice = \"{slice}\"\n[["))
            .replace("rstudio-connect.service", service);
        assert_guards(&[(&text, &[("26: guard.local[0].service", relation)])]);
    }
    // Also the slice that is not written.
    assert_replaced(&[(
        "rstudio-connect.service",
        "connect.slice",
        "25: guard.local[0].service",
        "/connect.slice lies above guard.slice, which is /connect.slice/connect-gateway.slice",
    )]);
}

#[test]
fn exceptions_let_neither_content_nor_everything_pass() {
    let slice = "holds guard.slice, which is /connect.slice/connect-gateway.slice: expected";
    let service = "holds guard.local[0].service, which is /system.slice/rstudio-connect.service";
    for (cgroup, part) in [
        ("connect-gateway.slice", slice),
        ("connect.slice", slice),
        ("rstudio-connect.service", service),
        ("system.slice", service),
    ] {
        assert_added(&[(
            &format!("[[guard.exception]]\ncgroup = \"{cgroup}\""),
            "27: guard.exception[0].cgroup",
            part,
        )]);
    }
    assert_added(&[
        (
            "[[guard.exception]]\ncgroup = \"/a\"\nuid = 7",
            "28: guard.exception[0].uid",
            "expected either cgroup or uid, not both",
        ),
        (
            "[[guard.exception]]\ncgroup = \"/\"",
            "27: guard.exception[0].cgroup",
            "the root of all cgroups is refused",
        ),
        (
            "run_as = [997]\n[[guard.exception]]\nuid = 997",
            "28: guard.exception[0].uid",
            "user 997 is in guard.local[0].run_as: hosted content would pass",
        ),
        (
            "run_as = [997]\nuid = 0\n[[guard.exception]]\nuid = 0",
            "29: guard.exception[0].uid",
            "user 0 is guard.local[0].uid: the service and what it starts would pass",
        ),
        (
            "[[guard.exception]]\nuid = 7",
            "27: guard.exception[0].uid",
            "guard.local[0].run_as is missing: an exception by user needs",
        ),
        (
            "run_as = []\n[[guard.exception]]\nuid = 7",
            "28: guard.exception[0].uid",
            "guard.local[0].run_as is missing",
        ),
        // Every local endpoint counts.
        (
            "run_as = [997]\n[[guard.local]]\naddress = \"*:1\"\nservice = \"a.service\"\n\
             [[guard.exception]]\nuid = 7",
            "31: guard.exception[0].uid",
            "guard.local[1].run_as is missing",
        ),
    ]);
}

#[test]
fn not_everybody_is_allowed() {
    let everyone = "every host that reaches the port would pass";
    for net in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert_added(&[(
            &format!("allow_from = [\"192.0.2.7\", \"{net}\"]"),
            "26: guard.local[0].allow_from[1]",
            &format!("the whole address space is refused: {everyone}"),
        )]);
    }
    for net in ["::/1", "::/64", "::/80", "::8000:0:0/81", "::fffe:0:0/95"] {
        assert_added(&[(
            &format!("allow_from = [\"{net}\"]"),
            "26: guard.local[0].allow_from[0]",
            "this range holds ::ffff:0:0/96, which is all of IPv4, and is refused: every host",
        )]);
    }
    assert_added(&[
        (
            "allow_from = [\"10.0.0.1/8\"]",
            "26: guard.local[0].allow_from[0]",
            "bits beyond its prefix length",
        ),
        (
            "allow_from = [\"gateway.internal\"]",
            "26: guard.local[0].allow_from[0]",
            "expected an address or address/prefix-length",
        ),
        (
            "allow_from = \"10.0.0.1\"",
            "26: guard.local[0].allow_from",
            "expected addresses or ranges, as [\"10.0.0.7\", \"10.1.0.0/16\"], found a text",
        ),
    ]);
    // Neighbours of what is refused.
    let directory = Directory::new();
    for net in [
        "::/96",
        "8000::/1",
        "::7fff:0:0/96",
        "128.0.0.0/1",
        "::1:0:0:0/80",
    ] {
        let text = format!("{MINIMAL}{GUARD}allow_from = [\"{net}\"]\n");
        directory.load(&text).expect(net);
    }
}

#[test]
fn the_kernel_has_places_for_so_many() {
    let mut locals = String::new();
    let mut remotes = String::new();
    for port in 1..=65 {
        locals += &format!("[[guard.local]]\naddress = \"*:{port}\"\nservice = \"a.service\"\n");
        remotes += &format!("[[guard.remote]]\naddress = \"192.0.2.1:{port}\"\n");
    }
    let head = "[guard]\nmode = \"audit\"\n";
    let exceptions = "[[guard.exception]]\ncgroup = \"/a\"\n".repeat(9);
    assert_guards(&[
        (
            &format!("{head}{locals}"),
            &[("23: guard.local", "expected at most 64, found 65")],
        ),
        (
            &format!("{head}{remotes}"),
            &[("23: guard.remote", "expected at most 64, found 65")],
        ),
        (
            &format!("{GUARD}{exceptions}"),
            &[("26: guard.exception", "expected at most 8, found 9")],
        ),
    ]);
    let sources = |count: usize| vec!["\"192.0.2.7\""; count].join(", ");
    let text = format!(
        "{GUARD}allow_from = [{}]\n[[guard.local]]\naddress = \"*:1\"\nservice = \"a.service\"\n\
         allow_from = [{}]\n[[guard.local]]\naddress = \"*:2\"\nservice = \"a.service\"\n\
         allow_from = [{}]\n",
        sources(1024),
        sources(1),
        sources(1)
    );
    assert_guards(&[(
        &text,
        &[(
            "30: guard.local[1].allow_from",
            "expected at most 1024 in all [[guard.local]], found 1025 up to here",
        )],
    )]);
}

#[test]
fn the_metrics_need_an_address_of_their_own() {
    assert_replaced(&[(
        "[[",
        "metrics = \"127.0.0.1:9145\"\n[[",
        "23: guard.metrics",
        "admin.address has this address already",
    )]);
    let text = format!("{MINIMAL}{GUARD}").replacen("127.0.0.1:8443", "127.0.0.1:9146", 1);
    let taken = [(
        "3: listener[0].address",
        "guard.metrics has this address already",
    )];
    assert_faults(&Directory::new(), &text, &taken);
}

#[test]
fn every_fault_is_reported_at_once() {
    assert_guards(&[(
        r#"[guard]
mode = "on"
slice = "/edge"
metrics = "x"
typo = 1
[[guard.local]]
address = "*"
service = "/edge/connect"
uid = -1
run_as = [997]
[[guard.remote]]
address = "127.0.0.1:1"
[[guard.exception]]
cgroup = "/edge"
[[guard.exception]]
uid = 997
"#,
        &[
            ("22: guard.mode", "expected \"audit\""),
            ("24: guard.metrics", "expected an address"),
            ("25: guard.typo", "unknown key"),
            ("27: guard.local[0].address", "expected a port"),
            ("28: guard.local[0].service", "lies below guard.slice"),
            ("29: guard.local[0].uid", "expected a user's number"),
            (
                "32: guard.remote[0].address",
                "expected an address elsewhere",
            ),
            ("34: guard.exception[0].cgroup", "holds guard.slice"),
            (
                "34: guard.exception[0].cgroup",
                "holds guard.local[0].service",
            ),
            ("36: guard.exception[1].uid", "is in guard.local[0].run_as"),
        ],
    )]);
}
