//! Bypasses of published gateways, and pass-through credentials where
//! they mean nothing.

use crate::testing::{PROXY, TRIPLE, basic, send, send_from, session_cookie, usual};
use crate::{Lane, Reason};

#[test]
fn no_pass_through_credential_opens_a_generic_app() {
    let policy = usual();
    let triple_and_user = [&TRIPLE[..], &["X-Auth-Username: admin"]].concat();
    for fields in [
        &["Authorization: Key k"][..],
        &["Authorization: Bearer t"],
        &["Authorization: Connect-Bootstrap t"],
        &["X-RSC-Authorization: Key k"],
        &["X-RSC-Authorization: k"],
        &["X-Auth-Token: anonymous-access"],
        &TRIPLE,
        &triple_and_user,
        &["X-Auth-Username: admin", "Remote-User: admin"],
    ] {
        for line in [
            "GET /app/",
            "POST /app/__api__/x",
            "GET /app/__api__/server_settings",
            "POST /app/__api__/tokens",
            "POST /app/__api__/v1/experimental/bootstrap",
            "POST /app/login",
        ] {
            let seen = send(&policy, "generic.example", line, fields);
            assert_eq!(
                seen.lane(),
                Err(Reason::Unauthenticated),
                "{line} {fields:?}"
            );
            let reply = policy.reply(seen.refusal(), None);
            assert_eq!(reply.status, 401);
        }
    }
}

#[test]
fn a_pass_through_lane_gives_no_name() {
    let policy = usual();
    let fields = [
        &TRIPLE[..],
        &["X-Auth-Username: admin", "X_Auth_Username: admin"],
    ]
    .concat();
    let seen = send(&policy, "connect.example", "POST /app/__api__/x", &fields);
    assert_eq!(seen.lane(), Ok(Lane::SignedDeploy));
    assert!(seen.sent("X-Auth-Username").is_empty());
    assert!(seen.sent("X_Auth_Username").is_empty());
    assert_eq!(seen.forward().stripped.owned, 2);
}

#[test]
fn a_query_opens_nothing() {
    // CVE-2025-54576: the allow-list matched path plus query.
    let policy = usual();
    for target in [
        "/app/x?y=/app/public/",
        "/app/x?/../public/x",
        "/app/x?/app/__api__/server_settings",
    ] {
        let seen = send(&policy, "connect.example", &format!("GET {target}"), &[]);
        assert_eq!(seen.lane(), Err(Reason::Unauthenticated), "{target}");
    }
}

#[test]
fn a_fragment_or_an_absolute_target_of_another_host_is_no_request() {
    for target in ["/app/public/#/../x", "https://other.example/app/public/x"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: connect.example\r\n\r\n");
        assert!(
            wire::h1::parse_request(text.into(), Vec::new()).is_err(),
            "{target}"
        );
    }
}

#[test]
fn what_a_proxy_is_said_to_have_seen_decides_nothing() {
    // CVE-2026-40575, CVE-2026-76835: X-Forwarded-Uri and relatives chose the rule.
    let policy = usual();
    for field in [
        "X-Forwarded-Uri: /app/public/x",
        "X-Original-URL: /app/public/x",
        "X-Rewrite-URL: /app/public/x",
        "X-Forwarded-Prefix: /app/public",
        "X-Forwarded-Host: generic.example",
        "X-Forwarded-Method: HEAD",
        "X-RSC-Request: https://connect.example/app/public/x",
    ] {
        for peer in ["203.0.113.9", PROXY] {
            let line = "GET /app/x";
            let seen = send_from(&policy, peer, "connect.example", line, &[field]);
            assert_eq!(seen.lane(), Err(Reason::Unauthenticated), "{peer} {field}");
        }
    }
}

#[test]
fn a_user_agent_opens_nothing() {
    // CVE-2026-34457.
    let policy = usual();
    for agent in ["User-Agent: GoogleHC/1.0", "User-Agent: kube-probe/1.30"] {
        for path in ["/app/", "/app/__ping__", "/healthz", "/app/healthz"] {
            let seen = send(&policy, "connect.example", &format!("GET {path}"), &[agent]);
            assert!(seen.lane().is_err(), "{path}");
        }
    }
}

