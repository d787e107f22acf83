//! What operators see: metrics, health, logs. Names are an API; secrets are nowhere.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use gateway_tests::harness::{
    ALICE, App, BOB, Backend, CAROL, DEPLOYR, Gateway, HANDSHAKE, OK, Pool, Request, Setup, poll,
};

#[test]
fn metric_names_and_labels_are_an_api() {
    let backend = Backend::recording();
    let gateway = busy(&backend);
    let metrics = gateway.metrics();
    let shapes = metrics.shapes();
    let expected = [
        ("accept_failures_total", &["listener"][..]),
        ("access_log_dropped_total", &["cause"]),
        ("auth_failures_total", &["cause"]),
        ("build_info", &["version"]),
        ("bytes_total", &["app", "direction"]),
        ("connections_open", &["listener"]),
        ("connections_refused_total", &["listener", "reason"]),
        ("connections_total", &["listener"]),
        ("password_hashes_total", &[]),
        ("proxy_protocol_errors_total", &["listener"]),
        ("ready", &[]),
        ("refusals_total", &["reason"]),
        ("request_duration_seconds_bucket", &["app", "lane", "le"]),
        ("request_duration_seconds_count", &["app", "lane"]),
        ("request_duration_seconds_sum", &["app", "lane"]),
        ("requests_total", &["app", "lane", "protocol", "status"]),
        ("session_cuts_total", &[]),
        ("sessions", &[]),
        ("slow_clients_total", &["direction"]),
        ("stripped_headers_total", &["kind"]),
        ("tls_handshake_failures_total", &["listener"]),
        ("tunnels_ended_total", &["reason"]),
        ("tunnels_open", &[]),
        ("tunnels_total", &[]),
        ("upstream_connections_total", &["kind", "pool"]),
        ("upstream_errors_total", &["cause", "pool"]),
        ("upstream_in_flight", &["pool"]),
        ("upstream_queued", &["pool"]),
    ];
    let expected = expected.iter().map(|(name, labels)| {
        let labels: Vec<_> = labels.iter().map(|&label| label.to_owned()).collect();
        (format!("connect_gateway_{name}"), labels)
    });
    assert_eq!(Vec::from_iter(shapes), Vec::from_iter(expected));
    for line in metrics.text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, _) = rest.split_once(' ').unwrap();
            assert!(
                metrics.text.contains(&format!("# HELP {name} ")),
                "{name} says nothing"
            );
        }
    }
}

#[test]
fn labels_hold_no_names_and_no_addresses() {
    let backend = Backend::recording();
    let gateway = busy(&backend);
    for value in gateway.metrics().label_values() {
        for forbidden in [
            ALICE.name,
            BOB.name,
            "mallory",
            "127.0.0.1",
            "/",
            "connect.test",
        ] {
            assert!(!value.contains(forbidden), "{value}");
        }
    }
}

#[test]
fn requests_are_counted_by_app_lane_and_status() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    gateway
        .ask(&Request::post("/", &[b'x'; 1000]).by(&ALICE))
        .expect(200);
    gateway
        .ask(&Request::get("/").field("Authorization", "Key abcdefgh"))
        .expect(200);
    gateway.ask(&Request::get("/")).expect(401);
    gateway
        .ask(&Request::get("/").on("unknown.test"))
        .expect(421);
    for (app, lane, status, count) in [
        ("connect", "user", "2xx", 2.0),
        ("connect", "api_credential", "2xx", 1.0),
        ("connect", "denied", "4xx", 1.0),
        ("none", "denied", "4xx", 1.0),
    ] {
        let labels = [
            ("app", app),
            ("lane", lane),
            ("status", status),
            ("protocol", "h1"),
        ];
        let counted = gateway.counted("connect_gateway_requests_total", &labels, count);
        assert_eq!(counted, count, "{labels:?}");
    }
    let metrics = gateway.metrics();
    let sum = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels);
    assert_eq!(
        sum(
            "connect_gateway_bytes_total",
            &[("app", "connect"), ("direction", "in")]
        ),
        1000.0
    );
    assert_eq!(
        sum(
            "connect_gateway_request_duration_seconds_count",
            &[("lane", "user")]
        ),
        2.0
    );
    assert_eq!(
        sum(
            "connect_gateway_connections_total",
            &[("listener", "public")]
        ),
        5.0
    );
    assert_eq!(
        sum(
            "connect_gateway_upstream_connections_total",
            &[("pool", "connect")]
        ),
        3.0
    );
    poll::until("no connection is open", || {
        (gateway
            .metrics()
            .sum("connect_gateway_connections_open", &[])
            == 0.0)
            .then_some(())
    });
}

