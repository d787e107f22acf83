//! The Connect double before the real clients, with no gateway between: the oracle must be right.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a fault in a helper is a failed test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use gateway_tests::double::TEST_API_KEY;
use gateway_tests::harness::{Authority, Dir, poll, python, tool, workspace};
use serde_json::{Value, json};

#[test]
fn r_deploys() {
    let Some(rscript) = rscript() else { return };
    let double = Running::start();
    let output = Command::new(rscript)
        .arg(client("deploy.R"))
        .env("CONNECT_URL", double.url())
        .env("BUNDLE_BYTES", "3000000")
        .output()
        .unwrap();
    assert_says(&output, "DEPLOYED by R rsconnect");
    let requests = double.requests();
    let api = requests.iter().filter(|request| {
        let target = request["target"].as_str().unwrap();
        target.starts_with("/__api__/") && !DISCOVERY.contains(&target)
    });
    let signatures: Vec<_> = api.map(|request| &request["signature"]).collect();
    assert!(signatures.len() > 5, "{requests:#?}");
    assert!(
        signatures.iter().all(|verdict| **verdict == true),
        "{requests:#?}"
    );
    let upload = find(&requests, "POST", "/__api__/applications/1/upload");
    assert!(upload["body_length"].as_u64().unwrap() > 3_000_000);
    for path in DISCOVERY {
        let request = requests.iter().find(|request| request["target"] == path);
        let request = request.unwrap();
        assert_eq!(request["signature"], Value::Null);
        assert_eq!(values(request, "X-Auth-Token"), ["anonymous-access"]);
    }
}

#[test]
fn rsconnect_python_deploys() {
    let double = Running::start();
    let output = Command::new(client("deploy_python.sh"))
        .env("GATEWAY_TEST_PYTHON", python())
        .env("CONNECT_URL", double.url())
        .env("CONNECT_API_KEY", TEST_API_KEY)
        .env("BUNDLE_BYTES", "300000")
        .output()
        .unwrap();
    assert_says(&output, "DEPLOYED by rsconnect-python");
    let requests = double.requests();
    for request in &requests {
        assert_eq!(
            values(request, "Authorization"),
            [format!("Key {TEST_API_KEY}")]
        );
        assert_eq!(request["signature"], Value::Null);
    }
    let upload = requests.iter().find(|request| {
        request["target"]
            .as_str()
            .is_some_and(|target| target.ends_with("/bundles"))
    });
    let upload = upload.unwrap();
    assert_eq!(values(upload, "Transfer-Encoding"), ["chunked"]);
    assert!(upload["body_length"].as_u64().unwrap() > 300_000);
}

#[test]
fn posit_sdk_deploys_and_understands_a_refusal() {
    let double = Running::start();
    let run = |script: &str, key: &str| {
        Command::new(python())
            .arg(client(script))
            .env("CONNECT_URL", double.url())
            .env("CONNECT_API_KEY", key)
            .output()
            .unwrap()
    };
    assert_says(
        &run("deploy_sdk.py", TEST_API_KEY),
        "DEPLOYED by posit-sdk as publisher",
    );
    let wrong = TEST_API_KEY.replace('0', "f");
    assert_says(
        &run("sdk_error.py", &wrong),
        "ClientError: 401 30 We couldn't log you in",
    );
    assert!(!run("sdk_error.py", TEST_API_KEY).status.success());
    assert!(!run("deploy_sdk.py", &wrong).status.success());
}

#[test]
fn websockets_are_echoed() {
    let double = Running::start();
    let output = Command::new(python())
        .arg(client("websocket.py"))
        .env("WS_URL", format!("ws://{}/ws", double.connect))
        .output()
        .unwrap();
    assert_says(&output, "ECHOED by websockets");
    let requests = double.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(values(&requests[0], "Upgrade"), ["websocket"]);
}

#[test]
fn deployr_demands_a_client_certificate() {
    let dir = Dir::new();
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (certificate, key) = ours.server(&["localhost"]).write(dir.path(), "server");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    let double = Running::with(&[
        "--deployr".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--tls-cert".as_ref(),
        certificate.as_path(),
        "--tls-key".as_ref(),
        key.as_path(),
        "--client-ca".as_ref(),
        ca.as_path(),
    ]);
    let port = double.deployr.unwrap().port();
    let url = format!("https://localhost:{port}/deployr/r/user/about");
    let get = |client: Option<(PathBuf, PathBuf)>| {
        let mut curl = Command::new(tool("curl"));
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--header",
            "X-Auth-Username: alice",
        ]);
        curl.arg("--cacert").arg(&ca).arg(&url);
        if let Some((certificate, key)) = client {
            curl.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        curl.output().unwrap()
    };
    let output = get(Some(ours.client("gateway").write(dir.path(), "client")));
    assert_says(&output, r#""username":"alice""#);
    for refused in [
        None,
        Some(other.client("gateway").write(dir.path(), "foreign")),
        Some(ours.expired_client("gateway").write(dir.path(), "expired")),
    ] {
        assert!(!get(refused.clone()).status.success(), "{refused:?}");
    }
    let requests = double.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["app"], "deployr");
}

