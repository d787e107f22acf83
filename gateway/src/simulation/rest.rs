//! How long a client may rest between requests, and with one begun: to the millisecond.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};

use super::breathe;
use super::site::{PEER, Site};
use super::stream::Stream;
use crate::serve::{Client, serve};

/// However long others rested before.
#[test]
fn who_rests_has_as_long_as_idle_says() {
    with_a_client(async |mut ours, task| {
        for rest in [0, 999, 1000, 1001, 29_000] {
            advance(Duration::from_millis(rest)).await;
            ask(&mut ours).await;
        }
        assert!(lasts(task, 30_000..30_010).await);
    });
}

#[test]
fn who_begins_a_head_has_as_long_as_head_says() {
    for rest in [0, 999, 1000, 1001, 29_000] {
        with_a_client(async |mut ours, task| {
            ask(&mut ours).await;
            advance(Duration::from_millis(rest)).await;
            ours.send(b"GET / HT").unwrap();
            breathe(20).await;
            // What came too slowly is answered, and the connection lingers for 5 s.
            assert!(lasts(task, 15_000..15_010).await, "begun after {rest} ms");
            let mut answer = Vec::new();
            ours.receive(&mut answer, 10_000);
            assert!(answer.starts_with(b"HTTP/1.1 408 "), "after {rest} ms");
        });
    }
}

fn with_a_client(test: impl AsyncFnOnce(Stream, JoinHandle<()>)) {
    let site = Site::start();
    site.runtime().block_on(async {
        let worker = site.worker();
        let (ours, theirs) = Stream::pair();
        let task = tokio::task::spawn_local(async move {
            let front = Arc::clone(&worker.shared.listeners[0]);
            let client = Client::new(front, theirs, 0, PEER.parse().unwrap(), None);
            serve(&worker, client).await;
        });
        test(ours, task).await;
    });
}

/// Has a request refused by the gateway itself, which keeps the connection.
async fn ask(stream: &mut Stream) {
    stream
        .send(b"GET / HTTP/1.1\r\nHost: connect.test\r\n\r\n")
        .expect("the connection is open");
    breathe(20).await;
    let mut answer = Vec::new();
    stream.receive(&mut answer, 10_000);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    assert!(!text.contains("Connection: close"), "{text}");
}

/// Whether a connection ends by itself after so many milliseconds.
async fn lasts(task: JoinHandle<()>, expected: Range<u128>) -> bool {
    let begun = Instant::now();
    task.await.expect("no connection's task panics");
    let lasted = begun.elapsed().as_millis();
    println!("{lasted} ms");
    expected.contains(&lasted)
}
