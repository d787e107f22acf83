//! The legs to the back-ends: plain, TLS, mutual TLS, what can be wrong with each, and when a
//! request is sent twice.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use gateway_tests::harness::{
    ALICE, App, Authority, Backend, DEPLOYR, Gateway, OK, Pool, Request, Setup, accept,
    accept_clients_of,
};

#[test]
fn plain_verified_and_mutual_tls_all_work() {
    let ca = Authority::new("back-end CA");
    let leaf = ca.server(&["127.0.0.1", "localhost"]);
    let plain = Backend::recording();
    let verified = Backend::recording_tls(accept(&leaf));
    let mutual = Backend::recording_tls(accept_clients_of(ca.der(), &leaf));
    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    ca.client("front-end").write(setup.path(), "auth");
    let url = |backend: &Backend| format!("https://localhost:{}", backend.address().port());
    let gateway = setup
        .pool(Pool::plain("plain", plain.address()))
        .pool(Pool::tls(
            "verified",
            "back-ca.pem",
            &[(&url(&verified), &[])],
        ))
        .pool(Pool::tls("mutual", "back-ca.pem", &[(&url(&mutual), &[])]).mutual("auth"))
        .app(app("plain", "/plain/"))
        .app(app("verified", "/verified/"))
        .app(app("mutual", "/mutual/"))
        .start();
    for (backend, target) in [
        (&plain, "/plain/x"),
        (&verified, "/verified/x"),
        (&mutual, "/mutual/x"),
    ] {
        let mut client = gateway.client_for(DEPLOYR);
        for _ in 0..3 {
            client
                .ask(&Request::get(target).on(DEPLOYR).by(&ALICE))
                .expect(200);
            client
                .ask(
                    &Request::post(target, &[b'x'; 100_000])
                        .on(DEPLOYR)
                        .by(&ALICE),
                )
                .expect(200);
        }
        let received = backend.take();
        assert_eq!(received.len(), 6, "{target}");
        assert!(
            received
                .iter()
                .all(|one| one.field("x-auth-username") == Some(ALICE.name))
        );
        assert_eq!(
            backend.connections(),
            1,
            "{target}: TLS connections are kept, too"
        );
    }
}

#[test]
fn one_certificate_for_all_servers_or_one_for_each() {
    let ca = Authority::new("back-end CA");
    let other_ca = Authority::new("the CA of the second");
    // One multi-domain certificate; each server still has its own expected name.
    let san = ca.server(&["one.internal", "two.internal"]);
    let shared = [(); 2].map(|()| Backend::recording_tls(accept_clients_of(ca.der(), &san)));
    // A certificate, an authority and a client certificate for each.
    let own = [
        Backend::recording_tls(accept_clients_of(ca.der(), &ca.server(&["one.internal"]))),
        Backend::recording_tls(accept_clients_of(
            other_ca.der(),
            &other_ca.server(&["two.internal"]),
        )),
    ];
    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    setup.write("other-ca.pem", &other_ca.pem());
    ca.client("front-end").write(setup.path(), "auth");
    other_ca
        .client("front-end")
        .write(setup.path(), "other-auth");
    let url = |backend: &Backend| format!("https://{}", backend.address());
    let (one, two) = (
        "expected_name = \"one.internal\"",
        "expected_name = \"two.internal\"",
    );
    let gateway = setup
        .pool(
            Pool::tls(
                "shared",
                "back-ca.pem",
                &[(&url(&shared[0]), &[one]), (&url(&shared[1]), &[two])],
            )
            .mutual("auth"),
        )
        .pool(
            Pool::tls(
                "own",
                "back-ca.pem",
                &[
                    (
                        &url(&own[0]),
                        &[
                            one,
                            "client_certificate = \"auth.pem\"",
                            "client_key = \"auth.key\"",
                        ],
                    ),
                    (
                        &url(&own[1]),
                        &[
                            two,
                            "ca = \"other-ca.pem\"",
                            "client_certificate = \"other-auth.pem\"",
                            "client_key = \"other-auth.key\"",
                        ],
                    ),
                ],
            )
            .mutual_per_server(),
        )
        .app(app("shared", "/shared/"))
        .app(app("own", "/own/"))
        .start();
    for (target, backends) in [("/shared/", &shared), ("/own/", &own)] {
        for _ in 0..8 {
            gateway
                .ask_on(DEPLOYR, Request::get(target).by(&ALICE))
                .expect(200);
        }
        for backend in backends {
            assert!(
                !backend.take().is_empty(),
                "{target}: the servers take turns"
            );
        }
    }
    assert_eq!(
        gateway
            .metrics()
            .sum("connect_gateway_upstream_errors_total", &[]),
        0.0
    );
}