#[test]
fn a_wrong_password_is_wrong_on_every_lane() {
    let policy = usual();
    let wrong = basic("alice", "wrong");
    let nobody = basic("mallory", "right");
    let cookie = session_cookie("staff");
    for credential in [
        &*wrong,
        &nobody,
        "Authorization: Basic",
        "Authorization: Basic %%%",
    ] {
        for (host, line, fields) in [
            (
                "connect.example",
                "GET /app/__api__/server_settings",
                &[][..],
            ),
            (
                "connect.example",
                "POST /app/__api__/tokens",
                &["X-Auth-Token: anonymous-access"][..],
            ),
            ("connect.example", "GET /app/__ping__", &[]),
            ("connect.example", "POST /app/__api__/x", &TRIPLE),
            ("connect.example", "GET /app/x", &["X-RSC-Authorization: k"]),
            ("connect.example", "GET /app/public/x", &[]),
            ("connect.example", "GET /app/x", &[&*cookie]),
            ("deployr.example", "POST /app/login", &[]),
            ("generic.example", "GET /app/x", &[]),
        ] {
            let fields = [fields, &[credential]].concat();
            let seen = send_from(&policy, crate::testing::MONITOR, host, line, &fields);
            assert_eq!(
                seen.lane(),
                Err(Reason::WrongCredential),
                "{host} {line} {credential}"
            );
            assert_eq!(policy.reply(seen.refusal(), None).status, 401);
        }
    }
}

#[test]
fn several_authorizations_are_refused() {
    let policy = usual();
    let right = basic("alice", "right");
    for pair in [
        [&*right, "Authorization: Key k"],
        ["Authorization: Key k", &right],
        ["Authorization: Key k", "authorization: Key k"],
        [&right, &right],
    ] {
        for host in ["connect.example", "generic.example"] {
            let seen = send(&policy, host, "GET /app/x", &pair);
            assert_eq!(seen.lane(), Err(Reason::RepeatedAuthorization), "{pair:?}");
        }
    }
}

#[test]
fn an_alias_of_a_credential_is_none() {
    let policy = usual();
    for field in [
        "X_RSC_Authorization: Key k",
        "x.rsc.authorization: Key k",
        "Authorization_: Key k",
        "_Authorization: Key k",
        "X_Auth_Token: anonymous-access",
        "Cookie_: x",
    ] {
        let seen = send(&policy, "connect.example", "GET /app/x", &[field]);
        assert_eq!(seen.lane(), Err(Reason::Unauthenticated), "{field}");
        assert_eq!(seen.refusal().stripped.aliases, 1);
    }
}

#[test]
fn an_alias_of_a_triples_part_neither_helps_nor_harms() {
    let policy = usual();
    for field in TRIPLE {
        let alias = field.replacen('-', "_", 1);
        let (name, _) = alias.split_once(": ").unwrap();
        let alias = match name {
            "Date" => "Date_: x",
            _ => &alias,
        };
        let without: Vec<&str> = TRIPLE.into_iter().filter(|other| *other != field).collect();
        let seen = send(
            &policy,
            "connect.example",
            "POST /app/__api__/x",
            &[&without[..], &[alias]].concat(),
        );
        assert_eq!(seen.lane(), Err(Reason::Unauthenticated), "{alias}");
        let seen = send(
            &policy,
            "connect.example",
            "POST /app/__api__/x",
            &[&TRIPLE[..], &[alias]].concat(),
        );
        assert_eq!(seen.lane(), Ok(Lane::SignedDeploy), "{alias}");
        assert!(seen.sent(alias.split_once(':').unwrap().0).is_empty());
    }
}

#[test]
fn ambiguous_paths_are_refused_on_every_kind() {
    let policy = usual();
    let key = ["Authorization: Key k"];
    for path in [
        "/app/public/..%2fx",
        "/app/public/%2e%2e/x",
        "/app/public/..;/x",
        "/app/public/%252e%252e/x",
        "/app/../app2/",
        "/app%2f",
        "/%61pp/",
        "/app/x%00",
        "/app/x%0a",
        "/app/x%7f",
        "/..%2f..%2f",
    ] {
        for host in ["connect.example", "deployr.example", "generic.example"] {
            let seen = send(&policy, host, &format!("GET {path}"), &key);
            assert_eq!(seen.lane(), Err(Reason::AmbiguousPath), "{host} {path}");
            assert_eq!(policy.reply(seen.refusal(), None).status, 400);
        }
    }
}
