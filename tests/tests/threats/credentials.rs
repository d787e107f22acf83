//! Which credentials count, where, and what of them travels.

use gateway_tests::harness::{ALICE, Backend, Request, Setup};

use crate::site::{CREDENTIALS, Site, TRIPLE};

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
          Clear-Site-Data: \"cookies\"\r\n\
          cleaR-site-datA: \"*\"\r\n\
          X-Other: fine\r\n\r\nok",
    );
    let gateway = Setup::connect(&backend).start();
    let request = Request::get("/content/1/").field("Authorization", "Key abcdefgh");
    let answer = gateway.ask(&request).expect(200);
    assert_eq!(answer.all("set-cookie"), ["rsconnect=fine; Path=/"]);
    assert_eq!(answer.field("alt-svc"), None);
    assert_eq!(answer.field("clear-site-data"), None);
    assert_eq!(answer.field("x-other"), Some("fine"));
    gateway.counted(
        "connect_gateway_stripped_headers_total",
        &[("kind", "answer")],
        8.0,
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
