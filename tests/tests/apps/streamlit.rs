//! Streamlit: protocol buffers on a WebSocket with a subprotocol.

use gateway_tests::harness::{free_address, is_soak};
use serde_json::json;

use crate::running::{Running, module, script};
use crate::site::{ANSWER, Site, TUNNEL};

#[test]
fn streamlit_keeps_its_visitors() {
    // The counter is each visitor's own.
    streamlit().keeps_its_visitors(
        true,
        |name| json!([{"who": name, "counts": ["0", "1", "2"]}, {"counts": ["3"]}]),
    );
}

#[test]
fn streamlit_cannot_be_told_another_name() {
    streamlit().cannot_be_told_another_name(&[
        "X-Auth-Username",
        "x-auth-username",
        "X-AUTH-USERNAME",
        "twice",
        "both spellings",
        "space after the value",
    ]);
}

fn streamlit() -> Site {
    let address = free_address();
    let mut streamlit = module("streamlit");
    streamlit
        .arg("run")
        .arg(script("streamlit_app.py"))
        .args(["--server.address", "127.0.0.1", "--server.port"])
        .arg(address.port().to_string())
        .args(["--server.headless", "true"])
        .args(["--server.fileWatcherType", "none"])
        // It would report to its makers.
        .args(["--browser.gatherUsageStats", "false"]);
    if !is_soak() {
        // Within the short time-out of WebSockets.
        streamlit.args(["--server.websocketPingInterval", "1"]);
    }
    let app = Running::start(&mut streamlit, address, "/_stcore/health");
    Site::start(
        app,
        "visit_streamlit.py",
        "X-Auth-Username",
        &[ANSWER, TUNNEL],
    )
}
