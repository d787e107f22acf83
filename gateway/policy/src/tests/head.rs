//! The head that the back-end receives, to the byte.

use bytes::BytesMut;
use wire::h1::Body;

use crate::testing::{
    CLIENT, MONITOR, PROXY, TRIPLE, apps, basic, head, knows_alice, parse, policy, send, send_from,
    session_cookie, usual,
};
use crate::{Decision, HeaderName, Policy, Request, RequestId, Spoofed, Step};

/// The text that goes to the back-end.
fn emitted(policy: &Policy, peer: &str, text: &str) -> String {
    let parsed = parse(text);
    let request = Request {
        head: &parsed.head,
        websocket: parsed.websocket,
        listener: 0,
        peer: peer.parse().unwrap(),
        sni: None,
    };
    let mut step = policy.decide(&request);
    let forward = loop {
        match step {
            Step::Ask(question, pending) => {
                step = pending.resume(policy, &request, knows_alice(&question));
            }
            Step::Decided(Decision::Forward(forward)) => break forward,
            Step::Decided(Decision::Respond(refusal)) => panic!("{refusal:?}"),
        }
    };
    let mut out = BytesMut::new();
    let id = RequestId::choose(&parsed.head, "fresh-id");
    forward.write_head(policy, &request, parsed.body, id, &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn a_visitors_request() {
    let cookie = format!("{}; rsconnect=1", session_cookie("staff"));
    let fields = [
        "User-Agent: test",
        "X-Auth-Username: evil",
        &cookie,
        "Connection: keep-alive",
        "X-Correlation-Id: theirs-1.2_3",
        "Accept: */*",
    ];
    let text = head("connect.example:443", "GET /app/a%20b?x=/y", &fields);
    assert_eq!(
        emitted(&usual(), CLIENT, &text),
        "GET /app/a%20b?x=/y HTTP/1.1\r\n\
         Host: connect.example:443\r\n\
         User-Agent: test\r\n\
         Accept: */*\r\n\
         Cookie: rsconnect=1\r\n\
         X-RSC-Request: https://connect.example/app/a%20b?x=/y\r\n\
         X-Forwarded-For: 203.0.113.9\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: connect.example\r\n\
         X-Forwarded-Port: 443\r\n\
         Forwarded: for=203.0.113.9;host=\"connect.example\";proto=https\r\n\
         X-Real-IP: 203.0.113.9\r\n\
         X-Correlation-Id: theirs-1.2_3\r\n\
         X-Auth-Username: alice\r\n\
         \r\n"
    );
}

#[test]
fn a_request_whose_mount_is_stripped() {
    let text = head(
        "deployr.example",
        "PUT /app/a//b;c?",
        &[&basic("alice", "right"), "Content-Length: 3"],
    );
    assert_eq!(
        emitted(&usual(), "2001:db8::1", &text),
        "PUT /a//b;c? HTTP/1.1\r\n\
         Host: deployr.example\r\n\
         Content-Length: 3\r\n\
         X-Forwarded-For: 2001:db8::1\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: deployr.example\r\n\
         X-Forwarded-Port: 443\r\n\
         X-Forwarded-Prefix: /app\r\n\
         Forwarded: for=\"[2001:db8::1]\";host=\"deployr.example\";proto=https\r\n\
         X-Real-IP: 2001:db8::1\r\n\
         X-Correlation-Id: fresh-id\r\n\
         X-Secret-User: alice\r\n\
         \r\n"
    );
}

#[test]
fn a_signed_deployment_keeps_its_bytes() {
    let fields = [
        &TRIPLE[..],
        &[
            "Content-Type: application/x-gzip",
            "Transfer-Encoding: chunked",
        ],
    ]
    .concat();
    let line = "POST /app/__api__/a%2Fb/upload?filter=account_id:7&x=%7E";
    let text = head("connect.example", line, &fields);
    let sent = emitted(&usual(), CLIENT, &text);
    assert!(sent.starts_with(&format!("{line} HTTP/1.1\r\n")));
    for field in TRIPLE {
        assert!(sent.contains(&format!("\r\n{field}\r\n")), "{field}");
    }
    assert!(sent.contains("\r\nContent-Type: application/x-gzip\r\n"));
    assert!(sent.contains("\r\nTransfer-Encoding: chunked\r\n"));
    let original = "https://connect.example/app/__api__/a%2Fb/upload?filter=account_id:7&x=%7E";
    assert!(sent.contains(&format!("\r\nX-RSC-Request: {original}\r\n")));
    assert!(!sent.contains("X-Auth-Username"));
}

#[test]
fn the_body_is_framed_from_what_was_parsed() {
    for (fields, body, expected) in [
        (&[][..], Body::Empty, None),
        (
            &["Content-Length: 0"][..],
            Body::Zero,
            Some("Content-Length: 0"),
        ),
        (
            &["Content-Length: 18446744073709551615"],
            Body::Length(u64::MAX),
            Some("Content-Length: 18446744073709551615"),
        ),
        (
            &["Transfer-Encoding: Chunked"],
            Body::Chunked,
            Some("Transfer-Encoding: chunked"),
        ),
    ] {
        let fields = [fields, &["Authorization: Key k"]].concat();
        let text = head("connect.example", "POST /app/x", &fields);
        // A length beyond i64 may be refused by the parser: then there is nothing to forward.
        if wire::h1::parse_request(text.clone().into(), Vec::new()).is_err() {
            assert_eq!(body, Body::Length(u64::MAX));
            continue;
        }
        assert_eq!(parse(&text).body, body);
        let sent = emitted(&usual(), CLIENT, &text);
        let framing: Vec<&str> = sent
            .split("\r\n")
            .filter(|line| {
                line.starts_with("Content-Length") || line.starts_with("Transfer-Encoding")
            })
            .collect();
        assert_eq!(framing, expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn hop_by_hop_fields_end_here() {
    let fields = [
        "Connection: close, X-Custom, Accept, te",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
        "TE: trailers",
        "Trailer: X-Auth-Username",
        "Proxy: http://evil.example",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "X-Custom: 1",
        "x-CUSTOM: 2",
        "Accept: */*",
        "X-Customs: 3",
        "Authorization: Key k",
    ];
    let seen = send(&usual(), "connect.example", "POST /app/x", &fields);
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Proxy",
        "Expect",
        "Upgrade",
        "X-Custom",
        "Accept",
    ] {
        assert!(seen.sent(name).is_empty(), "{name}");
    }
    assert_eq!(seen.sent("X-Customs"), ["3"]);
    assert_eq!(seen.sent("Authorization"), ["Key k"]);
}

#[test]
fn connection_cannot_remove_what_decides_or_what_is_injected() {
    let mut listed =
        "Connection: Host, Date, Authorization, Cookie, Content-Type, Content-Length, \
                      X-Auth-Token, X-Auth-Signature, X-Content-Checksum, X-RSC-Authorization, \
                      X-Auth-Username, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, \
                      X-Forwarded-Port, Forwarded, X-Real-IP, X-RSC-Request, X-Correlation-Id, \
                      Sec-WebSocket-Key, Sec-WebSocket-Protocol"
            .to_owned();
    let policy = usual();
    let triple = [
        &TRIPLE[..],
        &[
            &listed,
            "Cookie: a=1",
            "Content-Type: text/x",
            "Content-Length: 1",
            "Sec-WebSocket-Protocol: p",
        ],
    ]
    .concat();
    let seen = send(&policy, "connect.example", "POST /app/__api__/x", &triple);
    for (name, count) in [
        ("Date", 1),
        ("X-Auth-Token", 1),
        ("X-Auth-Signature", 1),
        ("X-Content-Checksum", 1),
        ("Cookie", 1),
        ("Content-Type", 1),
        ("Content-Length", 1),
        ("Sec-WebSocket-Protocol", 1),
        ("Host", 1),
        ("X-RSC-Request", 1),
        ("X-Forwarded-For", 1),
        ("X-Forwarded-Port", 1),
        ("Forwarded", 1),
        ("X-Real-IP", 1),
        ("X-Correlation-Id", 1),
        ("X-Auth-Username", 0),
    ] {
        assert_eq!(seen.sent(name).len(), count, "{name}");
    }
    let right = basic("alice", "right");
    let seen = send(&policy, "connect.example", "GET /app/x", &[&listed, &right]);
    assert_eq!(seen.sent("X-Auth-Username"), ["alice"]);
    listed += ", close";
    let key = [&*listed, "X-RSC-Authorization: k"];
    let seen = send(&policy, "connect.example", "GET /app/x", &key);
    assert_eq!(seen.sent("X-RSC-Authorization"), ["k"]);
}

#[test]
fn the_client_is_the_socket_unless_a_trusted_proxy_says_otherwise() {
    let policy = usual();
    let key = "Authorization: Key k";
    for (peer, fields, expected) in [
        (CLIENT, &["X-Forwarded-For: 1.1.1.1"][..], CLIENT),
        (
            CLIENT,
            &["Forwarded: for=1.1.1.1", "X-Real-IP: 1.1.1.1"],
            CLIENT,
        ),
        ("::ffff:203.0.113.9", &[], CLIENT),
        (
            PROXY,
            &["X-Forwarded-For: 1.1.1.1, 198.51.100.7"],
            "198.51.100.7",
        ),
        (
            "::ffff:10.0.0.1",
            &["X-Forwarded-For: 198.51.100.7"],
            "198.51.100.7",
        ),
        (PROXY, &["X_Forwarded_For: 198.51.100.7"], PROXY),
        (PROXY, &["X-Real-IP: 198.51.100.7"], PROXY),
        (PROXY, &[], PROXY),
    ] {
        let fields = [fields, &[key]].concat();
        let seen = send_from(&policy, peer, "connect.example", "GET /app/x", &fields);
        assert_eq!(
            seen.forward().client.to_string(),
            expected,
            "{peer} {fields:?}"
        );
        assert_eq!(seen.sent("X-Forwarded-For"), [expected]);
        assert_eq!(seen.sent("X-Real-IP"), [expected]);
        let forwarded = format!("for={expected};host=\"connect.example\";proto=https");
        assert_eq!(seen.sent("Forwarded"), [forwarded]);
    }
    // A monitor behind the proxy is a monitor; the proxy itself is none.
    let via = format!("X-Forwarded-For: {MONITOR}");
    let line = "GET /app/__ping__";
    let seen = send_from(&policy, PROXY, "connect.example", line, &[&via]);
    assert_eq!(seen.lane(), Ok(crate::Lane::Health));
    let seen = send_from(&policy, PROXY, "connect.example", line, &[]);
    assert!(seen.lane().is_err());
}

#[test]
fn nothing_that_the_client_sends_names_the_origin() {
    let mut apps = apps();
    apps[0].aliases = Box::new([wire::Authority::parse(b"alias.example").unwrap()]);
    let policy = policy(apps, Spoofed::Strip);
    let fields = [
        "Authorization: Key k",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: http",
    ];
    let seen = send(&policy, "alias.example", "GET /app/x", &fields);
    assert_eq!(seen.sent("Host"), ["alias.example"]);
    assert_eq!(
        seen.sent("X-RSC-Request"),
        ["https://connect.example/app/x"]
    );
    assert_eq!(seen.sent("X-Forwarded-Host"), ["connect.example"]);
    assert_eq!(seen.sent("X-Forwarded-Proto"), ["https"]);
}

#[test]
fn only_connect_is_told_the_original_url() {
    let right = basic("alice", "right");
    for host in ["deployr.example", "generic.example"] {
        let spoofed = "X-RSC-Request: https://evil.example/";
        let seen = send(&usual(), host, "GET /app/x", &[&right, spoofed]);
        assert!(seen.sent("X-RSC-Request").is_empty(), "{host}");
    }
}

#[test]
fn request_ids_that_are_unsafe_to_log_are_replaced() {
    let long = "a".repeat(65);
    let longest = "a".repeat(64);
    for (values, expected) in [
        (&[][..], "fresh"),
        (&["Abc-1._"][..], "Abc-1._"),
        (&[&*longest], &longest),
        (&[&*long], "fresh"),
        (&[""], "fresh"),
        (&["a b"], "fresh"),
        (&["a\"b"], "fresh"),
        (&["a", "b"], "fresh"),
    ] {
        let lines: Vec<String> = values
            .iter()
            .map(|value| format!("X-Correlation-ID: {value}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let parsed = parse(&head("a.example", "GET /", &lines));
        assert_eq!(
            RequestId::choose(&parsed.head, "fresh").as_str(),
            expected,
            "{values:?}"
        );
    }
}

#[test]
fn each_app_has_its_own_secret_header_and_all_are_owned() {
    let mut apps = apps();
    apps[2].identity.username = HeaderName::new("X-Other-Secret").unwrap();
    let policy = policy(apps, Spoofed::Strip);
    let right = basic("alice", "right");
    let fields = [
        &*right,
        "X-Secret-User: evil",
        "X_Other_Secret: evil",
        "x-auth-username: evil",
    ];
    for (host, header) in [
        ("connect.example", "X-Auth-Username"),
        ("deployr.example", "X-Secret-User"),
        ("generic.example", "X-Other-Secret"),
    ] {
        let seen = send(&policy, host, "GET /app/x", &fields);
        for name in [
            "X-Auth-Username",
            "X-Secret-User",
            "X-Other-Secret",
            "X_Other_Secret",
        ] {
            let expected: &[&str] = if name == header { &["alice"] } else { &[] };
            assert_eq!(seen.sent(name), expected, "{host} {name}");
        }
    }
}
