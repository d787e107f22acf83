//! Sessions: whose, from which cookie, and that no back-end sees them.

use crate::testing::{SESSION, basic, head, run, send, session_cookie, session_text, usual};
use crate::{Lane, Outcome, Question, Reason, SessionToken};

#[test]
fn a_session_of_another_realm_counts_as_absent() {
    let policy = usual();
    for (host, realm) in [("generic.example", "staff"), ("connect.example", "guests")] {
        let cookie = session_cookie(realm);
        let seen = send(&policy, host, "GET /app/x", &[&cookie]);
        assert_eq!(seen.lane(), Err(Reason::Unauthenticated));
        assert!(
            seen.questions.is_empty(),
            "another realm's cookie is not even looked up"
        );
        // On a path that needs none, it is not passed on either.
        let seen = send(&policy, host, "GET /app/public/x", &[&cookie]);
        assert_eq!(seen.lane(), Ok(Lane::Anonymous));
        assert!(seen.sent("Cookie").is_empty());
    }
    // The token of one realm under the cookie's name of another: the question names the realm.
    let seen = send(
        &policy,
        "generic.example",
        "GET /app/x",
        &[&session_cookie("guests")],
    );
    let token = SessionToken::new(SESSION);
    assert_eq!(seen.questions, [Question::Session { realm: 1, token }]);
    assert_eq!(seen.lane(), Err(Reason::Unauthenticated));
}

#[test]
fn gateway_cookies_are_removed_and_others_keep_their_bytes() {
    let policy = usual();
    let live = session_text(SESSION);
    let staff = format!("__Host-gateway-staff={live}");
    for (lines, expected) in [
        (vec![format!("Cookie: {staff}")], None),
        (
            vec![format!("Cookie: a=1; {staff}; b=\"2 3\"")],
            Some("a=1; b=\"2 3\""),
        ),
        (vec![format!("Cookie: a=1;{staff};;b")], Some("a=1; b")),
        (
            vec![
                "Cookie: a=1".to_owned(),
                format!("Cookie: {staff}"),
                "Cookie: b=2".to_owned(),
            ],
            Some("a=1; b=2"),
        ),
        (
            vec![format!("cookie: {staff}"), format!("COOKIE: {staff}; c=3")],
            Some("c=3"),
        ),
        (
            vec![format!(
                "Cookie: {staff}; __host-GATEWAY-x=1; __Host-gatewayx=2"
            )],
            Some("__Host-gatewayx=2"),
        ),
        // What Publisher echoes.
        (
            vec![format!("Cookie: {staff}; Path=/; HttpOnly; SameSite=Lax")],
            Some("Path=/; HttpOnly; SameSite=Lax"),
        ),
        // Nameless cookies, whose value a back-end may read as name and value.
        (
            vec![format!(
                "Cookie: {staff}; =__Host-gateway-staff=x; a=1; HttpOnly"
            )],
            Some("a=1"),
        ),
        (
            vec![format!("Cookie: {staff}; __Host-gateway-staff; a=1")],
            Some("a=1"),
        ),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let seen = send(&policy, "connect.example", "GET /app/x", &lines);
        assert_eq!(seen.lane(), Ok(Lane::User), "{lines:?}");
        assert_eq!(
            seen.sent("Cookie"),
            expected.into_iter().collect::<Vec<_>>(),
            "{lines:?}"
        );
    }
}

#[test]
fn cookies_without_the_gateways_pass_as_they_came() {
    let policy = usual();
    let lines = ["Cookie: a = 1 ;; b", "cookie: =c; x=__Host-gateway-staff"];
    let seen = send(&policy, "connect.example", "GET /app/public/x", &lines);
    assert_eq!(
        seen.sent("Cookie"),
        ["a = 1 ;; b", "=c; x=__Host-gateway-staff"]
    );
}

