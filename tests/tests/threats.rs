//! Promises P1 and P2 and the published mistakes of others: nobody names themselves.
//!
//! Test names are those of the threat corpus where it has one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, DEPLOYR, GENERIC, Gateway, HANDSHAKE, Pool, Received, Request,
    Setup,
};

#[test]
fn strip_folded_aliases() {
    let site = Site::start();
    for lane in &site.lanes() {
        for (spelling, spell) in SPELLINGS {
            let mut request = lane.request.clone();
            for name in OWNED {
                request = request.field(&spell(name), EVIL);
            }
            site.forwards_clean(lane, &request, spelling);
        }
        site.forwards_clean(lane, &lane.request, "the control");
    }
    let stripped = site.gateway.metrics().sum(
        "connect_gateway_stripped_headers_total",
        &[("kind", "owned")],
    );
    let expected = site.lanes().len() * SPELLINGS.len() * OWNED.len();
    assert_eq!(stripped, expected as f64);
}

#[test]
fn each_owned_name_alone() {
    // A table of many fields could hide a name behind another one's fate.
    let site = Site::start();
    for lane in &site.lanes() {
        let mut client = site.gateway.client_for(lane.host);
        for name in OWNED {
            for value in ["admin", "", EVIL] {
                let request = lane.request.clone().field(name, value);
                let answer = client.ask(&request).expect(200);
                lane.check(&site.backend.one(), name);
                if answer.field("connection") == Some("close") {
                    client = site.gateway.client_for(lane.host);
                }
            }
        }
    }
}

#[test]
fn duplicate_identity_emitted_once() {
    let site = Site::start();
    for lane in &site.lanes() {
        let request = lane
            .request
            .clone()
            .field("X-Auth-Username", EVIL)
            .field("x-auth-username", EVIL)
            .field("X-Auth-Username", ALICE.name)
            .field("X_Auth_Username", EVIL)
            .field("X-Auth-Username", "");
        site.forwards_clean(lane, &request, "five of them");
        // Also in front of the credential, where a reader that stops at the first would stop.
        let bytes = lane.request.bytes();
        let text = String::from_utf8(bytes).unwrap();
        let first = text.replacen("\r\n", &format!("\r\nX-Auth-Username: {EVIL}\r\n"), 1);
        let mut client = site.gateway.client_for(lane.host);
        client.send(first.as_bytes()).answer().expect(200);
        lane.check(&site.backend.one(), "as the first field");
    }
}

#[test]
fn strip_even_when_auth_omits_it() {
    // Identity fields that the gateway has nothing to say for are removed all the same.
    let site = Site::start();
    let request = Request::get("/content/1/")
        .by(&ALICE)
        .field("X-Auth-Email", EVIL)
        .field("X-Auth-Groups", EVIL)
        .field("X-Auth-RSC-Role", "administrator");
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));
    for name in ["X-Auth-Email", "X-Auth-Groups", "X-Auth-RSC-Role"] {
        assert!(received.folded(name).is_empty(), "{received:#?}");
    }
}

#[test]
fn names_of_other_apps_are_owned_too() {
    let site = Site::start();
    let sent = Request::get("/content/1/").by(&ALICE);
    let request = sent
        .field("X-Secret-User", EVIL)
        .field("x_secret_user", EVIL);
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert!(received.folded("X-Secret-User").is_empty(), "{received:#?}");
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));

    // The app whose name it is gets it, and no X-Auth-Username from anybody.
    let request = Request::get("/").by(&ALICE).field("X-Auth-Username", EVIL);
    site.gateway.ask_on(GENERIC, request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("x-secret-user"), Some(ALICE.name));
    assert!(
        received.folded("X-Auth-Username").is_empty(),
        "{received:#?}"
    );
}

#[test]
fn connection_header_cannot_name_injected() {
    let site = Site::start();
    for lane in &site.lanes() {
        for listed in [
            "keep-alive, X-Auth-Username",
            "x-auth-username,X-Secret-User",
            "X_Auth_Username",
            "X-RSC-Request, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, X-Real-IP",
            "Host, X-Correlation-Id",
            "keep-alive,,, ,X-Forwarded-Port",
        ] {
            let connection = match lane.name {
                "websocket" => format!("Upgrade, {listed}"),
                _ => listed.to_owned(),
            };
            let request = lane
                .request
                .clone()
                .without("Connection")
                .field("Connection", &connection)
                .field("X-Auth-Username", EVIL);
            site.forwards_clean(lane, &request, listed);
        }
    }
}