#[test]
fn a_wrong_authority_is_refused() {
    let [ours, theirs] = ["ours", "theirs"].map(Authority::new);
    let backend = Backend::recording_tls(accept(&theirs.server(&["127.0.0.1"])));
    let gateway = verifying(&backend, &ours, "https://{}", &[]);
    fails(&gateway, &["UnknownIssuer"]);
    assert_eq!(backend.raw(), b"");
    let backend = Backend::recording_tls(accept(&ours.server(&["127.0.0.1"])));
    works(&verifying(&backend, &ours, "https://{}", &[]));
}

#[test]
fn a_wrong_name_is_refused() {
    let ca = Authority::new("back-end CA");
    let backend = Backend::recording_tls(accept(&ca.server(&["other.internal", "*.internal"])));
    let gateway = verifying(
        &backend,
        &ca,
        "https://{}",
        &["expected_name = \"back.end.internal\""],
    );
    fails(&gateway, &["not valid for name", "back.end.internal"]);
    let gateway = verifying(&backend, &ca, "https://{}", &[]);
    fails(&gateway, &["not valid for name", "127.0.0.1"]);
    assert_eq!(backend.raw(), b"");
    works(&verifying(
        &backend,
        &ca,
        "https://{}",
        &["expected_name = \"other.internal\""],
    ));
}

#[test]
fn an_expired_server_certificate_is_refused() {
    let ca = Authority::new("back-end CA");
    let backend = Backend::recording_tls(accept(&ca.expired_server(&["127.0.0.1"])));
    let gateway = verifying(&backend, &ca, "https://{}", &[]);
    fails(&gateway, &["certificate expired"]);
    assert_eq!(backend.raw(), b"");
}

#[test]
fn a_client_certificate_is_no_servers() {
    // The right authority and the right name do not make it one.
    let ca = Authority::new("back-end CA");
    let backend = Backend::recording_tls(accept(&ca.client("127.0.0.1")));
    let gateway = verifying(&backend, &ca, "https://{}", &[]);
    fails(&gateway, &["127.0.0.1", "certificate"]);
    assert_eq!(backend.raw(), b"");
}

#[test]
fn a_missing_client_certificate_is_reported() {
    let ca = Authority::new("back-end CA");
    let leaf = ca.server(&["127.0.0.1"]);
    let backend = Backend::recording_tls(accept_clients_of(ca.der(), &leaf));
    let gateway = verifying(&backend, &ca, "https://{}", &[]);
    fails(&gateway, &["CertificateRequired"]);
    assert_eq!(backend.raw(), b"");
}

#[test]
fn an_expired_client_certificate_is_reported() {
    let ca = Authority::new("back-end CA");
    let backend = Backend::recording_tls(accept_clients_of(ca.der(), &ca.server(&["127.0.0.1"])));
    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    ca.expired_client("front-end").write(setup.path(), "auth");
    let url = format!("https://{}", backend.address());
    let gateway = setup
        .pool(Pool::tls("back", "back-ca.pem", &[(&url, &[])]).mutual("auth"))
        .app(app("back", "/"))
        .start();
    fails(&gateway, &["CertificateExpired"]);
    assert_eq!(backend.raw(), b"");
}

#[test]
fn a_client_certificate_of_another_authority_is_reported() {
    let [ours, theirs] = ["ours", "theirs"].map(Authority::new);
    let backend = Backend::recording_tls(accept_clients_of(
        theirs.der(),
        &ours.server(&["127.0.0.1"]),
    ));
    let setup = Setup::new();
    setup.write("back-ca.pem", &ours.pem());
    ours.client("front-end").write(setup.path(), "auth");
    let url = format!("https://{}", backend.address());
    let gateway = setup
        .pool(Pool::tls("back", "back-ca.pem", &[(&url, &[])]).mutual("auth"))
        .app(app("back", "/"))
        .start();
    fails(&gateway, &["UnknownCA"]);
    assert_eq!(backend.raw(), b"");
}

