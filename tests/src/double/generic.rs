//! What both apps offer to any test: sources, sinks and mirrors. None of it asks who is there.

use serde_json::{Value, json};

use super::query;
use super::recorder::lossy;
use super::reply::Reply;
use super::serve::Request;

/// Answers if the path, without the app's own prefix, is one of these:
///
/// - `GET /bytes/N`, `GET /chunked/N`: N bytes, byte `i` being `i mod 251`
/// - `GET /slow/N`: N lines, a tenth of a second apart
/// - `/status/CODE`: that status; 1xx is followed by a 200
/// - `/answer?status=CODE&header=LINE…`: that status and those header lines, verbatim
/// - `POST|PUT /sink`: `{"length":…,"sha256":…}` of the body
/// - `/headers`: `{"method":…,"target":…,"headers":[…]}` of the request
/// - `GET /__ping__`: 200
pub(super) fn answer(request: &Request, path: &str) -> Option<Reply> {
    let head = &request.head;
    let method = head.method.as_str();
    let (first, rest) = path.strip_prefix('/')?.split_once('/').unzip();
    let number = rest.and_then(|rest| rest.parse::<u64>().ok());
    match (method, first.unwrap_or(path), number) {
        ("GET" | "HEAD", "bytes", Some(length)) => Some(Reply::pattern(length, false)),
        ("GET" | "HEAD", "chunked", Some(length)) => Some(Reply::pattern(length, true)),
        ("GET" | "HEAD", "slow", Some(lines)) => Some(Reply::slow(lines)),
        (_, "status", Some(status)) => Some(Reply::empty(status_code(status)?)),
        (_, "/answer", _) => Some(verbatim(head.query())),
        ("POST" | "PUT", "/sink", _) => Some(Reply::json(&json!({
            "length": request.body.length,
            "sha256": request.body.sha256,
        }))),
        (_, "/headers", _) => Some(Reply::json(&json!({
            "method": method,
            "target": head.target,
            "headers": head.lines.iter().map(|line| lossy(line)).collect::<Value>(),
        }))),
        ("GET" | "HEAD", "/__ping__", _) => Some(Reply::json(&json!({}))),
        _ => None,
    }
}

fn verbatim(query: &str) -> Reply {
    let status = query::first(query, "status").and_then(|status| status_code(status.parse().ok()?));
    query::values(query, "header").fold(Reply::empty(status.unwrap_or(200)), Reply::with_line)
}

fn status_code(number: u64) -> Option<u16> {
    u16::try_from(number)
        .ok()
        .filter(|status| (100..1000).contains(status))
}