#[test]
fn connection_lists_are_obeyed_for_the_clients_own() {
    let site = Site::start();
    let request = Request::get("/content/1/")
        .by(&ALICE)
        .field("Connection", "X-Hop, keep-alive")
        .field("X-Hop", "1")
        .field("X-End", "2");
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("x-hop"), None);
    assert_eq!(received.field("x-end"), Some("2"));
}

#[test]
fn trailers_never_become_headers() {
    let site = Site::start();
    let trailers = "X-Auth-Username: evil\r\nX_Auth_Username: evil\r\nX-RSC-Request: evil\r\n\
                    X-Auth-Token: evil\r\nAuthorization: Key evil\r\nX-Other: evil\r\n";
    for lane in site.lanes().iter().filter(|lane| lane.takes_body) {
        let mut request = lane
            .request
            .clone()
            .without_body()
            .field("Transfer-Encoding", "chunked")
            .field("Trailer", "X-Auth-Username")
            .bytes();
        request.extend_from_slice(format!("4\r\nbody\r\n0\r\n{trailers}\r\n").as_bytes());
        let mut client = site.gateway.client_for(lane.host);
        client.send(&request).answer().expect(200);
        let received = site.backend.one();
        assert_eq!(received.body, b"body");
        lane.check(&received, "trailers");
        assert!(!site.backend.saw(EVIL.as_bytes()), "{}", lane.name);
        // The connection is still in step.
        client.ask(&lane.request).expect(200);
        lane.check(&site.backend.one(), "after trailers");
    }
}

#[test]
fn aliases_of_credentials_and_framing_do_not_travel() {
    let site = Site::start();
    for lane in &site.lanes() {
        let mut request = lane.request.clone();
        for name in CREDENTIALS {
            request = request
                .field(&format!("_{}", name.replace('-', "_")), EVIL)
                .field(&format!("{name}."), EVIL);
        }
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
        ] {
            request = request
                .field(&format!("{}_", name.replace('-', "__")), EVIL)
                .field(&format!("-{name}"), EVIL);
        }
        site.forwards_clean(lane, &request, "aliases");
    }
}

#[test]
fn one_kind_of_credential_reaches_the_back_end() {
    let site = Site::start();
    for lane in &site.lanes() {
        let mut client = site.gateway.client_for(lane.host);
        client.ask(&lane.request).expect(200);
        let received = site.backend.one();
        let credentials = CREDENTIALS
            .iter()
            .flat_map(|name| received.folded(name))
            .count();
        let identities = received.folded(lane.identity_header).len();
        assert_eq!(
            identities,
            usize::from(lane.user),
            "{}: {received:#?}",
            lane.name
        );
        assert_eq!(
            credentials, lane.credentials,
            "{}: {received:#?}",
            lane.name
        );
        assert!(
            !site.backend.saw(b"__Host-gateway-"),
            "{}: a gateway cookie",
            lane.name
        );
        assert!(
            !site.backend.saw(ALICE.basic().as_bytes()),
            "{}: a password",
            lane.name
        );
    }
}

#[test]
fn forged_triple_passes_without_identity() {
    let site = Site::start();
    let request = Request::get("/__api__/users/current")
        .fields(TRIPLE)
        .field("X-Auth-Username", "admin");
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert!(
        received.folded("X-Auth-Username").is_empty(),
        "{received:#?}"
    );
    for (name, value) in TRIPLE {
        assert_eq!(received.field(name), Some(*value));
    }
}

#[test]
fn anonymous_access_is_no_pass_elsewhere() {
    let site = Site::start();
    let token = ("X-Auth-Token", "anonymous-access");
    let bearing = |method: &str, target: &str| Request::new(method, target).fields(&[token]);
    for (method, target) in [
        ("GET", "/__api__/users/current"),
        ("GET", "/__api__/server_settings/x"),
        ("POST", "/__api__/server_settings"),
        ("GET", "/__api__/tokens"),
        ("GET", "/content/1/"),
        ("GET", "/"),
        ("GET", "/__api__/../content/1/"),
    ] {
        let answer = site.gateway.ask(&bearing(method, target));
        assert!(
            matches!(answer.status, 400 | 401),
            "{method} {target}: {answer:?}"
        );
        assert_eq!(site.backend.requests(), [], "{method} {target}");
    }
    // Where it belongs, it goes through.
    for (method, target) in [
        ("GET", "/__api__/server_settings"),
        ("POST", "/__api__/tokens"),
    ] {
        site.gateway.ask(&bearing(method, target)).expect(200);
        assert_eq!(site.backend.one().field(token.0), Some(token.1));
    }
}

