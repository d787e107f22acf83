//! Connect: the parts of its API that the publishing clients call, and the page for browsers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::digest::hex;
use super::identity::Caller;
use super::library::{Content, TIME, USERS, guid_of};
use super::public_url::{Original, base, mount};
use super::reply::Reply;
use super::serve::Request;
use super::{Shared, generic, pages, query};

/// Answers as Connect.
pub(super) fn answer(request: &Request, shared: &Shared) -> Reply {
    let path = request.head.path();
    if let Some(reply) = generic::answer(request, path) {
        return reply;
    }
    match path.strip_prefix("/__api__/") {
        Some(path) => api(request, path, shared).unwrap_or_else(|reply| reply),
        None => outside(request, path, shared).unwrap_or_else(|reply| reply),
    }
}

/// Everything that is not the API: the claim of a token, else a page.
fn outside(request: &Request, path: &str, shared: &Shared) -> Result<Reply, Reply> {
    let head = &request.head;
    let caller = Caller::of(head, request.signature, shared);
    if path == "/__double__/claim" {
        let user = Caller::named(head, shared).require()?;
        let token = query::first(head.query(), "token").ok_or_else(Reply::not_found)?;
        if !shared.tokens.claim(&token, &user) {
            return Err(Reply::not_found());
        }
        return Ok(Reply::json(&json!({"token": token, "username": user})));
    }
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return Err(Reply::not_found());
    }
    let name = match caller {
        Caller::Anonymous => None,
        other => Some(other.require()?),
    };
    Ok(Reply::html(
        200,
        pages::who("Connect", name.as_deref(), &mount(head)),
    ))
}

fn api(request: &Request, path: &str, shared: &Shared) -> Result<Reply, Reply> {
    let head = &request.head;
    let caller = Caller::of(head, request.signature, shared);
    match (head.method.as_str(), path) {
        // A malformed header makes the real one fail, too.
        ("GET", "server_settings") if Original::of(head) == Original::Malformed => {
            Err(Reply::error(500, 0, "malformed X-RSC-Request"))
        }
        ("GET", "server_settings") => Ok(Reply::json(&settings())),
        ("POST", "tokens") => register(request, shared),
        _ => {
            let user = caller.require()?;
            let parts: Vec<&str> = path.split('/').collect();
            match parts.as_slice() {
                ["v1", parts @ ..] => v1(request, parts, &user, shared),
                parts => v0(request, parts, &user, shared),
            }
        }
    }
}

/// The older API, which R's `rsconnect` speaks before 1.0.
fn v0(request: &Request, parts: &[&str], user: &str, shared: &Shared) -> Result<Reply, Reply> {
    let head = &request.head;
    let base = base(head);
    let library = &shared.library;
    let reply = match (head.method.as_str(), parts) {
        ("GET", ["users", "current"]) => user_json(user),
        ("GET", ["applications"]) => {
            let name = query::values(head.query(), "filter")
                .filter_map(|filter| String::from_utf8(filter).ok())
                .find_map(|filter| filter.strip_prefix("name:").map(str::to_owned));
            let found = contents_json(&library.list(name.as_deref()), &base);
            let count = found.as_array().map_or(0, Vec::len);
            json!({"applications": found, "count": count, "total": count})
        }
        ("POST", ["applications"]) => create(request, user, shared)?.to_json(&base),
        ("GET", ["applications", key]) => find(key, shared)?.to_json(&base),
        ("GET", ["applications", key, "config"]) => find(key, shared)?.config_json(&base),
        ("POST", ["applications", key, "upload"]) => upload(request, key, shared)?,
        ("POST", ["applications", key, "deploy"]) => {
            let bundle = json_body(request)?.get("bundle").and_then(number);
            let content = find(key, shared)?;
            let task = library
                .deploy(&content, bundle)
                .ok_or_else(Reply::not_found)?;
            task.to_json_v0(0)
        }
        ("GET", ["tasks", key]) => {
            let first = first_line(request, "first_status");
            library
                .poll(key)
                .ok_or_else(Reply::not_found)?
                .to_json_v0(first)
        }
        _ => return Err(Reply::not_found()),
    };
    Ok(Reply::json(&reply))
}

