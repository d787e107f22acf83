//! What is checked before a lane: host, name in the handshake, mount.

use crate::testing::{app, basic, parse, policy, send, usual};
use crate::{Decision, Form, Lane, Policy, Reason, Refusal, Request, Spoofed, Step};

fn refused(policy: &Policy, text: &str, sni: Option<&str>) -> Option<Refusal> {
    let parsed = parse(text);
    let request = Request {
        head: &parsed.head,
        websocket: parsed.websocket,
        listener: 0,
        peer: crate::testing::CLIENT.parse().unwrap(),
        sni,
    };
    match policy.decide(&request) {
        Step::Decided(Decision::Respond(refusal)) => Some(refusal),
        Step::Decided(Decision::Forward(_)) => None,
        Step::Ask(question, _) => panic!("{question:?}"),
    }
}

#[test]
fn the_authority_belongs_to_the_handshakes_name() {
    let policy = usual();
    for (host, sni, expected) in [
        ("connect.example", None, None),
        ("connect.example", Some("connect.example"), None),
        ("Connect.Example:443", Some("connect.example"), None),
        ("connect.example.", Some("connect.example"), None),
        (
            "connect.example",
            Some("generic.example"),
            Some(Reason::Misdirected),
        ),
        (
            "connect.example",
            Some("example"),
            Some(Reason::Misdirected),
        ),
        ("connect.example", Some(""), Some(Reason::Misdirected)),
        (
            "unknown.example",
            Some("unknown.example"),
            Some(Reason::UnknownHost),
        ),
        (
            "unknown.example",
            Some("connect.example"),
            Some(Reason::UnknownHost),
        ),
        (
            "connect.example:8443",
            Some("connect.example"),
            Some(Reason::UnknownHost),
        ),
        ("[::1]", None, Some(Reason::UnknownHost)),
    ] {
        let text = format!("GET /app/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key k\r\n\r\n");
        let refusal = refused(&policy, &text, sni);
        assert_eq!(
            refusal.as_ref().map(|refusal| refusal.reason),
            expected,
            "{host} {sni:?}"
        );
        if let Some(refusal) = refusal {
            assert_eq!(policy.reply(&refusal, None).status, 421);
            assert_eq!(refusal.lane, Lane::Denied);
        }
    }
}

#[test]
fn an_ipv6_host_is_compared_without_its_port() {
    let policy = policy(vec![app("six", "https://[::1]:8443/")], Spoofed::Strip);
    let text = "GET / HTTP/1.1\r\nHost: [::1]:8443\r\nAuthorization: Key k\r\n\r\n";
    assert_eq!(refused(&policy, text, None), None);
    let refusal = refused(&policy, text, Some("a.example")).unwrap();
    assert_eq!(refusal.reason, Reason::Misdirected);
}

#[test]
fn a_mount_without_its_slash_is_redirected_with_the_query() {
    let policy = usual();
    let key = "Authorization: Key k";
    let seen = send(&policy, "connect.example", "POST /app?a=b", &[key]);
    assert_eq!(seen.lane(), Err(Reason::MountWithoutSlash));
    let reply = policy.reply(seen.refusal(), Some(b"a=b"));
    assert_eq!(reply.status, 307);
    let location = ("Location", "/app/?a=b".to_owned());
    assert!(reply.fields.contains(&location), "{:?}", reply.fields);
    for path in ["/", "/x", "/appx", "/App/"] {
        let seen = send(&policy, "connect.example", &format!("GET {path}"), &[key]);
        assert_eq!(seen.lane(), Err(Reason::NoMount), "{path}");
        assert_eq!(policy.reply(seen.refusal(), None).status, 404);
    }
}

#[test]
fn refusals_take_the_form_that_the_client_can_use() {
    let policy = usual();
    let browser = "Accept: text/html,*/*;q=0.8";
    for (line, fields, form, challenged) in [
        ("GET /app/", &[browser][..], Form::Html, true),
        ("GET /app/", &["Accept: */*"], Form::Json, false),
        ("GET /app/__api__/x", &[browser], Form::Json, false),
        (
            "GET /app/",
            &[browser, "X-Requested-With: XMLHttpRequest"],
            Form::Json,
            false,
        ),
    ] {
        let seen = send(&policy, "connect.example", line, fields);
        assert_eq!(seen.refusal().form, form, "{line} {fields:?}");
        let reply = policy.reply(seen.refusal(), None);
        let challenge = (
            "WWW-Authenticate",
            "Basic realm=\"staff\", charset=\"UTF-8\"".to_owned(),
        );
        assert_eq!(reply.fields.contains(&challenge), challenged);
        assert_eq!(reply.status, 401);
    }
}

#[test]
fn spoofing_is_refused_where_that_is_configured() {
    let policy = policy(crate::testing::apps(), Spoofed::Reject);
    let right = basic("alice", "right");
    for (peer, field, rejected) in [
        ("203.0.113.9", "X_Auth_Username: evil", true),
        ("203.0.113.9", "X-Forwarded-For: 1.2.3.4", true),
        ("203.0.113.9", "Content_Length: 5", true),
        ("203.0.113.9", "X-Other: fine", false),
        ("203.0.113.9", "X-Auth-Token: anonymous-access", false),
        (crate::testing::PROXY, "X-Forwarded-For: 1.2.3.4", false),
        (crate::testing::PROXY, "Forwarded: for=1.2.3.4", false),
        (crate::testing::PROXY, "X-Auth-Username: evil", true),
    ] {
        let seen = crate::testing::send_from(
            &policy,
            peer,
            "connect.example",
            "GET /app/x",
            &[field, &right],
        );
        let expected = if rejected {
            Err(Reason::SpoofedHeader)
        } else {
            Ok(Lane::User)
        };
        assert_eq!(seen.lane(), expected, "{peer} {field}");
        if rejected {
            let stripped = seen.refusal().stripped;
            assert_eq!(stripped.owned + stripped.aliases, 1);
            assert!(
                seen.questions.is_empty(),
                "refused before the password was looked at"
            );
        }
    }
}