#[test]
fn sessions_that_differ_count_as_none() {
    let policy = usual();
    let live = session_text(SESSION);
    let other = session_text([2; 32]);
    for (value, expected) in [
        (
            format!("__Host-gateway-staff={live}; __Host-gateway-staff={live}"),
            Ok(Lane::User),
        ),
        (
            format!("__Host-gateway-staff={live}; __Host-gateway-staff={other}"),
            Err(Reason::Unauthenticated),
        ),
        (
            format!("__Host-gateway-staff={other}; __Host-gateway-staff={live}"),
            Err(Reason::Unauthenticated),
        ),
        (
            format!("__Host-gateway-staff={live}; __Host-gateway-staff=junk"),
            Err(Reason::Unauthenticated),
        ),
        // The name is exact: browsers keep these apart, too.
        (
            format!("__host-gateway-staff={live}"),
            Err(Reason::Unauthenticated),
        ),
        (
            format!("=__Host-gateway-staff={live}"),
            Err(Reason::Unauthenticated),
        ),
        (
            format!("__Host-gateway-staff=\"{live}\""),
            Err(Reason::Unauthenticated),
        ),
        (
            format!("__Host-gateway-staff={live}="),
            Err(Reason::Unauthenticated),
        ),
        (
            "__Host-gateway-staff=".to_owned(),
            Err(Reason::Unauthenticated),
        ),
    ] {
        let seen = send(
            &policy,
            "connect.example",
            "GET /app/x",
            &[&format!("Cookie: {value}")],
        );
        assert_eq!(seen.lane(), expected, "{value}");
    }
}

#[test]
fn a_password_begins_a_session_unless_the_request_carries_it() {
    let policy = usual();
    let right = basic("alice", "right");
    let begun = Some(SessionToken::new([9; 32]));
    let carried = format!("Cookie: __Host-gateway-staff={}", session_text([9; 32]));
    let stale = session_cookie("staff");
    for (line, cookie, lane, expected) in [
        ("GET /app/x", "X: y", Lane::User, begun),
        ("GET /app/x", &*stale, Lane::User, begun),
        ("GET /app/x", &carried, Lane::User, None),
        // Whoever brings another credential keeps no session.
        (
            "GET /app/x",
            "X-RSC-Authorization: k",
            Lane::ApiCredential,
            None,
        ),
    ] {
        let seen = send(&policy, "connect.example", line, &[&right, cookie]);
        assert_eq!(seen.lane(), Ok(lane));
        assert_eq!(seen.forward().set_session, expected, "{cookie}");
        let is_password = |question: &Question| matches!(question, Question::Password { .. });
        assert!(seen.questions.len() == 1 && is_password(&seen.questions[0]));
        let mut out = bytes::BytesMut::new();
        seen.forward().own_fields(&policy, false).write(&mut out);
        let set = match expected {
            Some(token) => format!(
                "Set-Cookie: __Host-gateway-staff={}; Path=/; Secure; HttpOnly; SameSite=Lax\r\n\
                 Cache-Control: private\r\n",
                std::str::from_utf8(&token.encode()).unwrap(),
            ),
            None => String::new(),
        };
        assert_eq!(out, set);
    }
    let seen = send(&policy, "connect.example", "GET /app/x", &[&stale]);
    assert_eq!(seen.forward().set_session, None);
}

#[test]
fn the_password_question_says_who_where_and_whence() {
    let policy = usual();
    let seen = send(
        &policy,
        "generic.example",
        "GET /app/x",
        &[&basic("bob", "a:b")],
    );
    assert_eq!(
        seen.questions,
        [Question::Password {
            realm: 1,
            user: "bob".into(),
            password: "a:b".into(),
            client: crate::testing::CLIENT.parse().unwrap(),
        }]
    );
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let policy = usual();
    let right = basic("alice", "right");
    let cookie = session_cookie("staff");
    for field in [&right, &cookie] {
        for (outcome, reason, status) in [
            (
                Outcome::Limited { retry_after: 30 },
                Reason::TooManyFailures { retry_after: 30 },
                429,
            ),
            (Outcome::Unavailable, Reason::AuthUnavailable, 503),
        ] {
            for line in [
                "GET /app/x",
                "GET /app/public/x",
                "GET /app/__api__/server_settings",
            ] {
                let text = head("connect.example", line, &[field]);
                let peer = crate::testing::CLIENT.parse().unwrap();
                let seen = run(&policy, peer, &text, |_| outcome.clone());
                assert_eq!(seen.lane(), Err(reason), "{line}");
                let reply = policy.reply(seen.refusal(), None);
                assert_eq!(reply.status, status);
                assert!(reply.fields.iter().any(|(name, _)| *name == "Retry-After"));
            }
        }
    }
}