/// The v1 API, for `rsconnect` from 1.0, `rsconnect-python`, `posit-sdk` and Publisher.
fn v1(request: &Request, parts: &[&str], user: &str, shared: &Shared) -> Result<Reply, Reply> {
    let head = &request.head;
    let base = base(head);
    let library = &shared.library;
    let reply = match (head.method.as_str(), parts) {
        ("GET", ["user"]) => user_json(user),
        ("GET", ["server_settings", "python" | "r" | "quarto" | "nodejs"]) => {
            json!({"installations": [], "api_enabled": true, "conda_enabled": false})
        }
        ("GET", ["content"]) => {
            let name = query::first(head.query(), "name");
            contents_json(&library.list(name.as_deref()), &base)
        }
        ("POST", ["content"]) => create(request, user, shared)?.to_json(&base),
        ("GET", ["content", key]) => find(key, shared)?.to_json(&base),
        ("PATCH", ["content", key]) => library
            .update(key, &json_body(request)?)
            .ok_or_else(Reply::not_found)?
            .to_json(&base),
        ("GET" | "PATCH", ["content", key, "environment"]) => {
            find(key, shared)?;
            json!([])
        }
        ("POST", ["content", key, "bundles"]) => upload(request, key, shared)?,
        ("POST", ["content", key, "deploy" | "build"]) => {
            let bundle = json_body(request)?.get("bundle_id").and_then(number);
            let content = find(key, shared)?;
            let task = library
                .deploy(&content, bundle)
                .ok_or_else(Reply::not_found)?;
            json!({"task_id": task.key()})
        }
        ("GET", ["tasks", key]) => {
            let first = first_line(request, "first");
            library
                .poll(key)
                .ok_or_else(Reply::not_found)?
                .to_json_v1(first)
        }
        _ => return Err(Reply::not_found()),
    };
    Ok(Reply::json(&reply))
}

/// `POST /__api__/tokens`: anybody may bring a key; it is worth nothing until it is claimed.
fn register(request: &Request, shared: &Shared) -> Result<Reply, Reply> {
    let body = json_body(request)?;
    let text = |name| body.get(name).and_then(Value::as_str);
    let (Some(token), Some(key)) = (text("token"), text("public_key")) else {
        return Err(Reply::error(400, 1, "token and public_key are mandatory"));
    };
    let key = STANDARD
        .decode(key)
        .map_err(|_| Reply::error(400, 1, "public_key is not base64"))?;
    if !shared.tokens.register(token.to_owned(), key) {
        return Err(Reply::error(
            409,
            1,
            "the token exists, or there are too many",
        ));
    }
    let base = base(&request.head);
    Ok(Reply::json(&json!({
        "token_claim_url": format!("{base}/connect/#/tokens/{token}/activate"),
    })))
}

fn create(request: &Request, user: &str, shared: &Shared) -> Result<Content, Reply> {
    let body = json_body(request)?;
    let text = |name| body.get(name).and_then(Value::as_str);
    let name = text("name").ok_or_else(|| Reply::error(400, 1, "name is mandatory"))?;
    let content = shared.library.create(name, text("title"), user);
    content.ok_or_else(|| Reply::error(503, 0, "too much content"))
}

fn find(key: &str, shared: &Shared) -> Result<Content, Reply> {
    shared.library.find(key).ok_or_else(Reply::not_found)
}

/// Takes a bundle: a gzip archive, or a form that contains one.
fn upload(request: &Request, key: &str, shared: &Shared) -> Result<Value, Reply> {
    let content = find(key, shared)?;
    let body = &request.body;
    if !body.prefix.starts_with(GZIP) && !body.prefix.starts_with(b"--") {
        return Err(Reply::error(400, 1, "the bundle is not a gzip archive"));
    }
    let bundle = shared
        .library
        .add_bundle(&content, body.length, &body.sha256);
    bundle.ok_or_else(|| Reply::error(503, 0, "too many bundles"))
}

/// An empty body counts as an empty object.
fn json_body(request: &Request) -> Result<Value, Reply> {
    if request.body.length == 0 {
        return Ok(json!({}));
    }
    serde_json::from_slice(&request.body.prefix)
        .map_err(|error| Reply::error(400, 1, &format!("invalid JSON: {error}")))
}

/// R sends numbers, v1 clients send them as text.
fn number(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other
            .as_u64()
            .and_then(|number| usize::try_from(number).ok()),
    }
}

fn first_line(request: &Request, name: &str) -> usize {
    query::first(request.head.query(), name)
        .and_then(|first| first.parse().ok())
        .unwrap_or(0)
}

fn contents_json(contents: &[Content], base: &str) -> Value {
    contents
        .iter()
        .map(|content| content.to_json(base))
        .collect()
}

/// A user in both generations of the API; the number comes from the name, so that it is stable.
fn user_json(name: &str) -> Value {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let digits = hex(digest.as_ref());
    let id = digits
        .get(..6)
        .and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let id = id.unwrap_or_default();
    json!({
        "id": id,
        "guid": guid_of(USERS, id),
        "username": name,
        "first_name": name,
        "last_name": "",
        "email": format!("{name}@example.com"),
        "user_role": "publisher",
        "created_time": TIME,
        "updated_time": TIME,
        "active_time": TIME,
        "confirmed": true,
        "locked": false,
    })
}

/// The version is old enough for `rsconnect-python` to upload bare, chunked archives.
fn settings() -> Value {
    json!({
        "version": "2025.09.0",
        "build": "double",
        "about": "Posit Connect (double)",
        "authentication": {"handles_credentials": false, "handles_login": false, "name": "Proxied"},
        "max_app_image_size": 10_000_000,
    })
}

const GZIP: &[u8] = b"\x1f\x8b";