#[test]
fn failed_handshakes_are_counted() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let mut plain = gateway_tests::harness::Client::plain(gateway.address());
    plain.send(b"GET / HTTP/1.1\r\nHost: connect.test\r\n\r\n");
    gateway.counted(
        "connect_gateway_tls_handshake_failures_total",
        &[("listener", "public")],
        1.0,
    );
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn health_and_metrics_have_a_listener_of_their_own() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    for path in ["/healthz", "/readyz"] {
        let answer = gateway.ask_admin(path).expect(200);
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    let answer = gateway.ask_admin("/metrics").expect(200);
    assert!(
        answer
            .field("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    gateway.ask_admin("/").expect(404);
    gateway.ask_admin("/metrics/").expect(404);
    let post = Request::post("/metrics", b"x")
        .on("admin")
        .field("Connection", "close");
    gateway_tests::harness::Client::plain(gateway.admin())
        .ask(&post)
        .expect(405);
    for path in ["/healthz", "/readyz", "/metrics"] {
        gateway.ask(&Request::get(path)).expect_json(401);
        gateway.ask(&Request::get(path).by(&ALICE)).expect(200);
        assert_eq!(backend.one().target, path, "it is the application's");
    }
}

#[test]
fn the_access_log_says_what_happened() {
    let backend = Backend::answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    let gateway = Setup::connect(&backend).start();
    let request = Request::post("/content/1/?a=b", b"12345")
        .by(&ALICE)
        .field("User-Agent", "a test")
        .field("X-Forwarded-For", "evil")
        .field("X_Auth_Token", "evil")
        .field("X-Auth-Token", "anonymous-access");
    gateway.ask(&request).expect(404);
    let line = gateway.logged("the request", |line| line["path"] == "/content/1/");
    let mut keys: Vec<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "app",
            "bytes_in",
            "bytes_out",
            "client",
            "duration_us",
            "error",
            "first_byte_us",
            "host",
            "lane",
            "listener",
            "method",
            "path",
            "protocol",
            "query",
            "reason",
            "request_id",
            "status",
            "stripped",
            "time",
            "token_id",
            "upstream",
            "upstream_status",
            "upstream_us",
            "user",
            "user_agent",
            "websocket",
        ]
    );
    let upstream = format!("http://{}", backend.address());
    for (key, expected) in [
        ("app", "connect"),
        ("client", "127.0.0.1"),
        ("host", "connect.test"),
        ("lane", "user"),
        ("listener", "public"),
        ("method", "POST"),
        ("protocol", "h1"),
        ("query", "a=b"),
        ("upstream", upstream.as_str()),
        ("user", "alice"),
        ("user_agent", "a test"),
    ] {
        assert_eq!(line[key], expected, "{line}");
    }
    assert_eq!(
        (line["status"].as_u64(), line["upstream_status"].as_u64()),
        (Some(404), Some(404))
    );
    assert_eq!(
        (line["bytes_in"].as_u64(), line["bytes_out"].as_u64()),
        (Some(5), Some(4))
    );
    assert_eq!(line["stripped"]["owned"], 1);
    assert_eq!(line["stripped"]["alias"], 1);
    assert_eq!(line["stripped"]["credential"], 1);
    assert!(line["reason"].is_null() && line["error"].is_null());
    let time = |key: &str| line[key].as_u64().unwrap();
    assert!(
        time("upstream_us") <= time("duration_us") && time("first_byte_us") <= time("duration_us"),
        "{line}"
    );
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    let id = line["request_id"].as_str().unwrap();
    assert_eq!(backend.one().field("x-correlation-id"), Some(id));
}

