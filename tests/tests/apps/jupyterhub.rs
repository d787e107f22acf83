//! JupyterHub: a login by header, a server for each user, and a kernel on a WebSocket.

use gateway_tests::harness::free_address;
use serde_json::json;

use crate::running::{Running, module, script};
use crate::site::Site;

#[test]
fn jupyterhub_keeps_its_visitors_and_their_kernels() {
    jupyterhub().keeps_its_visitors(
        true,
        |name| json!([{"who": name, "server": name, "result": "42"}, {"result": "42"}]),
    );
}

#[test]
fn jupyterhub_cannot_be_told_another_name() {
    jupyterhub().cannot_be_told_another_name(&[
        "X-Auth-Username",
        "x-auth-username",
        "X-AUTH-USERNAME",
        "twice",
        "both spellings",
        "space after the value",
        "in Connection",
    ]);
}

fn jupyterhub() -> Site {
    let address = free_address();
    let mut hub = module("jupyterhub");
    hub.arg("--config")
        .arg(script("jupyterhub_config.py"))
        .env("HUB_PORT", address.port().to_string())
        .env("HUB_API_PORT", free_address().port().to_string())
        .env("HUB_PROXY_API_PORT", free_address().port().to_string());
    let app = Running::start(&mut hub, address, "/hub/health");
    // The hub is slow while it starts servers, and its proxy passes no pings on.
    Site::start(app, "visit_jupyterhub.py", "X-Auth-Username", &[])
}
