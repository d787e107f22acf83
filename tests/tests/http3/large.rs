//! Promise P7 over HTTP/3: bodies of any size in memory that does not grow with them.
//! 1 GiB each with `GATEWAY_TEST_SCALE=full`, 64 MiB each otherwise.

use aws_lc_rs::digest::{Context, SHA256};
use gateway_tests::harness::bulk::{MIB, in_bounded_memory, sink, summed};
use gateway_tests::harness::{ALICE, Backend, Gateway, Http3, OK, Request, poll, scale};

use crate::gateway;

#[test]
fn a_large_upload() {
    let (backend, sums) = sink();
    let gateway = gateway(&backend);
    let client = warm(&gateway);
    let length = size().to_string();
    for known in [true, false] {
        in_bounded_memory(&gateway, || {
            let mut request = Request::new("POST", "/upload").by(&ALICE);
            if known {
                request = request.field("Content-Length", &length);
            }
            let mut stream = client.begin(&request);
            let sum = summed(size(), |part| {
                stream.send_data(part);
            });
            stream.finish().read_answer().unwrap().expect(200);
            assert_eq!(sums.recv_timeout(poll::patience()).unwrap(), sum);
        });
    }
    let uploads = gateway.access_log();
    let uploads = uploads.iter().filter(|line| line["path"] == "/upload");
    for line in uploads {
        assert_eq!(line["bytes_in"].as_u64(), Some(size()));
    }
}

#[test]
fn a_large_download() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let chunked = match request.target.as_str() {
                "/chunked" => true,
                "/length" => false,
                _ => {
                    conn.send(OK);
                    continue;
                }
            };
            conn.send(
                match chunked {
                    true => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
                    false => {
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", size()).into()
                    }
                }
                .as_slice(),
            );
            summed(size(), |part| {
                if chunked {
                    conn.send(format!("{:x}\r\n", part.len()).as_bytes());
                }
                conn.send(part);
                if chunked {
                    conn.send(b"\r\n");
                }
            });
            if chunked {
                conn.send(b"0\r\n\r\n");
            }
        }
    });
    let gateway = gateway(&backend);
    let client = warm(&gateway);
    for target in ["/length", "/chunked"] {
        in_bounded_memory(&gateway, || {
            let mut stream = client.begin(&Request::get(target).by(&ALICE));
            stream.finish();
            assert_eq!(stream.status(), 200);
            let (mut sum, mut length) = (Context::new(&SHA256), 0);
            while let Some(piece) = stream.piece() {
                sum.update(&piece);
                length += piece.len() as u64;
            }
            assert_eq!(length, size());
            assert_eq!(sum.finish().as_ref(), summed(size(), |_| ()), "{target}");
        });
        let line = gateway.logged("the download", |line| line["path"] == target);
        assert_eq!(line["bytes_out"].as_u64(), Some(size()));
    }
}

/// A connection over which requests have gone, so that caches and pools are as full as they get.
fn warm(gateway: &Gateway) -> Http3 {
    let client = gateway.http3();
    for _ in 0..3 {
        client.ask(&Request::get("/warm").by(&ALICE)).expect(200);
    }
    client
}

fn size() -> u64 {
    scale(64, 1024) * MIB
}