#[test]
fn correlation_ids_are_passed_on_if_they_are_harmless() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    for id in ["abc-123", "A.b_c", &"x".repeat(64)] {
        gateway
            .ask(&Request::get("/").by(&ALICE).field("X-Correlation-Id", id))
            .expect(200);
        assert_eq!(backend.one().field("x-correlation-id"), Some(id));
        gateway.logged("the id", |line| line["request_id"] == id);
    }
    for id in [
        "",
        "a b",
        "a\"b",
        "a,b",
        "a=b",
        &"x".repeat(65),
        "\u{202e}abc",
    ] {
        gateway
            .ask(&Request::get("/").by(&ALICE).field("X-Correlation-Id", id))
            .expect(200);
        let received = backend.one();
        let chosen = received.field("x-correlation-id").expect("one of its own");
        assert!(!chosen.is_empty() && chosen != id);
        gateway.logged("its own id", |line| line["request_id"] == chosen);
    }
}

#[test]
fn audit_log_injection() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let agents = [
        "\" , \"user\":\"admin",
        "\\\",\"x\":\"",
        "a\tb",
        "\u{202e}gnp.exe",
        "\u{2028}x",
        "\u{9b}31m",
        "\u{feff}",
    ];
    // One connection is served by one worker, whose lines are in order.
    let mut client = gateway.client();
    for agent in agents {
        client
            .ask(
                &Request::get("/a?b=\"c\\\u{202e}")
                    .by(&ALICE)
                    .field("User-Agent", agent),
            )
            .expect(200);
    }
    let lines = poll::until("all are logged", || {
        let lines = gateway.access_log();
        (lines.len() == agents.len()).then_some(lines)
    });
    let text = gateway.prepared.dir.read("stdout");
    for harmful in [
        '\u{202e}', '\u{2028}', '\u{9b}', '\u{feff}', '\u{7f}', '\t', '\r',
    ] {
        assert!(!text.contains(harmful), "{harmful:?} in {text}");
    }
    for (line, agent) in lines.iter().zip(agents) {
        assert_eq!(line["user"], ALICE.name);
        assert_eq!(line["user_agent"], agent, "a parser gives it back");
    }
}

