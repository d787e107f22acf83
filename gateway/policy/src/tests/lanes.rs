//! The lane table, row by row.

use crate::testing::{
    CLIENT, MONITOR, TRIPLE, apps, basic, policy, send, send_from, session_cookie, usual,
};
use crate::{Lane, Reason, Spoofed};

const NOT_LOGGED_IN: Result<Lane, Reason> = Err(Reason::Unauthenticated);

#[test]
fn health_is_for_listed_addresses() {
    let policy = usual();
    for host in ["connect.example", "deployr.example", "generic.example"] {
        for (peer, line, expected) in [
            (MONITOR, "GET /app/__ping__", Ok(Lane::Health)),
            (MONITOR, "HEAD /app/__ping__", Ok(Lane::Health)),
            (MONITOR, "GET /app/__ping__?x", Ok(Lane::Health)),
            (CLIENT, "GET /app/__ping__", NOT_LOGGED_IN),
            (MONITOR, "POST /app/__ping__", NOT_LOGGED_IN),
            (MONITOR, "GET /app/__ping__/", NOT_LOGGED_IN),
            (MONITOR, "GET /app/x", NOT_LOGGED_IN),
            (MONITOR, "GET /app/x?/__ping__", NOT_LOGGED_IN),
        ] {
            let seen = send_from(&policy, peer, host, line, &[]);
            assert_eq!(seen.lane(), expected, "{host} {peer} {line}");
        }
    }
    let closed = send_from(&policy, MONITOR, "closed.example", "GET /app/__ping__", &[]);
    assert_eq!(closed.lane(), NOT_LOGGED_IN);
    // No client becomes a monitor by what it says.
    let agent = ["User-Agent: kube-probe/1.0", "X-Forwarded-For: 192.0.2.1"];
    let seen = send(&policy, "connect.example", "GET /app/__ping__", &agent);
    assert_eq!(seen.lane(), NOT_LOGGED_IN);
}

#[test]
fn signed_deployments_pass_with_their_triple() {
    let policy = usual();
    for host in ["connect.example", "closed.example"] {
        let line = "POST /app/__api__/applications/1/upload?filter=account_id:7";
        let seen = send(&policy, host, line, &TRIPLE);
        assert_eq!(seen.lane(), Ok(Lane::SignedDeploy));
        for field in TRIPLE {
            let (name, value) = field.split_once(": ").unwrap();
            assert_eq!(seen.sent(name), [value]);
        }
        assert_eq!(seen.forward().body_limit, None);
        assert_eq!(seen.forward().stripped.credentials, 0);
    }
}

#[test]
fn signed_deployments_carry_no_other_credential() {
    let policy = usual();
    let right = basic("alice", "right");
    let cookie = session_cookie("staff");
    let others = [
        "Authorization: Key k",
        "X-RSC-Authorization: Key k",
        &right,
        &cookie,
    ];
    for other in others {
        let fields = [&TRIPLE[..], &[other]].concat();
        let seen = send(&policy, "connect.example", "POST /app/__api__/x", &fields);
        assert_eq!(seen.lane(), Ok(Lane::SignedDeploy), "{other}");
        for name in [
            "Authorization",
            "X-RSC-Authorization",
            "Cookie",
            "X-Auth-Username",
        ] {
            assert!(seen.sent(name).is_empty(), "{other}: {name}");
        }
        assert!(seen.forward().set_session.is_none());
    }
}

#[test]
fn a_triple_outside_the_api_is_none() {
    let policy = usual();
    for line in [
        "GET /app/content/1/",
        "GET /app/",
        "GET /app/__api__",
        "GET /app/x?/__api__/",
    ] {
        let seen = send(&policy, "connect.example", line, &TRIPLE);
        assert_eq!(seen.lane(), NOT_LOGGED_IN, "{line}");
        assert_eq!(seen.refusal().stripped.credentials, 3);
    }
}

#[test]
fn api_credentials_pass_on_every_path() {
    let policy = usual();
    for (field, name) in [
        ("Authorization: Key abc", "Authorization"),
        ("authorization: key abc", "Authorization"),
        ("Authorization: Bearer abc", "Authorization"),
        ("X-RSC-Authorization: Key abc", "X-RSC-Authorization"),
        ("X-RSC-Authorization: abc", "X-RSC-Authorization"),
    ] {
        for line in [
            "GET /app/__api__/v1/user",
            "GET /app/content/1/",
            "POST /app/vanity/",
            "GET /app/__api__/server_settings",
            "GET /app/public/x",
            "GET /app/__ping__",
        ] {
            let cookie = session_cookie("staff");
            let seen = send(&policy, "connect.example", line, &[field, &cookie]);
            assert_eq!(seen.lane(), Ok(Lane::ApiCredential), "{line} {field}");
            assert_eq!(seen.sent(name), [field.split_once(": ").unwrap().1]);
            assert!(seen.sent("X-Auth-Username").is_empty());
            assert!(
                seen.questions.is_empty(),
                "an explicit credential beats a session"
            );
        }
    }
}

