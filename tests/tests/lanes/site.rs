//! What these tests share: one back-end behind four apps, and a check of the lane that a request falls on.

use gateway_tests::harness::{ALICE, App, BOB, Backend, Gateway, OTHER, Pool, Request, Setup};

/// One back-end behind four apps: three kinds in one realm, and one in another.
pub(crate) struct Site {
    pub(crate) backend: Backend,
    pub(crate) gateway: Gateway,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::with(
            App::connect()
                .lane("health_from = [\"127.0.0.0/8\"]")
                .lane("anonymous = [\"/public\"]"),
            App::deployr("connect"),
        )
    }

    pub(crate) fn with(connect: App, deployr: App) -> Self {
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
    pub(crate) fn cookie(&self, host: &str) -> String {
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
    pub(crate) fn fall_on<'a>(&self, cases: impl IntoIterator<Item = (&'a str, &'a str, Request)>) {
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

pub(crate) fn with_token(token: &str) -> Request {
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

pub(crate) const BOOTSTRAP: &str = "/__api__/v1/experimental/bootstrap";

/// A deployment signature as to its form: `Date`, token, signature, checksum.
pub(crate) const TRIPLE: &[(&str, &str)] = &[
    ("Date", "Sun, 22 Nov 2026 09:30:00 GMT"),
    ("X-Auth-Token", "T0123456789abcdef0123456789abcde"),
    (
        "X-Auth-Signature",
        "c2lnbmF0dXJlIHNpZ25hdHVyZSBzaWduYXR1cmU=",
    ),
    ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
];
