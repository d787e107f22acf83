//! Heads: their fields, their target, their size.

use gateway_tests::harness::{ALICE, Backend, Request, Setup};

#[test]
fn heads_are_limited_in_fields_target_and_size() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "max_head = \"8KiB\"")
        .line("limits", "header_fields = 16")
        .line("limits", "target = \"1KiB\"")
        .start();
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    let fields = |count: usize| {
        // Host and Authorization are fields, too.
        let numbers = 0..count - 2;
        let plain = Request::get("/x").by(&ALICE);
        numbers.fold(plain, |request, n| request.field(&format!("x-{n}"), "1"))
    };
    let target = |target: String| Request::get(&target).by(&ALICE);
    for (request, refused) in [
        (fields(16), None),
        (fields(17), Some((431, "head_too_large"))),
        (fields(129), Some((431, "head_too_large"))),
        (target(path(1024)), None),
        (target(path(1025)), Some((414, "target_too_long"))),
        (target(format!("{}?{}", path(512), "q".repeat(511))), None),
        (
            target(format!("{}?{}", path(512), "q".repeat(512))),
            Some((414, "target_too_long")),
        ),
        (target(path(20_000)), Some((414, "target_too_long"))),
        (
            fields(3).field("cookie", &"c".repeat(9000)),
            Some((431, "head_too_large")),
        ),
    ] {
        let mut client = gateway.client();
        let Some((status, reason)) = refused else {
            client.ask(&request).expect(200);
            backend.one();
            client.ask(&Request::get("/next").by(&ALICE)).expect(200);
            backend.one();
            continue;
        };
        let labels = [("reason", reason)];
        let before = gateway.metrics().sum(REFUSALS, &labels);
        let answer = client.ask(&request).expect_json(status);
        assert_eq!(answer.field("connection"), Some("close"));
        client.expect_clean_end();
        gateway.counted(REFUSALS, &labels, before + 1.0);
        assert_eq!(backend.requests(), []);
    }
    gateway.logged("the reason", |line| line["reason"] == "target_too_long");
    let page = gateway.ask(&target(path(1025)).navigating()).expect(414);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn answers_are_limited_in_fields() {
    for (count, status) in [(16, 200), (17, 502)] {
        let backend = Backend::scripted(move |conn| {
            while conn.request().is_some() {
                let fields: String = (1..count).map(|n| format!("x-{n}: 1\r\n")).collect();
                conn.send(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n").as_bytes(),
                );
            }
        });
        let gateway = Setup::connect(&backend)
            .line("limits", "header_fields = 16")
            .start();
        gateway.ask(&Request::get("/x").by(&ALICE)).expect(status);
        if status == 502 {
            gateway.counted(REFUSALS, &[("reason", "upstream_bad_answer")], 1.0);
            gateway.logged("the limit", |line| {
                let error = line["error"].as_str();
                error.is_some_and(|error| error.contains("too many fields"))
            });
        }
    }
}

const REFUSALS: &str = "connect_gateway_refusals_total";