#[test]
fn api_credentials_have_switches() {
    let policy = usual();
    let bootstrap = "Authorization: Connect-Bootstrap abc";
    let path = "/app/__api__/v1/experimental/bootstrap";
    for (host, line, field, expected) in [
        (
            "connect.example",
            format!("POST {path}"),
            bootstrap,
            Ok(Lane::ApiCredential),
        ),
        (
            "connect.example",
            format!("GET {path}"),
            bootstrap,
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            format!("POST {path}/x"),
            bootstrap,
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "POST /app/x".to_owned(),
            bootstrap,
            NOT_LOGGED_IN,
        ),
        (
            "closed.example",
            format!("POST {path}"),
            bootstrap,
            NOT_LOGGED_IN,
        ),
        (
            "deployr.example",
            format!("POST {path}"),
            bootstrap,
            NOT_LOGGED_IN,
        ),
        (
            "closed.example",
            "GET /app/x".to_owned(),
            "Authorization: Bearer t",
            NOT_LOGGED_IN,
        ),
        (
            "deployr.example",
            "GET /app/x".to_owned(),
            "Authorization: Bearer t",
            Ok(Lane::ApiCredential),
        ),
        (
            "deployr.example",
            "GET /app/x".to_owned(),
            "Authorization: Key k",
            NOT_LOGGED_IN,
        ),
        (
            "deployr.example",
            "GET /app/x".to_owned(),
            "X-RSC-Authorization: k",
            NOT_LOGGED_IN,
        ),
        (
            "closed.example",
            "GET /app/x".to_owned(),
            "Authorization: Key k",
            Ok(Lane::ApiCredential),
        ),
        (
            "connect.example",
            "GET /app/x".to_owned(),
            "Authorization: Key",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/x".to_owned(),
            "Authorization: Keyx k",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/x".to_owned(),
            "Authorization: Negotiate k",
            NOT_LOGGED_IN,
        ),
        (
            "connect.example",
            "GET /app/x".to_owned(),
            "X-RSC-Authorization:",
            NOT_LOGGED_IN,
        ),
    ] {
        let seen = send(&policy, host, &line, &[field]);
        assert_eq!(seen.lane(), expected, "{host} {line} {field}");
    }
    let twice = ["X-RSC-Authorization: a", "X-RSC-Authorization: a"];
    let seen = send(&policy, "connect.example", "GET /app/x", &twice);
    assert_eq!(seen.lane(), NOT_LOGGED_IN);
}

#[test]
fn only_the_credentials_that_count_pass_on_the_api_lane() {
    let policy = usual();
    let right = basic("alice", "right");
    for (authorization, kept) in [
        ("Authorization: Key k", true),
        ("Authorization: Negotiate x", false),
        ("Authorization: Connect-Bootstrap x", false),
        (&right, false),
    ] {
        let fields = [
            authorization,
            "X-RSC-Authorization: k",
            TRIPLE[0],
            TRIPLE[1],
        ];
        let seen = send(&policy, "connect.example", "GET /app/x", &fields);
        assert_eq!(seen.lane(), Ok(Lane::ApiCredential), "{authorization}");
        assert_eq!(
            seen.sent("Authorization").len(),
            usize::from(kept),
            "{authorization}"
        );
        assert_eq!(seen.sent("X-RSC-Authorization"), ["k"]);
        assert!(seen.sent("X-Auth-Token").is_empty());
        assert!(seen.sent("X-Auth-Signature").is_empty());
        assert!(seen.sent("X-Auth-Username").is_empty());
    }
    let bootstrap = [
        "Authorization: Connect-Bootstrap x",
        "X-RSC-Authorization: k",
    ];
    let line = "GET /app/__api__/v1/experimental/bootstrap";
    let seen = send(&policy, "connect.example", line, &bootstrap);
    assert!(seen.sent("Authorization").is_empty());
}

#[test]
fn visitors_are_named_once() {
    let policy = usual();
    let right = basic("alice", "right");
    let cookie = session_cookie("staff");
    for (host, header) in [
        ("connect.example", "X-Auth-Username"),
        ("deployr.example", "X-Secret-User"),
        ("generic.example", "X-Auth-Username"),
    ] {
        for line in [
            "GET /app/",
            "POST /app/x",
            "GET /app/public/x",
            "PROPFIND /app/x",
        ] {
            let seen = send(&policy, host, line, &[&right]);
            assert_eq!(seen.lane(), Ok(Lane::User), "{host} {line}");
            assert_eq!(seen.sent(header), ["alice"]);
            assert!(seen.sent("Authorization").is_empty());
        }
    }
    let seen = send(&policy, "connect.example", "GET /app/", &[&cookie]);
    assert_eq!(seen.lane(), Ok(Lane::User));
    assert_eq!(seen.sent("X-Auth-Username"), ["alice"]);
}

