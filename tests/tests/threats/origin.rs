//! Where a request came from and went to is never what the client says.

use gateway_tests::harness::{ALICE, Backend, CONNECT, Received, Request, Setup};

use crate::site::{EVIL, Site, TRIPLE};

#[test]
fn forwarded_family_rebuilt_whole() {
    let site = Site::start();
    let mut request = Request::get("/content/1/?a=b").by(&ALICE);
    for name in FORWARDED {
        request = request.field(name, EVIL);
    }
    site.gateway.ask(&request).expect(200);
    check_forwarded(&site.backend.one());
}

#[test]
fn forwarded_for_is_believed_of_trusted_proxies_only() {
    let backend = Backend::recording();
    let trusting = Setup::connect(&backend)
        .line("gateway", "trusted_proxies = [\"127.0.0.1\"]")
        .start();
    let request = Request::get("/content/1/")
        .by(&ALICE)
        .field("X-Forwarded-For", "198.51.100.9, 203.0.113.7")
        .field("X-Forwarded-Host", "evil.example")
        .field("X-Forwarded-Proto", "http")
        .field("X-Forwarded-Prefix", "/evil");
    trusting.ask(&request).expect(200);
    let received = backend.one();
    // The last that the trusted peer names; what stands before it, anybody may have written.
    assert_eq!(received.field("x-real-ip"), Some("203.0.113.7"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("x-forwarded-host"), Some(CONNECT));
    assert_eq!(received.field("x-forwarded-prefix"), None);
    let line = trusting.logged("the client", |line| line["path"] == "/content/1/");
    assert_eq!(line["client"], "203.0.113.7");

    let wary = Setup::connect(&backend).start();
    wary.ask(&request).expect(200);
    let received = backend.one();
    assert_eq!(received.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn routing_path_equals_forwarded_path() {
    let site = Site::start();
    for target in [
        "/__api__/../content/1/",
        "/__api__/%2e%2e/content/1/",
        "/__api__/%2E%2E/content/1/",
        "/__api__/..%2fcontent/1/",
        "/__api__/..;/content/1/",
        "/content/..%2f__api__/server_settings",
        "/public/../__api__/users/current",
        "/public/%2e%2e/__api__/users/current",
        "/public/..;x=y/__api__/users/current",
        "/public/..%5c__api__/users/current",
        "/public/%252e%252e/__api__/users/current",
        "//__api__/server_settings",
        "/%5f_api__/server_settings",
        "/x/../__api__/server_settings",
        "/__api__/server_settings%2f..%2f..%2fcontent",
        "/__api__/%73erver_settings/../../content/1/",
        "/..",
        "/../../etc/passwd",
        "/%00",
        "/__api__/server_settings%00",
        "/public/%0d%0aX-Auth-Username:%20evil",
        "/__ping__/..",
        "/%5f_ping__",
        "/__ping__;x",
    ] {
        for fields in [&[][..], TRIPLE, &[("X-Auth-Token", "anonymous-access")]] {
            let answer = site.gateway.ask(&Request::get(target).fields(fields));
            assert!(matches!(answer.status, 400 | 401), "{target}: {answer:?}");
            assert_eq!(site.backend.requests(), [], "{target}");
        }
    }
    // Below `/__api__/` in every reading, so a signature counts; but no path that must be exact is.
    for target in [
        "/__api__/server_settings;x",
        "/__api__//server_settings",
        "/__api__/server_settings/..",
        "/__api__/./server_settings",
        "/__api__/%73erver_settings",
    ] {
        let anonymous = [("X-Auth-Token", "anonymous-access")];
        for fields in [&[][..], &anonymous] {
            let answer = site.gateway.ask(&Request::get(target).fields(fields));
            assert!(matches!(answer.status, 400 | 401), "{target}: {answer:?}");
            assert_eq!(site.backend.requests(), [], "{target}");
        }
    }
    // With a login, what is merely unusual goes through as it came.
    for target in [
        "/content/a%20b/",
        "/content/a//b",
        "/content/%41;v=1",
        "/content/a%2Fb?c=/../d",
    ] {
        site.gateway
            .ask(&Request::get(target).by(&ALICE))
            .expect(200);
        assert_eq!(site.backend.one().target, target);
    }
}

/// What the back-end must be told about where the request came from, whoever says otherwise.
#[track_caller]
fn check_forwarded(received: &Received) {
    let expected = [
        ("X-Forwarded-For", Some("127.0.0.1")),
        ("X-Forwarded-Proto", Some("https")),
        ("X-Forwarded-Host", Some(CONNECT)),
        ("X-Forwarded-Port", Some("443")),
        ("X-Forwarded-Prefix", None),
        ("X-Forwarded-Uri", None),
        ("X-Forwarded-Method", None),
        ("X-Forwarded-Server", None),
        ("X-Original-URL", None),
        ("X-Real-IP", Some("127.0.0.1")),
        ("X-RSC-Request", Some("https://connect.test/content/1/?a=b")),
    ];
    for (name, value) in expected {
        let found: Vec<_> = received
            .folded(name)
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(found, Vec::from_iter(value), "{name}: {received:#?}");
    }
    let forwarded = received.field("forwarded").expect("RFC 7239");
    let forwarded = forwarded.replace('"', "");
    for part in ["for=127.0.0.1", "proto=https", "host=connect.test"] {
        assert!(forwarded.contains(part), "{forwarded}");
    }
}

const FORWARDED: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Real-IP",
    "X-RSC-Request",
    "X-Original-URL",
];