#[test]
fn forwarded_family_rebuilt_whole() {
    let site = Site::start();
    let mut request = Request::get("/content/1/?a=b").by(&ALICE);
    for name in FORWARDED {
        request = request.field(name, EVIL);
    }
    site.gateway.ask(&request).expect(200);
    check_forwarded(&site.backend.one());
}

#[test]
fn forwarded_for_is_believed_of_trusted_proxies_only() {
    let backend = Backend::recording();
    let trusting = Setup::connect(&backend)
        .line("gateway", "trusted_proxies = [\"127.0.0.1\"]")
        .start();
    let request = Request::get("/content/1/")
        .by(&ALICE)
        .field("X-Forwarded-For", "198.51.100.9, 203.0.113.7")
        .field("X-Forwarded-Host", "evil.example")
        .field("X-Forwarded-Proto", "http")
        .field("X-Forwarded-Prefix", "/evil");
    trusting.ask(&request).expect(200);
    let received = backend.one();
    // The last that the trusted peer names; what stands before it, anybody may have written.
    assert_eq!(received.field("x-real-ip"), Some("203.0.113.7"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("x-forwarded-host"), Some(CONNECT));
    assert_eq!(received.field("x-forwarded-prefix"), None);
    let line = trusting.logged("the client", |line| line["path"] == "/content/1/");
    assert_eq!(line["client"], "203.0.113.7");

    let wary = Setup::connect(&backend).start();
    wary.ask(&request).expect(200);
    let received = backend.one();
    assert_eq!(received.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn no_user_agent_exemption() {
    let site = Site::start();
    for agent in [
        "GoogleHC/1.0",
        "kube-probe/1.29",
        "ELB-HealthChecker/2.0",
        "Consul Health Check",
    ] {
        for path in [
            "/",
            "/healthz",
            "/readyz",
            "/metrics",
            "/ping",
            "/oauth2/ping",
        ] {
            let request = Request::get(path).field("User-Agent", agent);
            site.gateway.ask(&request).expect_json(401);
        }
    }
    assert_eq!(site.backend.requests(), []);
}

#[test]
fn spoofed_headers_can_be_refused() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "spoofed_headers = \"reject\"")
        .start();
    for name in [
        "X-Auth-Username",
        "x_auth.username",
        "X-RSC-Request",
        "X-Forwarded-Host",
    ] {
        let request = Request::get("/content/1/").by(&ALICE).field(name, EVIL);
        gateway.ask(&request).expect_json(400);
    }
    assert_eq!(backend.requests(), []);
    gateway
        .ask(&Request::get("/content/1/").by(&ALICE))
        .expect(200);
    assert_eq!(backend.one().field("x-auth-username"), Some(ALICE.name));
}

#[test]
fn answers_cannot_set_the_gateways_cookies() {
    let backend = Backend::answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
          Set-Cookie: __Host-gateway-staff=evil; Path=/; Secure\r\n\
          Set-Cookie: __host-GATEWAY-staff=evil\r\n\
          Set-Cookie: __Host-gateway-other=evil\r\n\
          Set-Cookie: =__Host-gateway-staff=evil\r\n\
          Set-Cookie:  __Host-gateway-staff =evil\r\n\
          Set-Cookie: rsconnect=fine; Path=/\r\n\
          Alt-Svc: h3=\":443\"\r\n\
          X-Other: fine\r\n\r\nok",
    );
    let gateway = Setup::connect(&backend).start();
    let request = Request::get("/content/1/").field("Authorization", "Key abcdefgh");
    let answer = gateway.ask(&request).expect(200);
    assert_eq!(answer.all("set-cookie"), ["rsconnect=fine; Path=/"]);
    assert_eq!(answer.field("alt-svc"), None);
    assert_eq!(answer.field("x-other"), Some("fine"));
    gateway.counted(
        "connect_gateway_stripped_headers_total",
        &[("kind", "answer")],
        6.0,
    );
}

