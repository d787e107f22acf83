//! Hosts, mounts and the bytes of targets.

use gateway_tests::harness::{
    ALICE, App, Backend, CONNECT, GENERIC, HANDSHAKE, Pool, Request, Setup,
};

use crate::site::{Site, TRIPLE};

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
