//! The lanes that are open by path: discovery and anonymous content.

use crate::testing::{TRIPLE, basic, send, session_cookie, usual};
use crate::{Lane, Reason};

const NOT_LOGGED_IN: Result<Lane, Reason> = Err(Reason::Unauthenticated);

#[test]
fn discovery_is_by_exact_method_and_path() {
    let policy = usual();
    for (host, line, expected) in [
        (
            "connect.example",
            "GET /app/__api__/server_settings",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/__api__/tokens",
            Ok(Lane::Discovery),
        ),
        (
            "closed.example",
            "GET /app/__api__/server_settings",
            Ok(Lane::Discovery),
        ),
        (
            "closed.example",
            "POST /app/__api__/tokens",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/__api__/server_settings",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "HEAD /app/__api__/server_settings",
            NOT_LOGGED_IN,
        ),
        ("connect.example", "GET /app/__api__/tokens", NOT_LOGGED_IN),
        (
            "connect.example",
            "POST /app/__api__/tokens/1",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/__api__/server_settings/x",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/__api__/server_settingsx",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/.well-known/oauth-authorization-server",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "GET /app/.well-known/oauth-protected-resource",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "GET /app/.well-known/openid-configuration",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/register",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/token",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/device/code",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/device/a/b",
            Ok(Lane::Discovery),
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/device/",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "POST /app/oauth/v1/device/a%2fb",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/oauth/v1/authorize",
            NOT_LOGGED_IN,
        ),
        ("connect.example", "GET /app/oauth/v1/token", NOT_LOGGED_IN),
        (
            "closed.example",
            "GET /app/.well-known/oauth-authorization-server",
            NOT_LOGGED_IN,
        ),
        ("closed.example", "POST /app/oauth/v1/token", NOT_LOGGED_IN),
        ("connect.example", "POST /app/login", NOT_LOGGED_IN),
        ("deployr.example", "POST /app/login", Ok(Lane::Discovery)),
        (
            "deployr.example",
            "POST /app/login/refreshToken",
            Ok(Lane::Discovery),
        ),
        (
            "deployr.example",
            "DELETE /app/login/refreshToken?refreshToken=x",
            Ok(Lane::Discovery),
        ),
        ("deployr.example", "DELETE /app/login", NOT_LOGGED_IN),
        (
            "deployr.example",
            "delete /app/login/refreshToken",
            NOT_LOGGED_IN,
        ),
        ("deployr.example", "GET /app/login", NOT_LOGGED_IN),
        (
            "deployr.example",
            "GET /app/__api__/server_settings",
            NOT_LOGGED_IN,
        ),
        ("generic.example", "POST /app/login", NOT_LOGGED_IN),
        (
            "generic.example",
            "GET /app/__api__/server_settings",
            NOT_LOGGED_IN,
        ),
        ("generic.example", "POST /app/oauth/v1/token", NOT_LOGGED_IN),
    ] {
        let seen = send(&policy, host, line, &[]);
        assert_eq!(seen.lane(), expected, "{host} {line}");
        if expected.is_ok() {
            assert_eq!(seen.forward().body_limit, Some(65536));
            assert!(seen.sent("X-Auth-Username").is_empty());
        }
    }
}

#[test]
fn discovery_gives_way_to_a_visitor_whom_the_gateway_knows() {
    let policy = usual();
    let line = "GET /app/__api__/server_settings";
    let right = basic("alice", "right");
    let wrong = basic("alice", "wrong");
    let stale = "Cookie: __Host-gateway-staff=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (field, expected) in [
        (&*session_cookie("staff"), Ok(Lane::User)),
        (&right, Ok(Lane::User)),
        (&wrong, Err(Reason::WrongCredential)),
        (stale, Ok(Lane::Discovery)),
        ("Cookie: __Host-gateway-staff=junk", Ok(Lane::Discovery)),
        ("Authorization: Negotiate x", Ok(Lane::Discovery)),
        ("Authorization: Basic !!", Err(Reason::WrongCredential)),
    ] {
        let seen = send(&policy, "connect.example", line, &[field]);
        assert_eq!(seen.lane(), expected, "{field}");
    }
}

