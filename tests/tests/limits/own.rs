//! Limits and time-outs that a listener or an app has for itself.

use std::time::Duration;

use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, GENERIC, HANDSHAKE, OK, Pool, Request, SWITCHING, Setup,
};

#[test]
fn a_listener_has_limits_of_its_own() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line("listeners = [\"public\", \"narrow\"]"))
        .line("limits", "header_fields = 20")
        .listener(
            "narrow",
            &["limits = { header_fields = 16, target = \"1KiB\" }"],
        )
        .start();
    let fields = |count: usize| {
        // Host and Authorization are fields, too.
        let plain = Request::get("/x").by(&ALICE);
        (2..count).fold(plain, |request, n| request.field(&format!("x-{n}"), "1"))
    };
    let long = Request::get(&format!("/{}", "p".repeat(1024))).by(&ALICE);
    let mut public = gateway.client();
    for request in [fields(17), fields(20), long.clone()] {
        public.ask(&request).expect(200);
    }
    public.ask(&fields(21)).expect(431);
    for (request, status) in [(fields(17), 431), (long, 414), (fields(16), 200)] {
        let mut narrow = gateway.client_by(gateway.address_of("narrow"));
        narrow.ask(&request).expect(status);
    }
}

#[test]
fn a_listener_waits_as_long_as_it_says() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line("listeners = [\"public\", \"hasty\"]"))
        .listener(
            "hasty",
            &["timeouts = { head = \"50ms\", idle = \"50ms\" }"],
        )
        .start();
    let mut patient = gateway.client();
    patient.send(b"GET / HTTP/1.1\r\n");
    let mut resting = gateway.client();
    resting.ask(&Request::get("/").by(&ALICE)).expect(200);

    let mut hasty = gateway.client_by(gateway.address_of("hasty"));
    hasty.send(b"GET / HTTP/1.1\r\n");
    hasty.answer().expect(408);
    let mut hasty = gateway.client_by(gateway.address_of("hasty"));
    hasty.ask(&Request::get("/").by(&ALICE)).expect(200);
    hasty.expect_clean_end();

    patient.send(b"Host: connect.test\r\n\r\n");
    patient.answer().expect(401);
    resting.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn a_listener_judges_bodies_by_what_it_says() {
    let backend = Backend::recording();
    let rates = [
        (
            "rated",
            "limits = { body_rate = 10000, body_window = \"200ms\" }",
            "body_too_slow",
        ),
        ("short", "timeouts = { body = \"300ms\" }", "body_timeout"),
    ];
    let setup = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line("listeners = [\"public\", \"rated\", \"short\"]"));
    let gateway = rates
        .iter()
        .fold(setup, |setup, (name, line, _)| {
            setup.listener(name, &[line])
        })
        .start();
    let upload = Request::new("POST", "/x").by(&ALICE);
    let begin = upload.field("Content-Length", "10").bytes();
    let mut patient = gateway.client();
    patient.send(&begin);
    for (name, _, reason) in rates {
        let mut client = gateway.client_by(gateway.address_of(name));
        client.send(&begin);
        client.answer().expect(408);
        gateway.logged(name, |line| line["reason"] == reason);
    }
    patient.send(&[b'x'; 10]).answer().expect(200);
}

#[test]
fn an_app_keeps_idle_tunnels_for_as_long_as_it_says() {
    let backend = Backend::scripted(|conn| {
        if conn.request().is_some() {
            conn.send(SWITCHING);
            conn.read_out();
        }
    });
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect())
        .app(App::generic("connect").line("timeouts = { tunnel = \"200ms\" }"))
        .start();
    let open = |host: &str| {
        let mut client = gateway.client_for(host);
        let handshake = Request::get("/ws").on(host).by(&ALICE).fields(HANDSHAKE);
        let handshake = handshake.field("Origin", &format!("https://{host}"));
        client.send(&handshake.bytes());
        assert_eq!(client.answer_head().status, 101);
        client
    };
    let mut kept = open(CONNECT);
    open(GENERIC).expect_end();
    assert!(kept.is_silent(Duration::from_millis(1)));
    let tunnels = gateway.metrics().sum("connect_gateway_tunnels_open", &[]);
    assert_eq!(tunnels, 1.0);
}

#[test]
fn an_app_may_be_silent_for_as_long_as_it_says() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            if request.target.starts_with("/slow") {
                std::thread::sleep(Duration::from_millis(400));
            }
            conn.send(OK);
        }
    });
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect())
        .app(App::generic("connect").line("timeouts = { answer = \"50ms\" }"))
        .start();
    let slow = Request::get("/slow").by(&ALICE);
    gateway.ask(&slow).expect(200);
    let answer = gateway.ask_on(GENERIC, slow);
    answer.expect_json(504);
}
