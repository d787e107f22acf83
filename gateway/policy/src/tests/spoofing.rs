//! Promise P1: every spelling of every owned name, on every lane.

use wire::Folded;

use crate::owned::{BUILT_IN, PREFIXES};
use crate::testing::{MONITOR, Seen, TRIPLE, basic, send_from, session_cookie, spellings, usual};
use crate::{Lane, OwnedNames};

/// What the gateway itself sends with every request, folded, in the order of sending.
pub(super) const INJECTED: [&str; 7] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "x-real-ip",
    "x-correlation-id",
];

/// Asserts that the back-end gets of the owned names what the gateway says, and nothing else.
pub(super) fn assert_clean(seen: &Seen, host: &str, context: &str) {
    let apps = crate::testing::apps();
    let owned = OwnedNames::new(&apps);
    let forward = seen.forward();
    let app = &apps[forward.app];
    let mut expected: Vec<String> = INJECTED.map(str::to_owned).into();
    if host == "connect.example" || host == "closed.example" {
        expected.push("x-rsc-request".to_owned());
    }
    if app.strip_mount {
        expected.push("x-forwarded-prefix".to_owned());
    }
    if forward.lane == Lane::User {
        expected.push(app.identity.username.as_str().to_ascii_lowercase());
    }
    assert_eq!(
        forward.identity.is_some(),
        forward.lane == Lane::User,
        "{context}"
    );
    let sent = seen.sent.as_ref().unwrap();
    let mut found = Vec::new();
    for line in sent.head.fields().iter() {
        let value = String::from_utf8_lossy(line.value);
        assert!(!value.contains("evil"), "{context}: {value}");
        let folded = Folded::of(line.name);
        if owned.owns(&folded) || folded.is(b"x-correlation-id") {
            found.push(String::from_utf8_lossy(line.name).to_ascii_lowercase());
        }
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "{context}");
}

#[test]
fn no_spelling_of_an_owned_name_passes_on_any_lane() {
    let policy = usual();
    let right = basic("alice", "right");
    let cookie = session_cookie("staff");
    let (by_password, by_cookie) = ([&*right], [&*cookie]);
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: https://connect.example",
        &cookie,
    ];
    let lanes: Vec<(&str, &str, &[&str], Lane)> = vec![
        ("connect.example", "GET /app/__ping__", &[], Lane::Health),
        (
            "connect.example",
            "POST /app/__api__/x",
            &TRIPLE,
            Lane::SignedDeploy,
        ),
        (
            "connect.example",
            "GET /app/x",
            &["Authorization: Key k"],
            Lane::ApiCredential,
        ),
        (
            "connect.example",
            "GET /app/x",
            &["X-RSC-Authorization: k"],
            Lane::ApiCredential,
        ),
        (
            "connect.example",
            "GET /app/x",
            &["Authorization: Bearer t"],
            Lane::ApiCredential,
        ),
        (
            "connect.example",
            "GET /app/__api__/server_settings",
            &[],
            Lane::Discovery,
        ),
        ("connect.example", "GET /app/public/x", &[], Lane::Anonymous),
        ("connect.example", "GET /app/x", &by_cookie, Lane::User),
        ("connect.example", "GET /app/x", &by_password, Lane::User),
        ("connect.example", "GET /app/ws", &upgrade, Lane::User),
        ("closed.example", "GET /app/x", &by_password, Lane::User),
        ("deployr.example", "GET /app/__ping__", &[], Lane::Health),
        (
            "deployr.example",
            "GET /app/x",
            &["Authorization: Bearer t"],
            Lane::ApiCredential,
        ),
        ("deployr.example", "POST /app/login", &[], Lane::Discovery),
        ("deployr.example", "GET /app/x", &by_password, Lane::User),
        ("generic.example", "GET /app/public/x", &[], Lane::Anonymous),
        ("generic.example", "GET /app/x", &by_password, Lane::User),
    ];
    let mut names: Vec<Vec<u8>> = BUILT_IN.iter().map(|name| name.to_vec()).collect();
    for prefix in PREFIXES {
        for rest in [
            "for", "host", "proto", "port", "prefix", "uri", "user", "url", "request",
        ] {
            names.push([prefix, rest.as_bytes()].concat());
        }
    }
    names.push(b"x-secret-user".to_vec());
    let mut cases = 0;
    for (host, line, fields, lane) in lanes {
        for name in &names {
            for spelling in spellings(name) {
                let evil = format!("{spelling}: evil");
                let context = format!("{host} {line} {evil}");
                // In front of the real fields and behind them, and twice.
                let fields = [&[&*evil][..], fields, &[&evil]].concat();
                let seen = send_from(&policy, MONITOR, host, line, &fields);
                assert_eq!(seen.lane(), Ok(lane), "{context}");
                assert_eq!(seen.forward().stripped.owned, 2, "{context}");
                assert_clean(&seen, host, &context);
                cases += 1;
            }
        }
    }
    assert!(cases > 5000, "{cases}");
}

#[test]
fn no_alias_of_a_credential_or_framing_name_passes_on_any_lane() {
    let policy = usual();
    let right = basic("alice", "right");
    for (host, line, field) in [
        ("connect.example", "GET /app/x", &*right),
        ("connect.example", "GET /app/x", "Authorization: Key k"),
        ("generic.example", "GET /app/public/x", "X: y"),
        ("deployr.example", "GET /app/x", "Authorization: Bearer t"),
    ] {
        for name in [
            "authorization",
            "connection",
            "content-length",
            "cookie",
            "date",
            "expect",
            "host",
            "proxy",
            "proxy-authorization",
            "sec-websocket-key",
            "sec-websocket-protocol",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-auth-signature",
            "x-auth-token",
            "x-content-checksum",
            "x-correlation-id",
            "x-rsc-authorization",
        ] {
            for spelling in spellings(name.as_bytes()) {
                if spelling.eq_ignore_ascii_case(name) {
                    continue;
                }
                let evil = format!("{spelling}: evil");
                let seen = send_from(&policy, MONITOR, host, line, &[&evil, field]);
                assert_clean(&seen, host, &evil);
                assert_eq!(seen.forward().stripped.aliases, 1, "{evil}");
            }
        }
    }
}
