use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use policy::Fault;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::telemetry::access_log::redact::SECRETS;

const ENTRY: Entry<'_> = Entry {
    time_micros: 1_795_348_800_000_042,
    request_id: "7f3a-1",
    client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    listener: "public",
    app: Some("connect"),
    lane: Lane::User,
    reason: None,
    user: Some("alice"),
    deploy_token: None,
    method: b"GET",
    host: b"connect.example.com",
    path: b"/content/1/",
    query: Some(b"a=1&token=S3CRET"),
    protocol: Protocol::H1,
    status: 200,
    bytes_in: 0,
    bytes_out: 1234,
    duration_micros: 5678,
    first_byte_micros: Some(4321),
    upstream: Some("http://127.0.0.1:3939"),
    upstream_status: Some(200),
    upstream_micros: Some(4000),
    websocket: false,
    user_agent: Some(b"curl/8.5.0"),
    stripped: Stripped {
        owned: 1,
        aliases: 2,
        credentials: 3,
    },
    answer_stripped: 4,
    error: None,
};

fn line(entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    entry.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn value(entry: &Entry<'_>) -> Value {
    let line = line(entry);
    let object = line.strip_suffix('\n').expect("a line break at the end");
    assert!(!object.chars().any(char::is_control), "{object:?}");
    serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"))
}

/// Fields, their order and their spelling.
#[test]
fn the_line_is_an_api() {
    let expected = concat!(
        r#"{"time":"2026-11-22T12:00:00.000042Z","request_id":"7f3a-1","client":"192.0.2.7","#,
        r#""listener":"public","app":"connect","lane":"user","reason":null,"user":"alice","#,
        r#""token_id":null,"method":"GET","host":"connect.example.com","path":"/content/1/","#,
        r#""query":"a=1&token=***","protocol":"h1","status":200,"bytes_in":0,"bytes_out":1234,"#,
        r#""duration_us":5678,"first_byte_us":4321,"upstream":"http://127.0.0.1:3939","#,
        r#""upstream_status":200,"upstream_us":4000,"websocket":false,"#,
        r#""user_agent":"curl/8.5.0","#,
        r#""stripped":{"owned":1,"alias":2,"credential":3,"answer":4},"error":null}"#,
        "\n",
    );
    assert_eq!(line(&ENTRY), expected);
}

#[test]
fn refusals_and_failures() {
    let entry = Entry {
        app: None,
        lane: Lane::Denied,
        reason: Some(Reason::Upstream(Fault::Tls)),
        user: None,
        query: None,
        status: 0,
        error: Some("invalid peer certificate: Expired"),
        ..ENTRY
    };
    let value = value(&entry);
    assert_eq!(value["app"], Value::Null);
    assert_eq!(value["user"], Value::Null);
    assert_eq!(value["query"], Value::Null);
    assert_eq!(value["status"], Value::Null, "no answer was sent");
    assert_eq!(value["reason"], "upstream_tls");
    assert_eq!(value["error"], "invalid peer certificate: Expired");
}

#[test]
fn a_deploy_token_is_shortened_and_logged_on_its_lane_only() {
    let token: Option<&[u8]> = Some(b"T0123456789abcdef0123456789abcdef");
    for lane in Lane::ALL {
        let line = line(&Entry {
            lane,
            deploy_token: token,
            ..ENTRY
        });
        if lane == Lane::SignedDeploy {
            assert!(line.contains(r#""token_id":"T0123456…""#), "{line}");
        } else {
            assert!(line.contains(r#""token_id":null"#), "{line}");
        }
        assert!(!line.contains("789abcdef"), "{line}");
    }
}

/// Nothing that a client sends makes a line that is longer than a batch.
#[test]
fn a_line_is_bounded() {
    let long = vec![0x1b; 1 << 16];
    let text = String::from_utf8(long.clone()).unwrap();
    let entry = Entry {
        method: &long,
        host: &long,
        path: &long,
        query: Some(&long),
        user_agent: Some(&long),
        request_id: &text,
        user: Some(&text),
        error: Some(&text),
        ..ENTRY
    };
    let value = value(&entry);
    for (key, bytes) in [
        ("path", 2048),
        ("query", 2048),
        ("user_agent", 200),
        ("error", 1024),
    ] {
        let shown = value[key].as_str().unwrap();
        assert_eq!(shown, format!("{}…", "\u{1b}".repeat(bytes)), "{key}");
    }
    assert!(line(&entry).len() < 48 * 1024);
}

#[test]
fn mapped_addresses_are_plain_ones() {
    let client = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
    assert_eq!(value(&Entry { client, ..ENTRY })["client"], "192.0.2.7");
    let client = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert_eq!(value(&Entry { client, ..ENTRY })["client"], "::1");
}

/// `docs/access-log.md` lists every field and every secret name, and no field that is not there.
#[test]
fn documented() {
    let docs = include_str!("../../../../../docs/access-log.md");
    let rows = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<_> = rows.collect();
    let value = value(&ENTRY);
    let fields: BTreeSet<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(listed, fields);
    for secret in SECRETS {
        assert!(
            docs.contains(&format!("`{secret}`")),
            "docs/access-log.md lacks `{secret}`"
        );
    }
}

prop_compose! {
    fn bytes()(bytes in proptest::collection::vec(any::<u8>(), 0..60)) -> Vec<u8> { bytes }
}

proptest! {
    /// Whatever comes from outside, a line is one JSON object whose fields say what was given.
    #[test]
    fn a_line_round_trips(
        [method, host, user_agent] in [bytes(), bytes(), bytes()],
        // Without `=` and `%` there is nothing to redact.
        [path, query] in ["[^=%]{0,40}", "[^=%]{0,40}"],
        [request_id, user, error] in [".{0,40}", ".{0,40}", ".{0,40}"],
        [bytes_in, bytes_out, duration_micros]: [u64; 3],
        time_micros: u64,
        first_byte_micros: Option<u64>,
        status in 1_u16..,
        websocket: bool,
    ) {
        let method = method.get(..32).unwrap_or(&method);
        let entry = Entry {
            time_micros, request_id: &request_id, user: Some(&user), error: Some(&error),
            method, host: &host, user_agent: Some(&user_agent), path: path.as_bytes(),
            query: Some(query.as_bytes()), status, bytes_in, bytes_out, duration_micros,
            first_byte_micros, websocket, ..ENTRY
        };
        let value = value(&entry);
        for (key, expected) in [
            ("method", method), ("host", &host), ("user_agent", &user_agent),
            ("path", path.as_bytes()), ("query", query.as_bytes()),
            ("request_id", request_id.as_bytes()), ("user", user.as_bytes()),
            ("error", error.as_bytes()),
        ] {
            prop_assert_eq!(value[key].as_str(), Some(&*String::from_utf8_lossy(expected)), "{}", key);
        }
        prop_assert_eq!(value["bytes_in"].as_u64(), Some(bytes_in));
        prop_assert_eq!(value["bytes_out"].as_u64(), Some(bytes_out));
        prop_assert_eq!(value["duration_us"].as_u64(), Some(duration_micros));
        prop_assert_eq!(value["first_byte_us"].as_u64(), first_byte_micros);
        prop_assert_eq!(value["status"].as_u64(), Some(status.into()));
        prop_assert_eq!(value["websocket"].as_bool(), Some(websocket));
        prop_assert_eq!(value.as_object().unwrap().len(), 26);
    }
}
