//! A back-end in the manner of DeployR: its own paths, and the visitor's name from the gateway.

use serde_json::json;

use super::identity::Caller;
use super::reply::Reply;
use super::serve::Request;
use super::{Shared, generic, pages};

/// Answers with or without the servlet context `/deployr` in front.
pub(super) fn answer(request: &Request, shared: &Shared) -> Reply {
    let head = &request.head;
    let (mount, path) = match head.path().strip_prefix(CONTEXT) {
        Some(path) if path.is_empty() || path.starts_with('/') => (CONTEXT, path),
        _ => ("", head.path()),
    };
    if let Some(reply) = generic::answer(request, path) {
        return reply;
    }
    let name = match Caller::named(head, shared) {
        Caller::Known(name) => Some(name),
        Caller::Anonymous => None,
        Caller::Rejected | Caller::Unclaimed => {
            return Reply::error(401, 30, "more than one name, or an empty one");
        }
    };
    match (head.method.as_str(), path) {
        ("GET" | "POST", "/r/user/about" | "/r/user/login") => Reply::json(&json!({
            "deployr": {"response": {
                "success": true,
                "call": path,
                "user": {"username": name},
            }},
        })),
        ("POST", "/login" | "/login/refreshToken") => Reply::json(&json!({
            "token_type": "Bearer",
            "access_token": "access-token-of-the-double",
            "refresh_token": "refresh-token-of-the-double",
            "expires_in": "3600",
        })),
        ("DELETE", "/login/refreshToken") => Reply::empty(200),
        ("GET" | "HEAD", _) => Reply::html(200, pages::who("DeployR", name.as_deref(), mount)),
        _ => Reply::not_found(),
    }
}

const CONTEXT: &str = "/deployr";