#[test]
fn bodies_stream_both_ways() {
    let double = Running::start();
    let dir = Dir::new();
    let file = dir.path().join("body");
    let down = curl(&[&format!("{}/chunked/20000000", double.url())]);
    assert_eq!(down.len(), 20_000_000);
    assert!(
        down.iter()
            .enumerate()
            .all(|(i, byte)| i % 251 == usize::from(*byte))
    );
    assert_eq!(curl(&[&format!("{}/bytes/20000000", double.url())]), down);
    std::fs::write(&file, &down).unwrap();
    let upload = format!("@{}", file.display());
    let sink = format!("{}/sink", double.url());
    // curl waits for the 100 above 1 MiB; an hour of patience shows that it comes.
    let with_length = [
        "--expect100-timeout",
        "3600",
        "--data-binary",
        &upload,
        &sink,
    ];
    let chunked = [
        "--header",
        "Transfer-Encoding: chunked",
        "--data-binary",
        &upload,
        &sink,
    ];
    let digest = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &down).as_ref());
    for arguments in [&with_length, &chunked] {
        let answer: Value = serde_json::from_slice(&curl(arguments)).unwrap();
        assert_eq!(answer, json!({"length": 20_000_000, "sha256": digest}));
    }
    let requests = double.requests();
    assert_eq!(values(&requests[2], "Expect"), ["100-continue"]);
    assert_eq!(requests[3]["body_sha256"], json!(digest));
}

#[test]
fn headers_are_shown_as_they_came() {
    let double = Running::start();
    let lines = [
        "hOsT:h",
        "X-Auth-Username: alice",
        "x_auth_username:  eve ",
        "X-auth-username: bob",
    ];
    let answer = double.raw(&format!(
        "GET /x HTTP/1.1\r\n{}\r\n\r\n",
        lines.join("\r\n")
    ));
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let cut = double.raw("POST /sink HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    assert!(cut.starts_with("HTTP/1.1 400 "), "{cut}");
    let head = double.raw("GET /half HTTP/1.1\r\nX-Half: y");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let early = double.raw("POST /early/413 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    assert!(early.starts_with("HTTP/1.1 413 "), "{early}");
    let requests = double.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0]["headers"], json!(lines));
    assert_eq!(requests[1]["body_length"], 3);
    assert_eq!(requests[2]["headers"], json!(["X-Half: y"]));
    assert_eq!(requests[3]["target"], "/early/413");
    curl(&[
        "--request",
        "DELETE",
        &format!("http://{}/requests", double.inspect),
    ]);
    assert_eq!(double.requests(), [Value::Null; 0]);
}

#[test]
fn visitors_see_their_name() {
    let double = Running::start();
    let page =
        |header: &str| String::from_utf8(curl(&["--header", header, &double.url()])).unwrap();
    assert!(page("X-Auth-Username: alice").contains("Connect sees you as <b id=\"who\">alice</b>"));
    assert!(page("X-Other: alice").contains("<b id=\"who\">nobody</b>"));
}

#[test]
fn the_double_ends_with_its_parent() {
    let mut double = Running::start();
    drop(double.child.stdin.take());
    let status = poll::until("the double ends", || double.child.try_wait().unwrap());
    assert!(status.success());
}

/// A double in a process of its own.
struct Running {
    child: Child,
    connect: SocketAddr,
    deployr: Option<SocketAddr>,
    inspect: SocketAddr,
}

impl Running {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(arguments: &[&Path]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_connect-double"))
            .args(["--exit-with-stdin", "--connect", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = |app: &str| ready[app].as_str().map(|text| text.parse().unwrap());
        Self {
            connect: address("connect").unwrap(),
            deployr: address("deployr"),
            inspect: address("inspect").unwrap(),
            child,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.connect)
    }

    fn requests(&self) -> Vec<Value> {
        let json = curl(&[&format!("http://{}/requests", self.inspect)]);
        serde_json::from_slice(&json).unwrap()
    }

    /// Sends bytes, then the end of the stream; what comes back.
    fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.connect).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// R, which a developer may lack but the pipeline may not, unless it says so.
fn rscript() -> Option<PathBuf> {
    let missing = Command::new("Rscript").arg("--version").output().is_err();
    if missing && std::env::var_os("CI_ALLOW_SKIP").is_some_and(|value| value == "1") {
        println!("skipped: R is not installed, and CI_ALLOW_SKIP=1");
        return None;
    }
    Some(tool("Rscript"))
}

fn client(name: &str) -> PathBuf {
    workspace().join("tests/clients").join(name)
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool("curl"))
        .args(["--silent", "--show-error", "--fail"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

#[track_caller]
fn assert_says(output: &Output, text: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains(text),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
}

fn find<'a>(requests: &'a [Value], method: &str, target: &str) -> &'a Value {
    let wanted = |request: &&Value| request["method"] == method && request["target"] == target;
    requests.iter().find(wanted).unwrap()
}

fn values(request: &Value, name: &str) -> Vec<String> {
    let lines = request["headers"].as_array().unwrap().iter();
    let fields = lines.filter_map(|line| line.as_str().unwrap().split_once(": "));
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What R asks before it has a credential.
const DISCOVERY: [&str; 2] = ["/__api__/server_settings", "/__api__/tokens"];
