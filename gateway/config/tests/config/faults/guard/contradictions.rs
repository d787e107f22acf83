//! What does not go together.

use super::{GUARD, assert_added, assert_guards, assert_replaced};
use crate::faults::assert_faults;
use crate::support::{Directory, MINIMAL};

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
