//! Which request falls on which lane, for each kind of app.

use gateway_tests::harness::{
    ALICE, App, BOB, Backend, CONNECT, DEPLOYR, GENERIC, HANDSHAKE, OTHER, Pool, Request, Setup,
};

use crate::site::{BOOTSTRAP, Site, TRIPLE, with_token};

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
            session(get("/content/1/"))
                .fields(HANDSHAKE)
                .field("Origin", "https://connect.test"),
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