#[test]
fn plain_and_tls_are_not_mistaken_for_each_other() {
    let ca = Authority::new("back-end CA");
    // TLS to a server that speaks none.
    let backend = Backend::scripted(|conn| {
        conn.exactly(5);
        conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    fails(
        &verifying(&backend, &ca, "https://{}", &[]),
        &["127.0.0.1", "TLS"],
    );
    // No TLS to a server that demands it.
    let backend = Backend::recording_tls(accept(&ca.server(&["127.0.0.1"])));
    let gateway = Setup::new()
        .pool(Pool::plain("back", backend.address()))
        .app(app("back", "/"))
        .start();
    gateway
        .ask_on(DEPLOYR, Request::get("/").by(&ALICE))
        .expect_json(502);
    assert!(!backend.saw(ALICE.name.as_bytes()));
}

#[test]
fn what_cannot_be_reached_is_named() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let at = |url: &str| {
        let setup = Setup::new();
        let pool = Pool::plain("back", address).at(url);
        setup.pool(pool).app(app("back", "/")).start()
    };
    let gateway = at(&format!("http://{address}"));
    gateway
        .ask_on(DEPLOYR, Request::get("/").by(&ALICE))
        .expect_json(502);
    gateway.said(&[&address.to_string(), "refused", "upstream_connect"]);
    let gateway = at("http://no-such-host.invalid:80");
    gateway
        .ask_on(DEPLOYR, Request::get("/").by(&ALICE))
        .expect_json(502);
    gateway.said(&["no-such-host.invalid", "upstream_resolve"]);
    gateway.counted(
        "connect_gateway_upstream_errors_total",
        &[("cause", "upstream_resolve")],
        1.0,
    );
}

#[test]
fn a_dead_server_is_passed_over() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = unused.local_addr().unwrap();
    drop(unused);
    let alive = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("back", dead).and(&format!("http://{}", alive.address())))
        .app(app("back", "/"))
        .start();
    for _ in 0..6 {
        gateway
            .ask_on(DEPLOYR, Request::post("/", b"once").by(&ALICE))
            .expect(200);
    }
    assert_eq!(alive.take().len(), 6);
}

#[test]
fn a_kept_connection_that_ended_is_made_anew_for_safe_requests() {
    // The back-end answers one request on each connection, then ends it when the next one comes,
    // without a word: what a server does whose idle time-out ran out.
    let backend = Backend::scripted(|conn| {
        if conn.request().is_some() && conn.send(OK) {
            conn.head();
        }
    });
    let gateway = Setup::new()
        .line("gateway", "workers = 1")
        .pool(Pool::plain("back", backend.address()))
        .app(app("back", "/"))
        .start();
    let mut client = gateway.client_for(DEPLOYR);
    for method in ["GET", "HEAD", "OPTIONS"] {
        let request = Request::new(method, "/").on(DEPLOYR).by(&ALICE);
        client.ask(&request).expect(200);
        client.ask(&request).expect(200);
    }
    backend.take();
    // What might have been acted upon is not sent again.
    for request in [
        Request::post("/", b"x"),
        Request::new("POST", "/"),
        Request::new("DELETE", "/"),
        Request::get("/").with_body(b"x"),
        Request::new("PROPFIND", "/"),
    ] {
        let warm = Request::new("POST", "/warm").on(DEPLOYR).by(&ALICE);
        // A 502 ends the connection if the request had a body. Whatever the gateway keeps from
        // before is used up first.
        let mut client = gateway.client_for(DEPLOYR);
        while client.ask(&warm).status != 200 {}
        client
            .ask(&request.clone().on(DEPLOYR).by(&ALICE))
            .expect_json(502);
        let targets: Vec<_> = backend.take().into_iter().map(|one| one.target).collect();
        assert!(
            targets.iter().all(|target| target == "/warm"),
            "{targets:?}"
        );
    }
    gateway.counted(
        "connect_gateway_upstream_errors_total",
        &[("cause", "upstream_closed")],
        5.0,
    );
}

