//! How often a key may ask.

use gateway_tests::harness::{ALICE, App, BOB, Backend, Client, Gateway, Pool, Request, Setup};

#[test]
fn each_key_has_its_quota() {
    let key = |secret: &str| Request::get("/x").field("Authorization", &format!("Key {secret}"));
    for (rate, label, one, other) in [
        (
            "key = \"address\", per_minute = 2",
            "rate_limited_address",
            (HERE, Request::get("/x").by(&ALICE)),
            (ELSEWHERE, Request::get("/x").by(&ALICE)),
        ),
        (
            "key = \"user\", per_minute = 2",
            "rate_limited_user",
            (HERE, Request::get("/x").by(&ALICE)),
            (HERE, Request::get("/x").by(&BOB)),
        ),
        (
            "key = \"token\", per_minute = 2",
            "rate_limited_token",
            (HERE, key("aaaaaaaaaaaaaaaaaaaa")),
            (HERE, key("bbbbbbbbbbbbbbbbbbbb")),
        ),
        (
            "key = \"lane\", per_minute = 2",
            "rate_limited_lane",
            (HERE, key("aaaaaaaaaaaaaaaaaaaa")),
            (HERE, Request::get("/x").by(&ALICE)),
        ),
        (
            "key = \"address\", per_minute = 2, lanes = [\"api_credential\"]",
            "rate_limited_address",
            (HERE, key("aaaaaaaaaaaaaaaaaaaa")),
            (HERE, Request::get("/x").by(&ALICE)),
        ),
        (
            // A burst is what may come at once.
            "key = \"user\", per_minute = 4, burst = 2",
            "rate_limited_user",
            (HERE, Request::get("/x").by(&ALICE)),
            (HERE, Request::get("/x").by(&BOB)),
        ),
    ] {
        let backend = Backend::recording();
        let gateway = limited(&backend, rate);
        let mut client = from(&gateway, one.0);
        for _ in 0..2 {
            client.ask(&one.1).expect(200);
        }
        let answer = client.ask(&one.1).expect_json(429);
        let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&seconds), "{rate}: {seconds}");
        // On every connection, in the form that the client can use.
        let page = from(&gateway, one.0)
            .ask(&one.1.clone().navigating())
            .expect(429);
        assert!(page.text().contains("<h1>Too many requests</h1>"));
        gateway.counted(REFUSALS, &[("reason", label)], 2.0);
        let line = gateway.logged("the reason", |line| line["reason"] == label);
        assert_eq!(line["status"], 429);
        assert_eq!(backend.take().len(), 2, "{rate}");
        // Others are let through, and so is this one on the same connection.
        from(&gateway, other.0).ask(&other.1).expect(200);
        client.ask(&one.1).expect(429);
    }
}

/// Each app has its own rates, and whoever is not let in is not counted.
#[test]
fn rates_count_what_is_let_through_to_the_app() {
    let backend = Backend::recording();
    let url = "https://connect.test/other/";
    let rate = "rate = [{ key = \"address\", per_minute = 2 }]";
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line(rate))
        .app(App::new("other", "generic", url, "staff", "connect"))
        .start();
    for _ in 0..4 {
        gateway.ask(&Request::get("/x")).expect(401);
        gateway
            .ask(&Request::get("/other/x").by(&ALICE))
            .expect(200);
    }
    for status in [200, 200, 429] {
        gateway.ask(&Request::get("/x").by(&ALICE)).expect(status);
    }
}

fn limited(backend: &Backend, rate: &str) -> Gateway {
    Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line(&format!("rate = [{{ {rate} }}]")))
        .start()
}

fn from(gateway: &Gateway, source: &str) -> Client {
    gateway.client_over(gateway.tcp_from(source))
}

const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "127.0.0.2";
const REFUSALS: &str = "connect_gateway_refusals_total";