#[test]
fn cookies_of_the_back_end_pass_and_the_gateways_do_not() {
    let site = Site::start();
    let session = site.session();
    let cookies = format!(
        "rsconnect=a|b; {session}; RSC-XSRF=x; __Host-gateway-other=y; lb=1; Path=/; HttpOnly"
    );
    let request = Request::get("/content/1/").field("Cookie", &cookies);
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert_eq!(
        received.field("cookie"),
        Some("rsconnect=a|b; RSC-XSRF=x; lb=1; Path=/; HttpOnly")
    );
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));

    // On a lane that does not read it, the gateway's cookie is no business of the back-end either.
    let request = Request::get("/content/1/")
        .field("Cookie", &session)
        .field("Authorization", "Key abcdefgh");
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("cookie"), None);
    assert!(received.folded("X-Auth-Username").is_empty());
}

#[test]
fn routing_path_equals_forwarded_path() {
    let site = Site::start();
    for target in [
        "/__api__/../content/1/",
        "/__api__/%2e%2e/content/1/",
        "/__api__/%2E%2E/content/1/",
        "/__api__/..%2fcontent/1/",
        "/__api__/..;/content/1/",
        "/content/..%2f__api__/server_settings",
        "/public/../__api__/users/current",
        "/public/%2e%2e/__api__/users/current",
        "/public/..;x=y/__api__/users/current",
        "/public/..%5c__api__/users/current",
        "/public/%252e%252e/__api__/users/current",
        "//__api__/server_settings",
        "/%5f_api__/server_settings",
        "/x/../__api__/server_settings",
        "/__api__/server_settings%2f..%2f..%2fcontent",
        "/__api__/%73erver_settings/../../content/1/",
        "/..",
        "/../../etc/passwd",
        "/%00",
        "/__api__/server_settings%00",
        "/public/%0d%0aX-Auth-Username:%20evil",
        "/__ping__/..",
        "/%5f_ping__",
        "/__ping__;x",
    ] {
        for fields in [&[][..], TRIPLE, &[("X-Auth-Token", "anonymous-access")]] {
            let answer = site.gateway.ask(&Request::get(target).fields(fields));
            assert!(matches!(answer.status, 400 | 401), "{target}: {answer:?}");
            assert_eq!(site.backend.requests(), [], "{target}");
        }
    }
    // Below `/__api__/` in every reading, so a signature counts; but no path that must be exact is.
    for target in [
        "/__api__/server_settings;x",
        "/__api__//server_settings",
        "/__api__/server_settings/..",
        "/__api__/./server_settings",
        "/__api__/%73erver_settings",
    ] {
        let anonymous = [("X-Auth-Token", "anonymous-access")];
        for fields in [&[][..], &anonymous] {
            let answer = site.gateway.ask(&Request::get(target).fields(fields));
            assert!(matches!(answer.status, 400 | 401), "{target}: {answer:?}");
            assert_eq!(site.backend.requests(), [], "{target}");
        }
    }
    // With a login, what is merely unusual goes through as it came.
    for target in [
        "/content/a%20b/",
        "/content/a//b",
        "/content/%41;v=1",
        "/content/a%2Fb?c=/../d",
    ] {
        site.gateway
            .ask(&Request::get(target).by(&ALICE))
            .expect(200);
        assert_eq!(site.backend.one().target, target);
    }
}

#[test]
fn repeated_authorization_is_refused() {
    let site = Site::start();
    for second in ["Key abcdefgh", "Bearer x", &ALICE.basic()] {
        let request = Request::get("/content/1/")
            .by(&ALICE)
            .field("Authorization", second);
        site.gateway.ask(&request).expect_json(400);
    }
    assert_eq!(site.backend.requests(), []);
    site.gateway
        .ask(&Request::get("/content/1/").by(&ALICE))
        .expect(200);
    site.backend.one();
}

/// One back-end with one gateway before it that has every lane.
struct Site {
    backend: Backend,
    gateway: Gateway,
}

/// A request that goes through on a certain lane.
struct Lane {
    name: &'static str,
    host: &'static str,
    request: Request,
    user: bool,
    identity_header: &'static str,
    credentials: usize,
    takes_body: bool,
}

impl Site {
    fn start() -> Self {
        let backend = Backend::recording();
        let gateway = Setup::new()
            .pool(Pool::plain("connect", backend.address()))
            .app(
                App::connect()
                    .lane("health_from = [\"127.0.0.1\"]")
                    .lane("anonymous = [\"/public\"]")
                    .lane("discovery_per_minute = 100000"),
            )
            .app(App::generic("connect").identity("username = \"X-Secret-User\""))
            .app(App::deployr("connect").lane("bearer = true"))
            .start();
        Self { backend, gateway }
    }

