//! The `h3` crate as a client: another reading of RFC 9114, on the same QUIC.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use gateway_tests::harness::{ALICE, Backend, CONNECT, Gateway, poll};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::{HeaderMap, Method, Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::gateway;

#[test]
fn the_h3_crate_is_served() {
    let backend = echo();
    let gateway = gateway(&backend);
    served(&gateway, async |mut client| {
        let (answer, body) = ask(&mut client, get(), &[]).await;
        assert_eq!((answer.status().as_u16(), body.len()), (200, 0));
        assert_eq!(answer.headers()["x-method"], "GET");
        assert!(answer.headers().contains_key("set-cookie"));

        // With its length, without, and of more than the windows hold.
        let large: Vec<u8> = (0..5_000_000_u32)
            .map(|number| (number >> 7) as u8)
            .collect();
        for (length, sent) in [(Some(100_000), &large[..100_000]), (None, &large)] {
            let mut post = request(Method::POST);
            if let Some(length) = length {
                post.headers_mut().insert("content-length", length.into());
            }
            let (answer, body) = ask(&mut client, post, sent).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["x-method"], "POST");
            assert!(body == sent, "{} bytes", body.len());
        }

        let (answer, body) = ask(&mut client, request(Method::HEAD), &[]).await;
        assert_eq!((answer.status().as_u16(), body.len()), (200, 0));
    });
    for request in backend.take() {
        assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
        assert!(request.complete);
    }
    let line = gateway.logged("a request", |line| line["method"] == "POST");
    assert_eq!(
        (&line["protocol"], &line["status"]),
        (&"h3".into(), &200.into())
    );
}

#[test]
fn the_h3_crates_trailers_are_dropped() {
    let backend = echo();
    let gateway = gateway(&backend);
    served(&gateway, async |mut client| {
        let mut stream = client.send_request(request(Method::POST)).await.unwrap();
        stream.send_data(Bytes::from_static(b"body")).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-auth-username", "bob".parse().unwrap());
        trailers.insert("x-checksum", "12".parse().unwrap());
        stream.send_trailers(trailers).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        let mut body = BytesMut::new();
        while let Some(mut data) = stream.recv_data().await.unwrap() {
            body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        assert_eq!(body, &b"body"[..]);
        // The back-end's are dropped as well.
        assert_eq!(stream.recv_trailers().await.unwrap(), None);
    });
    let received = backend.one();
    assert_eq!(received.body, b"body");
    assert!(!backend.saw(b"bob") && !backend.saw(b"x-checksum"));
}

#[test]
fn the_h3_crate_asks_for_much_at_once() {
    const MANY: usize = 500;
    let backend = echo();
    let gateway = gateway(&backend);
    served(&gateway, async |mut client| {
        // The login, once; the others wait for it in the gateway.
        let (answer, _) = ask(&mut client, get(), &[]).await;
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let mut asking = JoinSet::new();
        for number in 0..MANY {
            let (mut client, cookie) = (client.clone(), cookie.clone());
            asking.spawn(async move {
                let post = Request::post(format!("https://{CONNECT}/{number}"))
                    .header("cookie", cookie)
                    .body(())
                    .unwrap();
                let sent = number.to_string().repeat(100);
                let (answer, body) = ask(&mut client, post, sent.as_bytes()).await;
                assert_eq!(answer.status(), 200);
                assert_eq!(body, sent.as_bytes());
            });
        }
        while let Some(asked) = asking.join_next().await {
            asked.unwrap();
        }
    });
    assert_eq!(backend.take().len(), MANY + 1);
}

/// Connects, does something, and sees the connection end without an error.
fn served(gateway: &Gateway, work: impl AsyncFnOnce(SendRequest<OpenStreams, Bytes>)) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tls = QuicClientConfig::try_from(gateway.http3_tls()).unwrap();
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let config = ClientConfig::new(Arc::new(tls));
        let connecting = endpoint.connect_with(config, gateway.address(), CONNECT);
        let connection = h3_quinn::Connection::new(connecting.unwrap().await.unwrap());
        let (mut driver, client) = h3::client::new(connection).await.unwrap();
        let driving = tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        timeout(poll::patience(), work(client))
            .await
            .expect("everything is answered");
        // The last handle is gone, and with it the connection.
        let ended = timeout(poll::patience(), driving)
            .await
            .expect("it ends")
            .unwrap();
        assert!(ended.is_h3_no_error(), "{ended}");
        endpoint.wait_idle().await;
    });
}

async fn ask(
    client: &mut SendRequest<OpenStreams, Bytes>,
    request: Request<()>,
    body: &[u8],
) -> (Response<()>, Vec<u8>) {
    let stream = client.send_request(request).await.unwrap();
    let (mut up, mut down) = stream.split();
    let mut body = Bytes::copy_from_slice(body);
    let sending = tokio::spawn(async move {
        while !body.is_empty() {
            let part = body.split_to(body.len().min(99_999));
            up.send_data(part).await.unwrap();
        }
        up.finish().await.unwrap();
    });
    let answer = down.recv_response().await.unwrap();
    let mut received = Vec::new();
    while let Some(mut data) = down.recv_data().await.unwrap() {
        received.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    sending.await.unwrap();
    (answer, received)
}

fn get() -> Request<()> {
    request(Method::GET)
}

fn request(method: Method) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("https://{CONNECT}/"))
        .header("authorization", ALICE.basic())
        .body(())
        .unwrap()
}

/// A back-end that sends back what it is sent, with trailers where there is no length.
fn echo() -> Backend {
    Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            let (method, length) = (&request.method, request.body.len());
            conn.send(format!("HTTP/1.1 200 OK\r\nX-Method: {method}\r\n").as_bytes());
            if request.field("transfer-encoding").is_none() {
                conn.send(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                conn.send(&request.body);
                continue;
            }
            conn.send(format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n").as_bytes());
            conn.send(&request.body);
            conn.send(b"\r\n0\r\nX-Trailer: 1\r\n\r\n");
        }
    })
}
