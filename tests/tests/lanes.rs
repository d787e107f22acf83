//! The lane table (domain §3), cell by cell, and the answers that the gateway itself gives.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use gateway_tests::harness::{
    ALICE, App, BOB, Backend, CONNECT, DEPLOYR, GENERIC, Gateway, HANDSHAKE, OTHER, Pool, Request,
    Setup,
};

#[test]
fn the_lane_table() {
    let site = Site::start();
    let cookie = site.cookie(CONNECT);
    let get = Request::get;
    let post = |target: &str| Request::post(target, b"{}");
    let key = |request: Request| request.field("Authorization", "Key abcdefgh");
    let rsc_key = |request: Request| request.field("X-RSC-Authorization", "Key abcdefgh");
    let signed = |request: Request| request.fields(TRIPLE);
    let session = |request: Request| request.field("Cookie", &cookie);
    let cases = [
        // H
        ("health", CONNECT, get("/__ping__")),
        ("health", CONNECT, key(get("/__ping__"))),
        ("denied", CONNECT, post("/__ping__")),
        ("denied", CONNECT, get("/__ping__/")),
        ("denied", DEPLOYR, get("/__ping__")),
        ("denied", GENERIC, get("/__ping__")),
        // B
        (
            "signed_deploy",
            CONNECT,
            signed(get("/__api__/users/current")),
        ),
        (
            "signed_deploy",
            CONNECT,
            signed(post("/__api__/applications/7/upload")),
        ),
        (
            "signed_deploy",
            CONNECT,
            session(signed(get("/__api__/users/current"))),
        ),
        (
            "signed_deploy",
            CONNECT,
            signed(get("/__api__/server_settings")),
        ),
        ("denied", CONNECT, signed(get("/content/1/"))),
        ("denied", CONNECT, signed(get("/__api__"))),
        (
            "denied",
            CONNECT,
            get("/__api__/users/current").fields(&TRIPLE[1..]),
        ),
        (
            "denied",
            CONNECT,
            get("/__api__/users/current").fields(&TRIPLE[..3]),
        ),
        (
            "denied",
            CONNECT,
            signed(get("/__api__/users/current")).fields(&TRIPLE[1..2]),
        ),
        (
            "denied",
            CONNECT,
            signed(get("/__api__/users/current")).fields(&TRIPLE[2..3]),
        ),
        (
            "denied",
            CONNECT,
            signed(get("/__api__/users/current")).fields(&TRIPLE[3..4]),
        ),
        (
            "denied",
            CONNECT,
            signed(get("/__api__/users/current")).fields(&TRIPLE[..1]),
        ),
        ("denied", CONNECT, with_token("T0123456789abcdef0123456")),
        (
            "denied",
            CONNECT,
            with_token("T0123456789abcdef0123456789abcdef012345678"),
        ),
        (
            "denied",
            CONNECT,
            with_token("T0123456789ABCDEF0123456789ABCDEF"),
        ),
        (
            "denied",
            CONNECT,
            with_token("0123456789abcdef0123456789abcdef"),
        ),
        ("denied", CONNECT, with_token("")),
        (
            "signed_deploy",
            CONNECT,
            with_token("T0123456789abcdef01234567"),
        ),
        (
            "signed_deploy",
            CONNECT,
            with_token("T0123456789abcdef0123456789abcdef01234567"),
        ),
        ("denied", DEPLOYR, signed(get("/__api__/users/current"))),
        ("denied", GENERIC, signed(get("/__api__/users/current"))),
        // A
        ("api_credential", CONNECT, key(get("/content/1/"))),
        ("api_credential", CONNECT, key(post("/__api__/v1/content"))),
        (
            "api_credential",
            CONNECT,
            key(get("/__api__/server_settings")),
        ),
        ("api_credential", CONNECT, rsc_key(get("/content/1/"))),
        (
            "api_credential",
            CONNECT,
            get("/").field("X-RSC-Authorization", "abcdefgh"),
        ),
        (
            "api_credential",
            CONNECT,
            get("/").field("Authorization", "key abcdefgh"),
        ),
        ("api_credential", CONNECT, session(key(get("/content/1/")))),
        (
            "api_credential",
            CONNECT,
            key(get("/content/1/")).fields(HANDSHAKE),
        ),
        ("denied", CONNECT, get("/").field("Authorization", "Key")),
        (
            "denied",
            CONNECT,
            get("/").field("Authorization", "Bearer abc"),
        ),
        (
            "denied",
            CONNECT,
            get("/").field("Authorization", "Negotiate abc"),
        ),
        (
            "denied",
            CONNECT,
            get("/").field("Authorization", "Connect-Bootstrap a.b.c"),
        ),
        (
            "denied",
            CONNECT,
            post(BOOTSTRAP).field("Authorization", "Connect-Bootstrap a.b.c"),
        ),
        ("denied", DEPLOYR, key(get("/"))),
        ("denied", DEPLOYR, rsc_key(get("/"))),
        (
            "denied",
            DEPLOYR,
            get("/").field("Authorization", "Bearer abc"),
        ),
        // Nothing of Connect's opens anything else.
        ("denied", GENERIC, key(get("/"))),
        ("denied", GENERIC, rsc_key(get("/"))),
        (
            "denied",
            GENERIC,
            get("/").field("Authorization", "Bearer abc"),
        ),
        (
            "denied",
            GENERIC,
            post(BOOTSTRAP).field("Authorization", "Connect-Bootstrap a.b.c"),
        ),
        ("denied", GENERIC, signed(get("/"))),
        (
            "denied",
            GENERIC,
            get("/").field("X-Auth-Token", "anonymous-access"),
        ),
        ("denied", GENERIC, get("/__api__/server_settings")),
        ("denied", GENERIC, post("/__api__/tokens")),
        ("denied", GENERIC, post("/login")),
        // D
        ("user", CONNECT, get("/content/1/").by(&ALICE)),
        ("user", CONNECT, session(get("/content/1/"))),
        ("user", CONNECT, session(get("/")).by(&BOB)),
        ("user", CONNECT, get("/__api__/server_settings").by(&ALICE)),
        ("user", CONNECT, session(get("/__api__/server_settings"))),
        ("user", CONNECT, session(get("/public/logo.png"))),
        (
            "user",
            CONNECT,
            session(get("/content/1/")).fields(&TRIPLE[1..]),
        ),
        (
            "user",
            CONNECT,
            session(get("/content/1/")).fields(HANDSHAKE),
        ),
        ("user", DEPLOYR, get("/").by(&ALICE)),
        ("user", GENERIC, get("/").by(&ALICE)),
        ("user", OTHER, get("/").by(&BOB)),
        (
            "denied",
            CONNECT,
            get("/").field("Authorization", &ALICE.basic_with("wrong")),
        ),
        (
            "denied",
            CONNECT,
            get("/").field("Authorization", "Basic !!!"),
        ),
        ("denied", CONNECT, get("/").field("Authorization", "Basic")),
        ("denied", CONNECT, get("/").field("Authorization", "")),
        (
            "denied",
            CONNECT,
            session(get("/")).field("Authorization", &ALICE.basic_with("wrong")),
        ),
        (
            "denied",
            CONNECT,
            get("/").field("Cookie", "__Host-gateway-staff=nonsense"),
        ),
        // A session of one realm is none in another, under whichever name it comes.
        ("denied", OTHER, session(get("/"))),
        (
            "denied",
            OTHER,
            get("/").field("Cookie", &cookie.replace("-staff=", "-other=")),
        ),
        ("denied", OTHER, get("/").by(&ALICE)),
        ("denied", OTHER, session(get("/")).fields(HANDSHAKE)),
        // C
        ("discovery", CONNECT, get("/__api__/server_settings")),
        ("discovery", CONNECT, post("/__api__/tokens")),
        (
            "discovery",
            CONNECT,
            post("/__api__/tokens").field("X-Auth-Token", "anonymous-access"),
        ),
        ("discovery", CONNECT, get("/__api__/server_settings?x=1")),
        (
            "discovery",
            CONNECT,
            get("/__api__/server_settings").field("Cookie", "__Host-gateway-staff=stale"),
        ),
        (
            "denied",
            CONNECT,
            get("/__api__/server_settings").field("Authorization", &ALICE.basic_with("wrong")),
        ),
        (
            "denied",
            CONNECT,
            post("/__api__/tokens").field("Authorization", &ALICE.basic_with("wrong")),
        ),
        ("denied", CONNECT, post("/__api__/server_settings")),
        ("denied", CONNECT, get("/__api__/tokens")),
        ("denied", CONNECT, get("/__api__/server_settings/")),
        ("denied", CONNECT, get("/__api__/server_settings/all")),
        ("denied", CONNECT, get("/__API__/server_settings")),
        ("denied", CONNECT, get("/x/__api__/server_settings")),
        (
            "denied",
            CONNECT,
            get("/content/1/?/__api__/server_settings"),
        ),
        (
            "denied",
            CONNECT,
            get("/.well-known/oauth-authorization-server"),
        ),
        ("denied", CONNECT, post("/oauth/v1/token")),
        ("denied", DEPLOYR, post("/login")),
        // E
        ("anonymous", CONNECT, get("/public")),
        ("anonymous", CONNECT, get("/public/a/b.png?c")),
        ("anonymous", GENERIC, get("/public/a")),
        ("denied", CONNECT, get("/publicity")),
        ("denied", CONNECT, get("/Public/a")),
        ("denied", CONNECT, get("/public%2fa")),
        ("denied", DEPLOYR, get("/public/a")),
        // Nothing at all
        ("denied", CONNECT, get("/")),
        ("denied", CONNECT, post("/content/1/")),
        ("denied", CONNECT, get("/").fields(HANDSHAKE)),
        ("denied", CONNECT, Request::new("OPTIONS", "/content/1/")),
        (
            "denied",
            CONNECT,
            Request::new("DELETE", "/__api__/v1/content/1"),
        ),
    ];
    site.fall_on(cases);
}