#[test]
fn anonymous_access_is_forwarded_on_discovery_alone() {
    let policy = usual();
    let token = "X-Auth-Token: anonymous-access";
    let line = "GET /app/__api__/server_settings";
    let seen = send(&policy, "connect.example", line, &[token]);
    assert_eq!(seen.lane(), Ok(Lane::Discovery));
    assert_eq!(seen.sent("X-Auth-Token"), ["anonymous-access"]);
    for fields in [
        &["X-Auth-Token: Anonymous-Access"][..],
        &["X-Auth-Token: anonymous-access x"],
        &[token, token],
        &TRIPLE[..1],
        &["X-Auth-Token:"],
    ] {
        let seen = send(&policy, "connect.example", line, fields);
        assert_eq!(seen.lane(), Ok(Lane::Discovery), "{fields:?}");
        assert!(seen.sent("X-Auth-Token").is_empty(), "{fields:?}");
    }
    let seen = send(&policy, "connect.example", line, &[token, TRIPLE[1]]);
    assert_eq!(seen.sent("X-Auth-Token"), ["anonymous-access"]);
    assert!(seen.sent("X-Auth-Signature").is_empty());
    for (host, line) in [
        ("deployr.example", "POST /app/login"),
        ("connect.example", "GET /app/public/x"),
    ] {
        let seen = send(&policy, host, line, &[token]);
        assert!(seen.sent("X-Auth-Token").is_empty(), "{host} {line}");
    }
    for (host, line) in [
        ("connect.example", "GET /app/content/1/"),
        ("connect.example", "GET /app/__api__/v1/user"),
        ("connect.example", "GET /app/__api__/tokens"),
        ("connect.example", "GET /app/?x=/__api__/server_settings"),
        ("generic.example", "GET /app/__api__/server_settings"),
        ("deployr.example", "GET /app/x"),
    ] {
        let seen = send(&policy, host, line, &[token]);
        assert_eq!(seen.lane(), NOT_LOGGED_IN, "{host} {line}");
    }
}

#[test]
fn anonymous_prefixes_open_what_they_name() {
    let policy = usual();
    for host in ["connect.example", "deployr.example", "generic.example"] {
        for (line, expected) in [
            ("GET /app/public", Ok(Lane::Anonymous)),
            ("GET /app/public/x", Ok(Lane::Anonymous)),
            ("POST /app/public/a%20b", Ok(Lane::Anonymous)),
            ("GET /app/publicx", NOT_LOGGED_IN),
            ("GET /app/Public/", NOT_LOGGED_IN),
            ("GET /app/x/public/", NOT_LOGGED_IN),
            ("GET /app/x?/public/", NOT_LOGGED_IN),
            // Not spelled plainly: the prefix is agreed on, but what follows may not be.
            ("GET /app/public/a%2fb", NOT_LOGGED_IN),
            ("GET /app/public/a;b", NOT_LOGGED_IN),
            ("GET /app/public//x", NOT_LOGGED_IN),
            ("GET /app/public/a%252e", NOT_LOGGED_IN),
            ("GET /app/public/a/../b", NOT_LOGGED_IN),
        ] {
            let fields = ["Authorization: Negotiate x", "X-Auth-Username: evil"];
            let seen = send(&policy, host, line, &fields);
            assert_eq!(seen.lane(), expected, "{host} {line}");
            if expected.is_ok() {
                assert!(seen.sent("Authorization").is_empty());
                assert!(seen.sent("X-Auth-Username").is_empty());
                assert_eq!(seen.forward().body_limit, None);
            }
        }
    }
    let seen = send(&policy, "closed.example", "GET /app/public/x", &[]);
    assert_eq!(seen.lane(), NOT_LOGGED_IN);
}
