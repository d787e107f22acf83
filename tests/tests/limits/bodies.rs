//! The size of bodies.

use gateway_tests::harness::{ALICE, App, Backend, Pool, Request, Setup};

#[test]
fn bodies_are_limited_by_app_declared_or_chunked() {
    let backend = Backend::recording();
    let gateway = Setup::new()
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().line("max_body = 1000"))
        .app(app("free", ""))
        .app(app("small", "max_body = 10"))
        .start();
    let declared = |target: &str, length: usize| {
        Request::new("POST", target)
            .with_body(&vec![b'x'; length])
            .bytes()
    };
    let chunked = |target: &str, length: usize| {
        let mut bytes = Request::new("POST", target)
            .field("Transfer-Encoding", "chunked")
            .bytes();
        // In pieces, so that no single chunk is over the limit.
        for piece in vec![b'x'; length].chunks(9) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let mut refused = 0.0;
    for (target, length, fits) in [
        ("/x", 1000, true),
        ("/x", 1001, false),
        ("/x", 100_000, false),
        ("/small/x", 10, true),
        ("/small/x", 11, false),
        ("/free/x", 100_000, true),
    ] {
        for message in [declared(target, length), chunked(target, length)] {
            let mut client = gateway.client();
            // A login of its own, so that the message stays as it is.
            let login = client.ask(&Request::get("/x").by(&ALICE)).expect(200);
            let cookie = login.field("set-cookie").unwrap();
            let cookie = format!("Cookie: {}\r\n\r\n", cookie.split(';').next().unwrap());
            backend.take();
            let message = with_last_field(&message, &cookie);
            // The answer may come, and the connection end, before all is sent.
            let _early = client.try_send(&message);
            if fits {
                client.answer().expect(200);
                assert_eq!(backend.one().body.len(), length, "{target}");
                continue;
            }
            let answer = client.answer().expect_json(413);
            assert_eq!(answer.field("connection"), Some("close"));
            refused += 1.0;
            gateway.counted(REFUSALS, &[("reason", "body_too_large")], refused);
            let whole = backend.take().into_iter().filter(|one| one.complete);
            assert_eq!(whole.count(), 0, "{target} {length}");
        }
    }
    // Nobody is told to send what will be refused.
    let request = Request::new("POST", "/x").by(&ALICE);
    let request = request
        .field("Content-Length", "1001")
        .field("Expect", "100-continue");
    let answer = gateway.ask(&request).expect_json(413);
    assert_eq!(answer.interim, []);
}

/// Puts a field into a message at the end of its head.
fn with_last_field(message: &[u8], field: &str) -> Vec<u8> {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap();
    [&message[..end + 2], field.as_bytes(), &message[end + 4..]].concat()
}

fn app(name: &str, line: &str) -> App {
    let url = format!("https://connect.test/{name}/");
    App::new(name, "generic", &url, "staff", "connect").line(line)
}

const REFUSALS: &str = "connect_gateway_refusals_total";