#[test]
fn optional_lanes_open_what_they_say_and_nothing_else() {
    let site = Site::with(
        App::connect()
            .lane("bearer = true")
            .lane("bootstrap = true")
            .lane("oauth = true"),
        App::deployr("connect")
            .lane("bearer = true")
            .lane("deployr_login = true"),
    );
    let get = Request::get;
    let post = |target: &str| Request::post(target, b"{}");
    let bootstrap = ("Authorization", "Connect-Bootstrap a.b.c");
    let cases = [
        (
            "api_credential",
            CONNECT,
            get("/content/1/").field("Authorization", "Bearer abc"),
        ),
        (
            "api_credential",
            CONNECT,
            get("/mcp").field("authorization", "bearer abc"),
        ),
        ("denied", CONNECT, get("/").field("Authorization", "Bearer")),
        (
            "api_credential",
            CONNECT,
            post(BOOTSTRAP).fields(&[bootstrap]),
        ),
        ("denied", CONNECT, get(BOOTSTRAP).fields(&[bootstrap])),
        (
            "denied",
            CONNECT,
            post("/__api__/v1/users").fields(&[bootstrap]),
        ),
        (
            "discovery",
            CONNECT,
            get("/.well-known/oauth-authorization-server"),
        ),
        (
            "discovery",
            CONNECT,
            get("/.well-known/oauth-protected-resource"),
        ),
        ("discovery", CONNECT, post("/oauth/v1/register")),
        ("discovery", CONNECT, post("/oauth/v1/token")),
        ("discovery", CONNECT, post("/oauth/v1/device/code")),
        ("denied", CONNECT, get("/oauth/v1/authorize")),
        ("denied", CONNECT, get("/oauth/v1/token")),
        ("denied", CONNECT, post("/oauth/v1/device")),
        ("denied", CONNECT, get("/.well-known/other")),
        (
            "api_credential",
            DEPLOYR,
            get("/v1/x").field("Authorization", "Bearer abc"),
        ),
        ("discovery", DEPLOYR, post("/login")),
        ("discovery", DEPLOYR, post("/login/refreshToken")),
        (
            "discovery",
            DEPLOYR,
            Request::new("DELETE", "/login/refreshToken?refreshToken=abc"),
        ),
        ("denied", DEPLOYR, get("/login")),
        ("denied", DEPLOYR, Request::new("DELETE", "/login")),
        (
            "denied",
            GENERIC,
            get("/").field("Authorization", "Bearer abc"),
        ),
        ("denied", GENERIC, post("/login")),
        ("denied", GENERIC, post("/oauth/v1/token")),
    ];
    site.fall_on(cases);
}

