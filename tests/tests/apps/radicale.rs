//! Radicale: no WebSocket, but WebDAV's methods, and access control by name.

use gateway_tests::harness::free_address;
use serde_json::json;

use crate::running::{Running, module};
use crate::site::{ANSWER, Site};

#[test]
fn radicale_keeps_its_visitors() {
    radicale().keeps_its_visitors(false, |name| {
        json!([
            {"who": name, "stored": true, "listed": true, "others_refused": true},
            {"closed": true, "who": name, "stored": true},
        ])
    });
}

#[test]
fn radicale_cannot_be_told_another_name() {
    // As in CGI, `-` and `_` are one.
    radicale().cannot_be_told_another_name(&[
        "X-Remote-User",
        "x-remote-user",
        "X-REMOTE-USER",
        "X_Remote_User",
        "x_remote_user",
        "X_REMOTE_USER",
        "X_Remote-User",
        "space after the value",
        "in Connection",
    ]);
}

fn radicale() -> Site {
    let address = free_address();
    let mut radicale = module("radicale");
    radicale
        .arg("--server-hosts")
        .arg(address.to_string())
        .args(["--auth-type", "http_x_remote_user", "--auth-delay", "0"])
        .args(["--rights-type", "owner_only"])
        .args(["--storage-filesystem-folder", "collections"]);
    let app = Running::start(&mut radicale, address, "/");
    Site::start(app, "visit_radicale.py", "X-Remote-User", &[ANSWER])
}
