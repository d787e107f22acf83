//! What the guard's metrics listener answers.

use std::time::Duration;

use guard::control::{Answer, Reply};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::metrics;
use crate::operator_http::Page;

/// The answers, by path. `ask` asks the service for its status.
pub(super) struct Pages<A> {
    ask: A,
    seen: Mutex<Option<Seen>>,
}

/// The last metrics.
struct Seen {
    at: Instant,
    text: String,
}

impl<A, F> Pages<A>
where
    A: Fn() -> F,
    F: Future<Output = Reply>,
{
    /// Nothing was asked yet.
    pub(super) fn new(ask: A) -> Self {
        Self {
            ask,
            seen: Mutex::new(None),
        }
    }

    /// The page at a path.
    pub(super) async fn at(&self, path: &[u8]) -> Page {
        match path {
            b"/healthz" => Page::text(200, "OK", "ok\n"),
            b"/metrics" => self.metrics().await,
            _ => Page::text(404, "Not Found", "try /metrics or /healthz\n"),
        }
    }

    async fn metrics(&self) -> Page {
        // Held while the service is asked: who comes meanwhile gets the same answer.
        let mut seen = self.seen.lock().await;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.at.elapsed() < FRESH) {
            return Page::metrics(seen.text.clone());
        }
        match (self.ask)().await {
            Reply::Ok(Answer::Status(status)) => {
                let text = metrics::render(&status);
                *seen = Some(Seen {
                    at: Instant::now(),
                    text: text.clone(),
                });
                Page::metrics(text)
            }
            Reply::Ok(_) | Reply::Send => {
                Page::text(500, "Internal Server Error", "another answer\n")
            }
            Reply::Error(error) => Page::text(503, "Service Unavailable", format!("{error}\n")),
        }
    }
}

/// How long an answer is given again: anybody on the host may ask, and each status takes time
/// that the service needs to look after its programs.
const FRESH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use guard::status::Status;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_scrapes_is_one_status_a_second() {
        let asked = AtomicU32::new(0);
        let pages = Pages::new(|| async {
            asked.fetch_add(1, Ordering::Relaxed);
            let json = include_str!("../../guard/src/status/expected.json");
            let status: Status = serde_json::from_str(json).unwrap();
            Reply::Ok(Answer::Status(Box::new(status)))
        });
        for seconds in 1..4 {
            for _ in 0..100 {
                assert_eq!(pages.at(b"/metrics").await.status(), 200);
            }
            assert_eq!(asked.load(Ordering::Relaxed), seconds);
            tokio::time::advance(FRESH).await;
        }
        pages.at(b"/healthz").await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    /// The next one may be better.
    #[tokio::test]
    async fn an_error_is_not_kept() {
        let asked = AtomicU32::new(0);
        let pages = Pages::new(|| async {
            asked.fetch_add(1, Ordering::Relaxed);
            Reply::Error("not now".into())
        });
        for count in 1..3 {
            assert_eq!(pages.at(b"/metrics").await.status(), 503);
            assert_eq!(asked.load(Ordering::Relaxed), count);
        }
    }
}
