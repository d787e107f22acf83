//! The observation listener.

use super::Shared;
use super::reply::Reply;
use super::serve::Request;

/// `GET /requests` shows what came, `DELETE /requests` forgets it.
pub(super) fn answer(request: &Request, shared: &Shared) -> Reply {
    match (request.head.method.as_str(), request.head.path()) {
        ("GET", "/requests") => Reply::json(&shared.recorder.to_json()),
        ("DELETE", "/requests") => {
            shared.recorder.clear();
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}