    /// The session cookie of a fresh login, as a `Cookie` value.
    fn session(&self) -> String {
        let answer = self.gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
        self.backend.one();
        let cookie = answer.field("set-cookie").expect("a login sets a cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    fn lanes(&self) -> Vec<Lane> {
        let cookie = self.session();
        let page = || Request::get("/content/1/");
        let user = |name, request: Request| Lane {
            user: true,
            credentials: 0,
            ..Lane::connect(name, request)
        };
        vec![
            user("user by password", page().by(&ALICE)),
            user("user by cookie", page().field("Cookie", &cookie)),
            Lane {
                takes_body: true,
                ..user(
                    "user posting",
                    Request::post("/content/1/", b"x").by(&ALICE),
                )
            },
            user(
                "websocket",
                page().field("Cookie", &cookie).fields(HANDSHAKE),
            ),
            user(
                "user on a discovery path",
                Request::get("/__api__/server_settings").by(&ALICE),
            ),
            Lane {
                credentials: 3,
                takes_body: true,
                ..Lane::connect(
                    "signed_deploy",
                    Request::post("/__api__/applications/7/upload", b"x").fields(TRIPLE),
                )
            },
            Lane {
                takes_body: true,
                ..Lane::connect(
                    "key",
                    Request::post("/__api__/v1/content", b"x")
                        .field("Authorization", "Key abcdefgh"),
                )
            },
            Lane::connect("rsc key", page().field("X-RSC-Authorization", "abcdefgh")),
            Lane {
                credentials: 1,
                ..Lane::connect(
                    "key and cookie",
                    page()
                        .field("Cookie", &cookie)
                        .field("Authorization", "Key abcdefgh"),
                )
            },
            Lane {
                credentials: 0,
                ..Lane::connect("discovery", Request::get("/__api__/server_settings"))
            },
            Lane {
                credentials: 0,
                takes_body: true,
                ..Lane::connect("tokens", Request::post("/__api__/tokens", b"{}"))
            },
            Lane {
                credentials: 0,
                ..Lane::connect("anonymous", Request::get("/public/logo.png"))
            },
            Lane {
                credentials: 0,
                ..Lane::connect("health", Request::get("/__ping__"))
            },
            Lane {
                host: GENERIC,
                identity_header: "X-Secret-User",
                ..user("generic", Request::get("/").on(GENERIC).by(&ALICE))
            },
            Lane {
                host: DEPLOYR,
                ..Lane::connect(
                    "bearer",
                    Request::get("/")
                        .on(DEPLOYR)
                        .field("Authorization", "Bearer abc"),
                )
            },
        ]
    }

    #[track_caller]
    fn forwards_clean(&self, lane: &Lane, request: &Request, what: &str) {
        let mut client = self.gateway.client_for(lane.host);
        client.ask(request).expect(200);
        lane.check(&self.backend.one(), what);
        assert!(!self.backend.saw(EVIL.as_bytes()), "{}, {what}", lane.name);
    }
}

impl Lane {
    fn connect(name: &'static str, request: Request) -> Self {
        Self {
            name,
            host: CONNECT,
            request,
            user: false,
            identity_header: "X-Auth-Username",
            credentials: 1,
            takes_body: false,
        }
    }

