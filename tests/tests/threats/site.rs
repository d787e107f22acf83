//! What these tests share: one gateway with every lane, and what must hold of whatever it forwards.

use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, DEPLOYR, GENERIC, Gateway, HANDSHAKE, Pool, Received, Request,
    Setup,
};

/// One back-end with one gateway before it that has every lane.
pub(crate) struct Site {
    pub(crate) backend: Backend,
    pub(crate) gateway: Gateway,
}

/// A request that goes through on a certain lane.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) host: &'static str,
    pub(crate) request: Request,
    pub(crate) user: bool,
    pub(crate) identity_header: &'static str,
    pub(crate) credentials: usize,
    pub(crate) takes_body: bool,
}

impl Site {
    pub(crate) fn start() -> Self {
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
    pub(crate) fn session(&self) -> String {
        let answer = self.gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
        self.backend.one();
        let cookie = answer.field("set-cookie").expect("a login sets a cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) fn lanes(&self) -> Vec<Lane> {
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
                page()
                    .field("Cookie", &cookie)
                    .field("Origin", "https://connect.test")
                    .fields(HANDSHAKE),
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
    pub(crate) fn forwards_clean(&self, lane: &Lane, request: &Request, what: &str) {
        let mut client = self.gateway.client_for(lane.host);
        client.ask(request).expect(200);
        lane.check(&self.backend.one(), what);
        assert!(!self.backend.saw(EVIL.as_bytes()), "{}, {what}", lane.name);
    }
}

impl Lane {
    pub(crate) fn connect(name: &'static str, request: Request) -> Self {
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
    pub(crate) fn check(&self, received: &Received, what: &str) {
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

/// What no forwarded request may hold. The target does not; so wherever it is found, it came in a
/// field.
pub(crate) const EVIL: &str = "evil";

/// A deployment signature as to its form.
pub(crate) const TRIPLE: &[(&str, &str)] = &[
    ("Date", "Sun, 22 Nov 2026 09:30:00 GMT"),
    ("X-Auth-Token", "T0123456789abcdef0123456789abcde"),
    (
        "X-Auth-Signature",
        "c2lnbmF0dXJlIHNpZ25hdHVyZSBzaWduYXR1cmU=",
    ),
    ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
];

/// The names that are the gateway's own in this set-up: domain §9.1, §4.1 and the configured ones.
pub(crate) const OWNED: &[&str] = &[
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
pub(crate) const REBUILT: &[&str] = &[
    "X-RSC-Request",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-IP",
];

pub(crate) const CREDENTIALS: &[&str] = &[
    "Authorization",
    "X-RSC-Authorization",
    "X-Auth-Token",
    "X-Auth-Signature",
    "X-Content-Checksum",
];
