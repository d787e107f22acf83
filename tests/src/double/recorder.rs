//! Remembers the requests, for the observation listener.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::digest::Summary;
use super::head::Head;

/// The requests of both apps, in the order in which they were complete.
#[derive(Default)]
pub(super) struct Recorder {
    requests: Mutex<Requests>,
}

impl Recorder {
    /// Keeps a request; the oldest ones go when there are too many.
    pub(super) fn record(
        &self,
        app: &'static str,
        head: &Head,
        body: &Summary,
        signature: Option<bool>,
    ) {
        let record = Record {
            app,
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.lines.iter().map(|line| lossy(line)).collect(),
            body_length: body.length,
            body_sha256: body.sha256.clone(),
            signature,
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.bytes += record.size();
        requests.queue.push_back(record);
        while requests.queue.len() > REQUEST_LIMIT || requests.bytes > BYTE_LIMIT {
            let Some(oldest) = requests.queue.pop_front() else {
                break;
            };
            requests.bytes -= oldest.size();
        }
    }

    /// All requests, oldest first.
    pub(super) fn to_json(&self) -> Value {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.queue.iter().map(Record::to_json).collect()
    }

    /// Forgets all requests.
    pub(super) fn clear(&self) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner) = Requests::default();
    }
}

#[derive(Default)]
struct Requests {
    queue: VecDeque<Record>,
    bytes: usize,
}

struct Record {
    app: &'static str,
    method: String,
    target: String,
    headers: Vec<String>,
    body_length: u64,
    body_sha256: String,
    signature: Option<bool>,
}

impl Record {
    fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(String::len).sum();
        size_of::<Self>() + self.method.len() + self.target.len() + headers
    }

    fn to_json(&self) -> Value {
        json!({
            "app": self.app,
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body_length": self.body_length,
            "body_sha256": self.body_sha256,
            "signature": self.signature,
        })
    }
}

/// Text for JSON; what is not UTF-8 becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const REQUEST_LIMIT: usize = 10_000;
const BYTE_LIMIT: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_bounds() {
        let recorder = Recorder::default();
        for number in 0..=REQUEST_LIMIT {
            let head = Head {
                method: "GET".to_owned(),
                target: format!("/{number}"),
                lines: vec![b"A: \xff".to_vec()],
                ..Head::default()
            };
            recorder.record("connect", &head, &Summary::default(), Some(true));
        }
        let json = recorder.to_json();
        assert_eq!(json.as_array().unwrap().len(), REQUEST_LIMIT);
        assert_eq!(json[0]["target"], "/1");
        assert_eq!(json[0]["headers"], json!(["A: \u{fffd}"]));
        assert_eq!(json[0]["signature"], true);
        recorder.clear();
        assert_eq!(recorder.to_json(), json!([]));
    }

    #[test]
    fn bounds_the_bytes() {
        let recorder = Recorder::default();
        let head = Head {
            lines: vec![vec![b'x'; BYTE_LIMIT / 3]],
            ..Head::default()
        };
        for _ in 0..5 {
            recorder.record("connect", &head, &Summary::default(), None);
        }
        assert_eq!(recorder.to_json().as_array().unwrap().len(), 2);
    }
}