#[test]
fn no_secret_is_ever_logged() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            match request.target.split('?').next() {
                Some("/broken") => return,
                Some("/moved") => conn.send(b"HTTP/1.1 302 Found\r\nLocation: /x?code=s3cret-location\r\nContent-Length: 0\r\nSet-Cookie: a=s3cret-set-cookie\r\n\r\n"),
                Some("/garbage") => conn.send(b"s3cret-garbage\r\n\r\n"),
                _ => conn.send(OK),
            };
        }
    });
    let gateway = Setup::new()
        .line("log", "level = \"debug\"")
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().lane("bearer = true"))
        .app(App::deployr("connect").lane("deployr_login = true"))
        .start();
    let answer = gateway.ask(&Request::get("/login").by(&ALICE)).expect(200);
    let cookie = answer
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let token = "Tabcdef0123456789abcdef012345678";
    let query = "/q?token=s3cret-1&refreshToken=s3cret-2&code=s3cret-3&state=s3cret-4&api_key=s3cret-5\
                 &signature=s3cret-6&SAMLResponse=s3cret-7&key=s3cret-8&%74oken=s3cret-9";
    let requests = [
        Request::get("/wrong").field("Authorization", &ALICE.basic_with("s3cret-wrong")),
        Request::get("/claimed").by(&gateway_tests::harness::User {
            name: "s3cret-as-name",
            ..ALICE
        }),
        Request::get("/malformed").field("Authorization", "Basic s3cretbase64"),
        Request::get("/cookie").field("Cookie", &format!("{cookie}; other=s3cret-cookie")),
        Request::get("/key").field("Authorization", "Key s3cret-key"),
        Request::get("/rsc").field("X-RSC-Authorization", "s3cret-rsc"),
        Request::get("/bearer").field("Authorization", "Bearer s3cret.bearer"),
        Request::get("/other").field("Authorization", "Negotiate s3cret-negotiate"),
        Request::get(query).by(&ALICE),
        Request::get("/moved")
            .by(&ALICE)
            .field("Referer", "https://x/?code=s3cret-referer"),
        Request::get("/broken?code=s3cret-broken").by(&ALICE),
        Request::get("/garbage?code=s3cret-garbage2").by(&ALICE),
        Request::post("/body", b"s3cret-body").by(&ALICE),
        Request::get("/ws?token=s3cret-ws")
            .fields(HANDSHAKE)
            .field("Cookie", &cookie),
        Request::get("/bad head s3cret-head"),
        Request::get("/__api__/signed").fields(&[
            ("Date", "Sun, 22 Nov 2026 09:30:00 GMT"),
            ("X-Auth-Token", token),
            ("X-Auth-Signature", "czNjcmV0LXNpZ25hdHVyZQ=="),
            ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ]),
        Request::get("/stripped")
            .by(&ALICE)
            .field("X-Auth-Token", token),
        Request::get("/spoofed")
            .by(&ALICE)
            .field("X-Auth-Username", "s3cret-spoof"),
    ];
    for request in &requests {
        gateway.ask(request);
    }
    let refresh = Request::new("DELETE", "/login/refreshToken?refreshToken=s3cret-refresh");
    gateway.ask_on(DEPLOYR, refresh).expect(200);
    let wanted = requests.len() + 2;
    poll::until("all are logged", || {
        (gateway.access_log().len() >= wanted).then_some(())
    });
    let log = gateway.prepared.dir.read("stdout") + &gateway.process_log();
    let encoded = ALICE.basic();
    let (_, session) = cookie.split_once('=').unwrap();
    for secret in [
        "s3cret",
        ALICE.password,
        encoded.strip_prefix("Basic ").unwrap(),
        session,
        token,
        &token[..16],
        "czNjcmV0LXNpZ25hdHVyZQ",
        ALICE.hash,
    ] {
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
    // What may be said is said.
    let line = gateway.logged("the deployment", |line| line["lane"] == "signed_deploy");
    assert!(
        line["token_id"].as_str().unwrap().starts_with(&token[..8]),
        "{line}"
    );
}

#[test]
fn the_access_log_can_be_a_file_that_is_rotated() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("log", "access = \"access.log\"")
        .start();
    gateway.ask(&Request::get("/first").by(&ALICE)).expect(200);
    let read = |name: &str| gateway.prepared.dir.read(name);
    poll::until("the first is logged", || {
        read("access.log").contains("/first").then_some(())
    });
    let path = gateway.prepared.dir.path().join("access.log");
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    gateway.hang_up();
    poll::until("the file is opened anew", || path.exists().then_some(()));
    gateway.ask(&Request::get("/second").by(&ALICE)).expect(200);
    poll::until("the second is logged", || {
        read("access.log").contains("/second").then_some(())
    });
    assert!(!read("access.1").contains("/second"));
    assert_eq!(read("stdout"), "");
}

#[test]
fn the_access_log_can_be_off() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("log", "access = \"off\"")
        .start();
    for _ in 0..3 {
        gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    gateway.counted("connect_gateway_requests_total", &[("lane", "user")], 3.0);
    assert_eq!(gateway.access_log(), [serde_json::Value::Null; 0]);
}

/// A gateway to which a bit of everything has happened.
fn busy(backend: &Backend) -> Gateway {
    let gateway = Setup::connect(backend).start();
    for user in [ALICE, BOB, CAROL] {
        gateway.ask(&Request::get("/page").by(&user)).expect(200);
    }
    gateway
        .ask(&Request::get("/").field("Authorization", &ALICE.basic_with("x")))
        .expect(401);
    let mallory = gateway_tests::harness::User {
        name: "mallory",
        ..ALICE
    };
    gateway.ask(&Request::get("/").by(&mallory)).expect(401);
    gateway
        .ask(&Request::get("/__api__/server_settings"))
        .expect(200);
    gateway
        .ask(&Request::get("/ws").by(&ALICE).fields(HANDSHAKE))
        .expect(200);
    gateway
}
