//! What a back-end's answer may carry to the client.

use bytes::{Bytes, BytesMut};
use wire::h1::parse_answer;
use wire::{AnswerHead, Method};

use crate::KeptAnswer;

fn answer(fields: &[&str]) -> AnswerHead {
    let mut text = String::from("HTTP/1.1 200 OK\r\n");
    for field in fields {
        text += field;
        text += "\r\n";
    }
    text += "\r\n";
    parse_answer(Bytes::from(text), Vec::new(), Method::Get, false)
        .unwrap()
        .head
}

fn passed(fields: &[&str]) -> (String, u32) {
    let head = answer(fields);
    let kept = KeptAnswer::of(&head);
    let mut out = BytesMut::new();
    kept.write_fields(&head, &mut out);
    (String::from_utf8(out.to_vec()).unwrap(), kept.stripped)
}

#[test]
fn fields_pass_in_order_and_unchanged() {
    let fields = [
        "Date: Sun, 22 Nov 2026 10:00:00 GMT",
        "SERVER: Posit Connect",
        "Set-Cookie: rsconnect=1; Path=/",
        "Set-Cookie: RSC-XSRF=2; Path=/__api__/",
        "Content-Encoding: gzip",
        "WWW-Authenticate: Key",
        "X-Auth-Username: bob",
    ];
    assert_eq!(passed(&fields), (fields.join("\r\n") + "\r\n", 0));
}

#[test]
fn hop_by_hop_and_framing_fields_end_here() {
    let fields = [
        "Connection: close, X-Hop, Set-Cookie2",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Proxy-Authenticate: Basic",
        "Proxy-Authorization: x",
        "TE: trailers",
        "Trailer: X",
        "Content-Length: 5",
        "Upgrade: h2c",
        "x-hop: 1",
        "X-Hops: 2",
        "Content-Type: text/plain",
    ];
    assert_eq!(
        passed(&fields),
        ("X-Hops: 2\r\nContent-Type: text/plain\r\n".to_owned(), 0)
    );
    assert_eq!(passed(&["Transfer-Encoding: chunked"]), (String::new(), 0));
}

#[test]
fn no_back_end_sets_a_gateway_cookie_or_another_service() {
    for field in [
        "Set-Cookie: __Host-gateway-staff=x; Path=/; Secure",
        "set-cookie: __host-GATEWAY-staff=x",
        "Set-Cookie: __Host-gateway-=x",
        "Set-Cookie:   __Host-gateway-other = x",
        "Set-Cookie: =__Host-gateway-staff=x",
        "Set-Cookie: __Host-gateway-staff",
        "Alt-Svc: h3=\":443\"",
        "alt-svc: clear",
    ] {
        let (text, stripped) = passed(&[field, "Set-Cookie: ok=1"]);
        assert_eq!(
            (text.as_str(), stripped),
            ("Set-Cookie: ok=1\r\n", 1),
            "{field}"
        );
    }
    for field in [
        "Set-Cookie: x=__Host-gateway-staff",
        "Set-Cookie: __Host-other=1",
    ] {
        assert_eq!(passed(&[field]), (format!("{field}\r\n"), 0));
    }
}