#[test]
fn strict_deploy_refuses_what_it_would_strip() {
    let site = Site::with(
        App::connect().lane("strict_deploy = true"),
        App::deployr("connect"),
    );
    for request in [
        Request::get("/content/1/").by(&ALICE).fields(&TRIPLE[1..2]),
        Request::get("/content/1/")
            .by(&ALICE)
            .field("X-Auth-Token", "anonymous-access"),
        Request::get("/__api__/users/current").fields(&TRIPLE[1..]),
    ] {
        site.gateway.ask(&request).expect_json(400);
        assert_eq!(site.backend.requests(), []);
    }
    let signed = Request::get("/__api__/users/current").fields(TRIPLE);
    let discovery =
        Request::get("/__api__/server_settings").field("X-Auth-Token", "anonymous-access");
    site.fall_on([
        ("signed_deploy", CONNECT, signed),
        ("discovery", CONNECT, discovery),
    ]);
}

#[test]
fn health_is_for_listed_addresses() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().lane("health_from = [\"192.0.2.0/24\"]"))
        .start();
    gateway.ask(&Request::get("/__ping__")).expect_json(401);
    assert_eq!(backend.requests(), []);
}

#[test]
fn discovery_is_limited() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().lane("discovery_per_minute = 5"))
        .start();
    let mut client = gateway.client();
    let request = Request::get("/__api__/server_settings");
    for _ in 0..5 {
        client.ask(&request).expect(200);
    }
    let answer = gateway.ask(&request).expect_json(429);
    let seconds: u32 = answer
        .field("retry-after")
        .expect("when to try again")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(backend.take().len(), 5);
    // Others are not concerned.
    gateway.ask(&request.by(&ALICE)).expect(200);
    gateway
        .ask(&Request::get("/").field("Authorization", "Key abcdefgh"))
        .expect(200);
}