#[test]
fn a_request_is_sent_twice_at_most() {
    // Every connection ends without an answer, also the new one.
    let backend = Backend::scripted(|conn| {
        let first = conn.index() == 0;
        if first && conn.request().is_some() {
            conn.send(OK);
        }
        conn.head();
    });
    let gateway = Setup::new()
        .line("gateway", "workers = 1")
        .pool(Pool::plain("back", backend.address()))
        .app(app("back", "/"))
        .start();
    let mut client = gateway.client_for(DEPLOYR);
    let request = Request::get("/").on(DEPLOYR).by(&ALICE);
    client.ask(&request).expect(200);
    client.ask(&request).expect_json(502);
    assert_eq!(backend.connections(), 2);
    // On a new connection there is no second try at all.
    client.ask(&request).expect_json(502);
    assert_eq!(backend.connections(), 3);
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let backend = Backend::scripted(|conn| {
        if conn.request().is_some() && conn.send(OK) && conn.request().is_some() {
            conn.send(b"HTTP/1.1 2");
        }
    });
    let gateway = Setup::new()
        .line("gateway", "workers = 1")
        .pool(Pool::plain("back", backend.address()))
        .app(app("back", "/"))
        .start();
    let mut client = gateway.client_for(DEPLOYR);
    let request = Request::get("/").on(DEPLOYR).by(&ALICE);
    client.ask(&request).expect(200);
    client.ask(&request).expect_json(502);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn application_errors_pass_as_they_are() {
    for status in [
        "404 Not Found",
        "500 Oh",
        "502 Bad Gateway",
        "503 Booting",
        "401 Unauthorized",
        "418 ",
    ] {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: 5\r\nWWW-Authenticate: Key\r\nX-App: 1\r\n\r\nstate"
        );
        let backend = Backend::answering(answer.leak().as_bytes());
        let gateway = Setup::connect(&backend).start();
        let answer = gateway.ask(&Request::get("/content/1/").by(&ALICE));
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(
            (answer.text().as_str(), answer.field("x-app")),
            ("state", Some("1"))
        );
        assert_eq!(answer.field("www-authenticate"), Some("Key"));
        assert_eq!(
            gateway
                .metrics()
                .sum("connect_gateway_upstream_errors_total", &[]),
            0.0
        );
    }
}

/// An app of kind `deployr` before the pool of the same name.
fn app(pool: &str, mount: &str) -> App {
    App::new(
        pool,
        "deployr",
        &format!("https://{DEPLOYR}{mount}"),
        "staff",
        pool,
    )
}

/// A gateway that reaches the back-end over TLS and trusts `ca`.
fn verifying(backend: &Backend, ca: &Authority, url: &str, lines: &[&str]) -> Gateway {
    let setup = Setup::new();
    setup.write("back-ca.pem", &ca.pem());
    let url = url.replace("{}", &backend.address().to_string());
    setup
        .pool(Pool::tls("back", "back-ca.pem", &[(&url, lines)]))
        .app(app("back", "/"))
        .start()
}

#[track_caller]
fn works(gateway: &Gateway) {
    gateway
        .ask_on(DEPLOYR, Request::get("/").by(&ALICE))
        .expect(200);
}

/// The TLS to the back-end fails: the client learns that it did, the operator why.
#[track_caller]
fn fails(gateway: &Gateway, why: &[&str]) {
    for request in [
        Request::get("/"),
        Request::post("/", b"x"),
        Request::get("/").navigating(),
    ] {
        let answer = gateway.ask_on(DEPLOYR, request.by(&ALICE)).expect(502);
        let shown = format!("{:?}{}", answer.fields, answer.text());
        for part in why
            .iter()
            .chain(&["127.0.0.1", "internal", "pem", "certificate", "Alert"])
        {
            assert!(!shown.contains(part), "{shown}");
        }
    }
    gateway.said(&[&["back-end failed", "upstream_tls"], why].concat());
    let line = gateway.logged("the failure", |line| line["reason"] == "upstream_tls");
    let error = line["error"].as_str().unwrap_or_default().to_lowercase();
    for part in why {
        assert!(error.contains(&part.to_lowercase()), "{line}");
    }
    let labels = [("cause", "upstream_tls"), ("pool", "back")];
    gateway.counted("connect_gateway_upstream_errors_total", &labels, 3.0);
}
