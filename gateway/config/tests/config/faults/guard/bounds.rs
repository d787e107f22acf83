//! What would let everybody in, and what the kernel's tables cannot hold.

use super::{GUARD, assert_added, assert_guards};
use crate::support::{Directory, MINIMAL};

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
