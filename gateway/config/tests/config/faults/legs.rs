//! Back-end legs: no mode promises what it does not do.

use super::assert_faults;
use crate::support::{Directory, minimal};

#[test]
fn tls_says_what_it_does() {
    let directory = Directory::new();
    let pool = |lines: &str, url: &str, server: &str| {
        minimal(
            "[[pool.server]]\nurl = \"http://127.0.0.1:3939\"",
            &format!("{lines}\n[[pool.server]]\nurl = \"{url}\"\n{server}"),
        )
    };
    let off = "the pool's tls = \"off\" ignores this: remove it";
    let verify = "the pool's tls = \"verify\" ignores this: remove it, or say tls = \"mutual\"";
    let plain = "http://a";
    let https = "https://a";
    for (lines, url, server, expected) in [
        (
            "tls = \"on\"",
            plain,
            "",
            vec![("13: pool[0].tls", "\"off\" or \"verify\" or \"mutual\"")],
        ),
        ("ca = \"ca.pem\"", plain, "", vec![("13: pool[0].ca", off)]),
        (
            "client_certificate = \"chain.pem\"\nclient_key = \"sec1.key\"",
            plain,
            "",
            vec![
                ("13: pool[0].client_certificate", off),
                ("14: pool[0].client_key", off),
            ],
        ),
        (
            "",
            plain,
            "ca = \"ca.pem\"",
            vec![("16: pool[0].server[0].ca", off)],
        ),
        (
            "",
            plain,
            "expected_name = \"a\"",
            vec![("16: pool[0].server[0].expected_name", off)],
        ),
        (
            "tls = \"verify\"\nca = \"ca.pem\"",
            plain,
            "",
            vec![(
                "16: pool[0].server[0].url",
                "expected an https URL, since tls is not \"off\"",
            )],
        ),
        (
            "tls = \"verify\"",
            https,
            "",
            vec![(
                "14: pool[0].server[0].ca",
                "missing: expected the PEM file that signs the server, here or in the pool",
            )],
        ),
        (
            "tls = \"verify\"\nca = \"ca.pem\"\nclient_certificate = \"chain.pem\"\nclient_key = \"sec1.key\"",
            https,
            "",
            vec![
                ("15: pool[0].client_certificate", verify),
                ("16: pool[0].client_key", verify),
            ],
        ),
        (
            "tls = \"verify\"\nca = \"ca.pem\"",
            https,
            "expected_name = \"a b\"",
            vec![(
                "17: pool[0].server[0].expected_name",
                "expected a host name or an address",
            )],
        ),
        (
            "tls = \"verify\"\nca = \"sec1.key\"",
            https,
            "",
            vec![("14: pool[0].ca", "no certificate in it")],
        ),
        (
            "tls = \"mutual\"",
            https,
            "",
            vec![
                ("14: pool[0].server[0].ca", "missing: expected the PEM file"),
                (
                    "14: pool[0].server[0].client_certificate",
                    "missing: expected our certificate and client_key for tls = \"mutual\", here or in the pool",
                ),
            ],
        ),
        (
            "tls = \"mutual\"\nca = \"ca.pem\"\nclient_certificate = \"chain.pem\"",
            https,
            "",
            vec![(
                "11: pool[0].client_key",
                "missing: client_certificate needs it beside itself",
            )],
        ),
        (
            "tls = \"mutual\"\nca = \"ca.pem\"\nclient_certificate = \"chain.pem\"\nclient_key = \"sec1.key\"",
            https,
            "client_key = \"pkcs1.key\"",
            vec![(
                "17: pool[0].server[0].client_certificate",
                "missing: client_key needs it beside itself",
            )],
        ),
    ] {
        assert_faults(&directory, &pool(lines, url, server), &expected);
    }
}