#[test]
fn discovery_bodies_are_limited() {
    let site = Site::start();
    let just = vec![b'x'; 64 * 1024];
    site.gateway
        .ask(&Request::post("/__api__/tokens", &just))
        .expect(200);
    assert_eq!(site.backend.one().body, just);

    let more = vec![b'x'; 64 * 1024 + 1];
    let mut client = site.gateway.client();
    client.send(&Request::post("/__api__/tokens", &more).bytes());
    client.answer().expect_json(413);
    client.expect_end();
    assert_eq!(site.backend.requests(), []);

    // Without a length it is found out on the way; the back-end never sees an end.
    let mut client = site.gateway.client();
    let head = Request::new("POST", "/__api__/tokens").field("Transfer-Encoding", "chunked");
    client.send(&head.bytes());
    client
        .send(format!("{:x}\r\n", more.len()).as_bytes())
        .send(&more)
        .send(b"\r\n0\r\n\r\n");
    client.answer().expect_json(413);
    client.expect_end();
    site.gateway
        .ask(&Request::post("/__api__/tokens", b"{}"))
        .expect(200);
    assert!(
        site.backend
            .take()
            .iter()
            .all(|one| one.body != more && (one.complete == (one.body == b"{}")))
    );
}

#[test]
fn deployments_arrive_unchanged_to_the_byte() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect())
        .start();
    let body: Vec<u8> = (0..200_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for target in [
        "/__api__/applications/7/upload",
        "/__api__/applications/?filter=account_id:7&filter=name:a+b&count=%20|\"<>{}^`\\[]'",
        "/__api__/bundles/%41%7E/a+b,c=d:e@f!$&'()*?",
        "/__api__/x?",
        "/__api__/x??a=?&&=",
        "/__api__/x?q=\u{e9}",
    ] {
        for chunked in [false, true] {
            let request = match chunked {
                false => Request::post(target, &body).fields(TRIPLE).bytes(),
                true => {
                    let request = Request::new("POST", target).fields(TRIPLE);
                    let mut bytes = request.field("Transfer-Encoding", "chunked").bytes();
                    for part in body.chunks(8192) {
                        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                        bytes.extend_from_slice(part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n\r\n");
                    bytes
                }
            };
            gateway.client().send(&request).answer().expect(200);
            let received = backend.one();
            assert_eq!(received.method, "POST");
            let raw: String = target.bytes().map(char::from).collect();
            assert_eq!(received.target, raw);
            assert!(received.body == body, "{target}: the body changed");
            assert_eq!(received.field("transfer-encoding").is_some(), chunked);
            for (name, value) in TRIPLE {
                assert_eq!(received.field(name), Some(*value), "{target}");
            }
            assert_eq!(
                received.field("x-rsc-request"),
                Some(format!("https://connect.test{raw}").as_str())
            );
        }
    }
}

#[test]
fn mounts_are_kept_or_stripped_as_raw_bytes() {
    let backend = Backend::recording();
    for (strip, mount, target, arrives) in [
        (false, "/", "/a/b?c=d", "/a/b?c=d"),
        (false, "/rsc/", "/rsc/a%20b?c=d", "/rsc/a%20b?c=d"),
        (true, "/rsc/", "/rsc/a%20b?c=d", "/a%20b?c=d"),
        (true, "/rsc/", "/rsc/", "/"),
        (true, "/rsc/", "/rsc/?q", "/?q"),
        (true, "/apps/rsc/", "/apps/rsc/apps/rsc/x", "/apps/rsc/x"),
        (
            true,
            "/rsc/",
            "/rsc/__api__/users/current",
            "/__api__/users/current",
        ),
    ] {
        let app = App::new(
            "connect",
            "connect",
            &format!("https://{CONNECT}{mount}"),
            "staff",
            "connect",
        );
        let gateway = Setup::new()
            .pool(Pool::plain("connect", backend.address()))
            .app(app.line(&format!("strip_mount = {strip}")))
            .start();
        for request in [
            Request::get(target).by(&ALICE),
            Request::get(target).field("Authorization", "Key abcdefgh"),
            Request::get(target).by(&ALICE).fields(HANDSHAKE),
        ] {
            gateway.ask(&request).expect(200);
            let received = backend.one();
            assert_eq!(received.target, arrives);
            let original = format!("https://connect.test{target}");
            assert_eq!(received.field("x-rsc-request"), Some(original.as_str()));
            // The back-end needs it only where it cannot see the mount any more.
            let prefix = strip.then(|| mount.trim_end_matches('/'));
            assert_eq!(received.field("x-forwarded-prefix"), prefix);
        }
        if target.contains("__api__") {
            gateway
                .ask(&Request::get(target).fields(TRIPLE))
                .expect(200);
            assert_eq!(backend.one().target, arrives);
            gateway
                .ask(&Request::get("/rsc/__api__/server_settings"))
                .expect(200);
            assert_eq!(backend.one().target, "/__api__/server_settings");
            gateway
                .ask(&Request::get("/__api__/server_settings"))
                .expect_json(404);
        }
    }
}

#[test]
fn the_mount_without_its_slash_redirects() {
    let backend = Backend::recording();
    let app = App::new(
        "connect",
        "connect",
        &format!("https://{CONNECT}/rsc/"),
        "staff",
        "connect",
    );
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(app)
        .start();
    for (target, location) in [
        ("/rsc", "/rsc/"),
        ("/rsc?a=b&c", "/rsc/?a=b&c"),
        ("/rsc?", "/rsc/?"),
    ] {
        let answer = gateway.ask(&Request::get(target)).expect(307);
        assert_eq!(answer.field("location"), Some(location));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    for target in [
        "/rscx/",
        "/",
        "/RSC/",
        "//rsc/",
        "/%72sc/",
        "/x/../rsc/",
        "/rsc/../x",
        "/rsc/..%2fx",
    ] {
        let answer = gateway.ask(&Request::get(target).by(&ALICE));
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
        assert_eq!(answer.field("cache-control"), Some("no-store"));
    }
    assert_eq!(backend.requests(), []);
    gateway.ask(&Request::get("/rsc/").by(&ALICE)).expect(200);
    backend.one();
}

#[test]
fn two_apps_on_one_host_are_told_apart_by_mount() {
    let [root, below] = [Backend::recording(), Backend::recording()];
    let generic = |name: &str, mount: &str| {
        App::new(
            name,
            "generic",
            &format!("https://{CONNECT}{mount}"),
            "staff",
            name,
        )
    };
    let gateway = Setup::new()
        .pool(Pool::plain("root", root.address()))
        .pool(Pool::plain("below", below.address()))
        .app(generic("root", "/"))
        .app(generic("below", "/below/").lane("anonymous = [\"/open\"]"))
        .start();
    for (target, at_root) in [
        ("/", true),
        ("/belows", true),
        ("/below/", false),
        ("/below/x?/y", false),
    ] {
        gateway.ask(&Request::get(target).by(&ALICE)).expect(200);
        let (yes, no) = if at_root {
            (&root, &below)
        } else {
            (&below, &root)
        };
        assert_eq!(yes.one().target, target);
        assert_eq!(no.requests(), []);
    }
    // A path that means one app to us and another to the back-end goes to neither.
    for target in [
        "/below/../x",
        "/x/../below/y",
        "/%62elow/x",
        "/below%2fx",
        "//below/x",
        "/below/open/../../x",
    ] {
        gateway
            .ask(&Request::get(target).by(&ALICE))
            .expect_json(400);
        gateway.ask(&Request::get(target)).expect_json(400);
    }
    assert_eq!((root.requests(), below.requests()), (vec![], vec![]));
}

#[test]
fn rsc_request_is_connects_alone() {
    let site = Site::start();
    let request = Request::get("/content/1/?x=%20y").by(&ALICE);
    site.gateway.ask(&request).expect(200);
    let origin = "https://connect.test/content/1/?x=%20y";
    assert_eq!(site.backend.one().field("x-rsc-request"), Some(origin));
    site.gateway.ask_on(GENERIC, request).expect(200);
    assert_eq!(site.backend.one().field("x-rsc-request"), None);
}

#[test]
fn public_url_decides_the_origin_whatever_the_client_says() {
    let backend = Backend::recording();
    let app = App::new(
        "connect",
        "connect",
        "https://connect.test:8443/",
        "staff",
        "connect",
    );
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(app.line("aliases = [\"localhost\"]"))
        .start();
    for (sni, host) in [
        (CONNECT, "connect.test:8443"),
        (CONNECT, "CONNECT.test:8443"),
        ("localhost", "localhost"),
    ] {
        gateway
            .client_for(sni)
            .ask(&Request::get("/x").on(host).by(&ALICE))
            .expect(200);
        let received = backend.one();
        assert_eq!(
            received.field("x-rsc-request"),
            Some("https://connect.test:8443/x")
        );
        assert_eq!(received.field("x-forwarded-port"), Some("8443"));
        assert_eq!(
            received.field("x-forwarded-host"),
            Some("connect.test:8443")
        );
    }
}

#[test]
fn unknown_hosts_are_misdirected() {
    let site = Site::start();
    for host in [
        "unknown.test",
        "connect.test:444",
        "connect.test.evil.test",
        "127.0.0.1",
        "www.connect.test",
    ] {
        let answer = site.gateway.ask(&Request::get("/").on(host).by(&ALICE));
        answer.expect_json(421);
    }
    site.gateway
        .ask(&Request::get("/").on("CONNECT.TEST:443").by(&ALICE))
        .expect(200);
    site.backend.one();
}

#[test]
fn resumption_bound_to_vhost_auth() {
    // A connection that was made for one name does not speak for another one.
    let site = Site::start();
    let mut client = site.gateway.client_for(GENERIC);
    client
        .ask(&Request::get("/").on(CONNECT).by(&ALICE))
        .expect_json(421);
    assert_eq!(site.backend.requests(), []);
    site.gateway
        .client_for(GENERIC)
        .ask(&Request::get("/").on(GENERIC).by(&ALICE))
        .expect(200);
    site.backend.one();
}

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

/// One back-end behind four apps: three kinds in one realm, and one in another.
struct Site {
    backend: Backend,
    gateway: Gateway,
}

impl Site {
    fn start() -> Self {
        Self::with(
            App::connect()
                .lane("health_from = [\"127.0.0.0/8\"]")
                .lane("anonymous = [\"/public\"]"),
            App::deployr("connect"),
        )
    }

    fn with(connect: App, deployr: App) -> Self {
        let backend = Backend::recording();
        let lenient = "failures_per_address = 1000\nfailures_per_account = 1000";
        let gateway = Setup::new()
            .realm("staff", &[ALICE, BOB], &[lenient])
            .realm("other", &[BOB], &[lenient])
            .pool(Pool::plain("connect", backend.address()))
            .app(connect.lane("discovery_per_minute = 100000"))
            .app(deployr)
            .app(App::generic("connect").lane("anonymous = [\"/public\"]"))
            .app(App::new(
                "other",
                "generic",
                &format!("https://{OTHER}/"),
                "other",
                "connect",
            ))
            .start();
        Self { backend, gateway }
    }

    /// The session cookie of a fresh login at that host, as a `Cookie` value.
    fn cookie(&self, host: &str) -> String {
        let answer = self
            .gateway
            .ask_on(host, Request::get("/").by(&ALICE))
            .expect(200);
        self.backend.one();
        let cookie = answer.field("set-cookie").expect("a login sets a cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Each request falls on its lane at its host: so says what the back-end gets, and so does the
    /// log.
    #[track_caller]
    fn fall_on<'a>(&self, cases: impl IntoIterator<Item = (&'a str, &'a str, Request)>) {
        let mut expected = Vec::new();
        for (index, (lane, host, request)) in cases.into_iter().enumerate() {
            let id = format!("case-{index}");
            let request = request.on(host).field("X-Correlation-Id", &id);
            let shown = String::from_utf8_lossy(&request.bytes()).into_owned();
            let answer = self.gateway.client_for(host).ask(&request);
            if lane == "denied" {
                assert!(matches!(answer.status, 400 | 401), "{shown}: {answer:?}");
                if answer.status == 401 {
                    answer.expect_json(401);
                }
                assert_eq!(self.backend.requests(), [], "{shown}");
            } else {
                assert_eq!(answer.status, 200, "{lane}: {shown}: {answer:?}");
                let received = self.backend.one();
                let identities = received.folded("X-Auth-Username").len();
                let named = usize::from(lane == "user");
                assert_eq!(identities, named, "{shown}: {received:#?}");
                let told = received.field("x-correlation-id");
                assert_eq!(told, Some(id.as_str()), "{shown}");
            }
            expected.push((id, lane, shown));
        }
        for (id, lane, shown) in expected {
            let line = self
                .gateway
                .logged("the case", |line| line["request_id"] == id.as_str());
            assert_eq!(line["lane"], lane, "{shown}");
        }
    }
}

fn with_token(token: &str) -> Request {
    let [date, _, signature, checksum] = TRIPLE else {
        unreachable!("four fields")
    };
    Request::get("/__api__/users/current").fields(&[
        *date,
        ("X-Auth-Token", token),
        *signature,
        *checksum,
    ])
}

const BOOTSTRAP: &str = "/__api__/v1/experimental/bootstrap";

/// A deployment signature as to its form: `Date`, token, signature, checksum.
const TRIPLE: &[(&str, &str)] = &[
    ("Date", "Sun, 22 Nov 2026 09:30:00 GMT"),
    ("X-Auth-Token", "T0123456789abcdef0123456789abcde"),
    (
        "X-Auth-Signature",
        "c2lnbmF0dXJlIHNpZ25hdHVyZSBzaWduYXR1cmU=",
    ),
    ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
];
