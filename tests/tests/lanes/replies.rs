//! What the gateway says when it answers by itself.

use gateway_tests::harness::{ALICE, Backend, HANDSHAKE, Request, Setup};

use crate::site::Site;

#[test]
fn unauthenticated_answers_are_of_use_to_who_asked() {
    let site = Site::start();
    let navigating = Request::get("/content/1/").navigating();
    let answer = site.gateway.ask(&navigating).expect(401);
    assert!(
        answer
            .field("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let challenge = answer
        .field("www-authenticate")
        .expect("a browser can ask for a password");
    assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
    let old =
        Request::get("/content/1/").field("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = site.gateway.ask(&old).expect(401);
    assert!(
        answer
            .field("content-type")
            .unwrap()
            .starts_with("text/html")
    );

    for request in [
        Request::get("/content/1/"),
        Request::get("/content/1/").field("Accept", "*/*"),
        Request::get("/content/1/").field("Accept", "application/json, text/html"),
        old.clone().field("X-Requested-With", "XMLHttpRequest"),
        old.field("Sec-Fetch-Mode", "cors"),
        Request::post("/content/1/", b"x")
            .field("Accept", "text/html")
            .field("Sec-Fetch-Mode", "cors"),
        Request::get("/__api__/users/current").navigating(),
        navigating.fields(HANDSHAKE),
        Request::get("/content/1/")
            .fields(HANDSHAKE)
            .field("Sec-Fetch-Mode", "websocket"),
    ] {
        let answer = site.gateway.ask(&request).expect_json(401);
        assert_eq!(
            answer.field("www-authenticate"),
            None,
            "no password prompt for a script"
        );
    }
    assert_eq!(site.backend.requests(), []);
}

#[test]
fn whatever_the_gateway_itself_says_is_not_stored() {
    let backend = Backend::answering(b"nonsense\r\n\r\n");
    let gateway = Setup::connect(&backend).start();
    for (status, request) in [
        (400, Request::get("/..").by(&ALICE)),
        (401, Request::get("/")),
        (401, Request::get("/").navigating()),
        (
            401,
            Request::get("/").field("Authorization", &ALICE.basic_with("wrong")),
        ),
        (
            417,
            Request::post("/", b"x")
                .by(&ALICE)
                .field("Expect", "miracle"),
        ),
        (421, Request::get("/").on("unknown.test")),
        (
            431,
            Request::get("/")
                .by(&ALICE)
                .field("X-Long", &"x".repeat(70_000)),
        ),
        (502, Request::get("/").by(&ALICE)),
        (502, Request::get("/").by(&ALICE).navigating()),
    ] {
        let answer = gateway.ask(&request).expect(status);
        assert_eq!(
            answer.field("cache-control"),
            Some("no-store"),
            "{answer:?}"
        );
        assert!(!answer.body.is_empty(), "{answer:?}");
        let text = answer.text();
        for secret in ["nonsense", ALICE.password, "127.0.0.1", "panicked"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn refusals_are_counted_by_reason() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    for (reason, request) in [
        ("ambiguous_path", Request::get("/..").by(&ALICE)),
        ("unauthenticated", Request::get("/")),
        (
            "wrong_credential",
            Request::get("/").field("Authorization", &ALICE.basic_with("wrong")),
        ),
        ("unknown_host", Request::get("/").on("unknown.test")),
        (
            "head_too_large",
            Request::get("/").field("X-Long", &"x".repeat(70_000)),
        ),
        (
            "bad_head",
            Request::get("/").field("Transfer-Encoding", "gzip"),
        ),
        (
            "expectation_failed",
            Request::post("/", b"x")
                .by(&ALICE)
                .field("Expect", "miracle"),
        ),
    ] {
        let before = gateway
            .metrics()
            .sum("connect_gateway_refusals_total", &[("reason", reason)]);
        gateway.ask(&request);
        gateway.counted(
            "connect_gateway_refusals_total",
            &[("reason", reason)],
            before + 1.0,
        );
        gateway.logged(reason, |line| line["reason"] == reason);
    }
    assert_eq!(backend.requests(), []);
}