#[test]
fn the_user_lane_drops_other_credentials() {
    let policy = usual();
    let cookie = session_cookie("staff");
    for authorization in [
        "Authorization: Negotiate x",
        "Authorization: Digest a=\"b\"",
        "Authorization:",
    ] {
        let fields = [
            &TRIPLE[..],
            &[authorization, "X-RSC-Authorization:", &cookie],
        ]
        .concat();
        let seen = send(&policy, "connect.example", "GET /app/content/1/", &fields);
        assert_eq!(seen.lane(), Ok(Lane::User));
        for name in [
            "Authorization",
            "X-RSC-Authorization",
            "X-Auth-Token",
            "X-Auth-Signature",
            "X-Content-Checksum",
        ] {
            assert!(seen.sent(name).is_empty(), "{name}");
        }
        assert_eq!(seen.sent("Date").len(), 1);
        assert_eq!(seen.forward().stripped.credentials, 5);
    }
}

#[test]
fn malformed_deployments_are_stripped_or_refused() {
    let mut strict = apps();
    for app in &mut strict {
        app.lanes.strict_deploy = true;
    }
    let strict = policy(strict, Spoofed::Strip);
    let usual = usual();
    let cookie = session_cookie("staff");
    let anonymous = "X-Auth-Token: anonymous-access";
    let malformed = Err(Reason::MalformedDeploy);
    let api = "POST /app/__api__/x";
    let content = "GET /app/content/1/";
    let settings = "GET /app/__api__/server_settings";
    for (line, fields, stripping, refusing) in [
        (
            api,
            &TRIPLE[..],
            Ok(Lane::SignedDeploy),
            Ok(Lane::SignedDeploy),
        ),
        (api, &TRIPLE[..3], NOT_LOGGED_IN, malformed),
        (api, &TRIPLE[1..], NOT_LOGGED_IN, malformed),
        (api, &TRIPLE[..1], NOT_LOGGED_IN, malformed),
        (api, &TRIPLE[3..], NOT_LOGGED_IN, NOT_LOGGED_IN),
        (api, &[anonymous], NOT_LOGGED_IN, malformed),
        (content, &TRIPLE, NOT_LOGGED_IN, malformed),
        (content, &[TRIPLE[0], &cookie], Ok(Lane::User), malformed),
        (
            content,
            &[TRIPLE[0], "Authorization: Key k"],
            Ok(Lane::ApiCredential),
            malformed,
        ),
        (
            settings,
            &[anonymous],
            Ok(Lane::Discovery),
            Ok(Lane::Discovery),
        ),
        (
            settings,
            &[anonymous, &cookie],
            Ok(Lane::User),
            Ok(Lane::User),
        ),
        (
            settings,
            &[anonymous, TRIPLE[1]],
            Ok(Lane::Discovery),
            malformed,
        ),
        (settings, &[], Ok(Lane::Discovery), Ok(Lane::Discovery)),
    ] {
        let seen = send(&usual, "connect.example", line, fields);
        assert_eq!(seen.lane(), stripping, "{line} {fields:?}");
        let seen = send(&strict, "connect.example", line, fields);
        assert_eq!(seen.lane(), refusing, "strict {line} {fields:?}");
    }
    // Strictness is Connect's: elsewhere these headers mean nothing.
    let right = basic("alice", "right");
    let seen = send(
        &strict,
        "generic.example",
        "GET /app/x",
        &[TRIPLE[0], &right],
    );
    assert_eq!(seen.lane(), Ok(Lane::User));
    assert!(seen.sent("X-Auth-Token").is_empty());
}

#[test]
fn upgrades_take_the_same_lanes() {
    let policy = usual();
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: streamlit",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Origin: https://connect.example",
    ];
    let right = basic("alice", "right");
    let cookie = session_cookie("staff");
    for (line, credential, expected) in [
        ("GET /app/ws", "X: y", NOT_LOGGED_IN),
        ("GET /app/ws", &*cookie, Ok(Lane::User)),
        ("GET /app/ws", &right, Ok(Lane::User)),
        (
            "GET /app/ws",
            "Authorization: Key k",
            Ok(Lane::ApiCredential),
        ),
        ("GET /app/public/ws", "X: y", Ok(Lane::Anonymous)),
    ] {
        let fields = [&upgrade[..], &[credential]].concat();
        let seen = send(&policy, "connect.example", line, &fields);
        assert_eq!(seen.lane(), expected, "{line} {credential}");
        if expected.is_ok() {
            assert!(seen.forward().websocket);
            let sent = seen.sent.as_ref().unwrap();
            assert!(sent.websocket, "a handshake before, a handshake after");
            assert_eq!(seen.sent("Connection"), ["Upgrade"]);
            assert_eq!(seen.sent("Upgrade"), ["websocket"]);
            assert_eq!(seen.sent("Sec-WebSocket-Protocol"), ["streamlit"]);
            assert_eq!(
                seen.sent("Sec-WebSocket-Extensions"),
                ["permessage-deflate"]
            );
        } else {
            assert_eq!(seen.refusal().form, crate::Form::Json);
        }
    }
}
