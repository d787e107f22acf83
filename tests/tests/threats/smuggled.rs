//! Owned names by way of `Connection`, trailers and aliases of framing.

use gateway_tests::harness::{ALICE, Request};

use crate::site::{CREDENTIALS, EVIL, Site};

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
