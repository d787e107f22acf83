//! Shiny for Python (uvicorn) and for R (httpuv): one protocol, two servers.

use std::process::Command;

use gateway_tests::harness::{free_address, is_soak, tool, workspace};
use serde_json::{Value, json};

use crate::running::{Running, module, script};
use crate::site::{ANSWER, Site, TUNNEL};

#[test]
fn shiny_for_python_keeps_its_visitors() {
    python().keeps_its_visitors(true, tells);
}

#[test]
fn shiny_for_python_cannot_be_told_another_name() {
    python().cannot_be_told_another_name(&[
        "X-Auth-Username",
        "x-auth-username",
        "X-AUTH-USERNAME",
        "twice",
        "both spellings",
        "space after the value",
    ]);
}

#[test]
fn shiny_for_r_keeps_its_visitors() {
    r().keeps_its_visitors(true, tells);
}

#[test]
fn a_session_of_shiny_for_r_ends_when_its_websocket_may_rest_no_longer() {
    Site::hurried(r_app(), VISITOR, HEADER, &[ANSWER, TUNNEL]).ends_what_rests();
}

#[test]
fn shiny_for_r_cannot_be_told_another_name() {
    // As in CGI, `-` and `_` are one.
    r().cannot_be_told_another_name(&[
        "X-Auth-Username",
        "x-auth-username",
        "X-AUTH-USERNAME",
        "X_Auth_Username",
        "x_auth_username",
        "X_AUTH_USERNAME",
        "X_Auth-Username",
        "twice",
        "both spellings",
        "space after the value",
        "in Connection",
    ]);
}

fn python() -> Site {
    let address = free_address();
    let mut shiny = module("uvicorn");
    shiny
        .args(["--host", "127.0.0.1", "--port"])
        .arg(address.port().to_string())
        .arg("--app-dir")
        .arg(workspace().join("tests/clients"))
        .arg("shiny_app:app");
    if !is_soak() {
        // Within the short time-out of WebSockets.
        shiny.args(["--ws-ping-interval", "1"]);
    }
    let app = Running::start(&mut shiny, address, "/");
    Site::start(app, VISITOR, HEADER, &[ANSWER, TUNNEL])
}

/// httpuv sends no pings: its visitors stay as long as a silent WebSocket may last.
fn r() -> Site {
    Site::start(r_app(), VISITOR, HEADER, &[ANSWER])
}

fn r_app() -> Running {
    let address = free_address();
    let mut shiny = Command::new(tool("Rscript"));
    shiny
        .arg(script("shiny_app.R"))
        .arg(address.port().to_string());
    Running::start(&mut shiny, address, "/")
}

fn tells(name: &str) -> Value {
    json!([
        {"who": name, "echo": format!("echo: first of {name}")},
        {"echo": format!("echo: second of {name}")},
    ])
}

const VISITOR: &str = "visit_shiny.py";
const HEADER: &str = "X-Auth-Username";
