//! Keys and their values, one by one.

use super::{assert_added, assert_guards, assert_replaced};

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