    /// What must hold of everything that this lane forwards.
    #[track_caller]
    fn check(&self, received: &Received, what: &str) {
        let context = format!("{}, {what}: {received:#?}", self.name);
        for name in OWNED {
            let found = received.folded(name);
            if name.eq_ignore_ascii_case(self.identity_header) && self.user {
                let [(_, value)] = found.as_slice() else {
                    panic!("{name} came {} times; {context}", found.len());
                };
                assert_eq!(value, ALICE.name, "{context}");
            } else if REBUILT.contains(name) {
                assert!(found.len() < 2, "{name}; {context}");
            } else {
                assert!(found.is_empty(), "{name}; {context}");
            }
        }
        for (name, value) in &received.fields {
            assert!(!value.contains(EVIL), "{name}; {context}");
        }
        assert_eq!(received.field("host"), Some(self.host), "{context}");
    }
}

/// What the back-end must be told about where the request came from, whoever says otherwise.
#[track_caller]
fn check_forwarded(received: &Received) {
    let expected = [
        ("X-Forwarded-For", Some("127.0.0.1")),
        ("X-Forwarded-Proto", Some("https")),
        ("X-Forwarded-Host", Some(CONNECT)),
        ("X-Forwarded-Port", Some("443")),
        ("X-Forwarded-Prefix", None),
        ("X-Forwarded-Uri", None),
        ("X-Forwarded-Method", None),
        ("X-Forwarded-Server", None),
        ("X-Original-URL", None),
        ("X-Real-IP", Some("127.0.0.1")),
        ("X-RSC-Request", Some("https://connect.test/content/1/?a=b")),
    ];
    for (name, value) in expected {
        let found: Vec<_> = received
            .folded(name)
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(found, Vec::from_iter(value), "{name}: {received:#?}");
    }
    let forwarded = received.field("forwarded").expect("RFC 7239");
    let forwarded = forwarded.replace('"', "");
    for part in ["for=127.0.0.1", "proto=https", "host=connect.test"] {
        assert!(forwarded.contains(part), "{forwarded}");
    }
}

/// What no forwarded request may hold. The target does not; so wherever it is found, it came in a
/// field.
const EVIL: &str = "evil";

/// A deployment signature as to its form.
const TRIPLE: &[(&str, &str)] = &[
    ("Date", "Sun, 22 Nov 2026 09:30:00 GMT"),
    ("X-Auth-Token", "T0123456789abcdef0123456789abcde"),
    (
        "X-Auth-Signature",
        "c2lnbmF0dXJlIHNpZ25hdHVyZSBzaWduYXR1cmU=",
    ),
    ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
];

/// The names that are the gateway's own in this set-up: domain §9.1, §4.1 and the configured ones.
const OWNED: &[&str] = &[
    "X-Auth-Username",
    "X-Auth-ID",
    "X-Auth-First-Name",
    "X-Auth-Last-Name",
    "X-Auth-Email",
    "X-Auth-RSC-Role",
    "X-Auth-Groups",
    "X-Remote-User",
    "Remote-User",
    "X-RSC-Request",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "X-Forwarded-User",
    "X-Forwarded-Anything",
    "X-Original-URL",
    "X-Original-Method",
    "X-Original-For",
    "Forwarded",
    "X-Real-IP",
    "Rstudio-Connect-App-Base-Url",
    "Rstudio-Connect-Credentials",
    "Shiny-Server-Credentials",
    "Posit-Connect-User-Session-Token",
    "X-RStudio-Request",
    "X-RStudio-Root-Path",
    "X-Secret-User",
];

/// Those of [`OWNED`] that the gateway sends itself, on every lane.
const REBUILT: &[&str] = &[
    "X-RSC-Request",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-IP",
];

const FORWARDED: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Real-IP",
    "X-RSC-Request",
    "X-Original-URL",
];

const CREDENTIALS: &[&str] = &[
    "Authorization",
    "X-RSC-Authorization",
    "X-Auth-Token",
    "X-Auth-Signature",
    "X-Content-Checksum",
];

type Spell = fn(&str) -> String;

/// Spellings that some back-end takes for the name itself.
const SPELLINGS: &[(&str, Spell)] = &[
    ("as documented", str::to_owned),
    ("lower case", str::to_lowercase),
    ("upper case", str::to_uppercase),
    ("mixed case", |name| {
        let flip = |(at, c): (usize, char)| {
            if at % 2 == 0 {
                c.to_ascii_lowercase()
            } else {
                c.to_ascii_uppercase()
            }
        };
        name.chars().enumerate().map(flip).collect()
    }),
    ("underscores", |name| name.replace('-', "_")),
    ("dots", |name| name.replace('-', ".")),
    ("one underscore", |name| name.replacen('-', "_", 1)),
    ("an underscore and a dot", |name| {
        name.replacen('-', "_", 1).replacen('-', ".", 1)
    }),
    ("two dashes", |name| name.replace('-', "--")),
    ("dash and underscore", |name| name.replace('-', "-_")),
    ("other token characters", |name| name.replace('-', "'")),
    ("every token character", |name| {
        name.replace('-', "!#$%&'*+-.^_`|~")
    }),
    ("a dash in front", |name| format!("-{name}")),
    ("a dash behind", |name| format!("{name}-")),
    ("wrapped", |name| format!("~_{}_.", name.to_uppercase())),
];
