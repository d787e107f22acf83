//! The real clients, through the gateway, to the Connect double: signatures and checksums are
//! verified over what arrives there.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use gateway_tests::double::{Double, Options, TEST_API_KEY};
use gateway_tests::harness::{
    ALICE, App, Client, Gateway, Pool, Request, Setup, free_address, python, scale, tool, workspace,
};
use serde_json::Value;

#[test]
fn r_deploys_through_the_gateway() {
    let site = Site::start("/", false);
    site.deploys_with_r();
}

#[test]
fn r_deploys_under_a_mount_that_is_stripped() {
    // The signature is over the path as the client sees it; only X-RSC-Request tells that path.
    let site = Site::start("/rsc/", true);
    site.deploys_with_r();
}

#[test]
fn rsconnect_python_deploys_through_the_gateway() {
    for (mount, strip) in [("/", false), ("/rsc/", true)] {
        let site = Site::start(mount, strip);
        let output = site
            .client(&script("deploy_python.sh"))
            .env("GATEWAY_TEST_PYTHON", python())
            .env("BUNDLE_BYTES", scale("3000000", "200000000"))
            .output()
            .unwrap();
        says(&output, "DEPLOYED by rsconnect-python");
        let requests = site.requests();
        site.nobody_is_named(&requests);
        for request in &requests {
            assert_eq!(
                values(request, "Authorization"),
                [format!("Key {TEST_API_KEY}")],
                "{request}"
            );
        }
        let upload = requests
            .iter()
            .find(|one| target(one).ends_with("/bundles"))
            .unwrap();
        assert_eq!(values(upload, "Transfer-Encoding"), ["chunked"]);
        assert!(upload["body_length"].as_u64().unwrap() > 3_000_000);
        site.gateway
            .logged("the lane", |line| line["lane"] == "api_credential");
    }
}

#[test]
fn posit_sdk_deploys_through_the_gateway() {
    let site = Site::start("/", false);
    let output = site
        .client(&python())
        .arg(script("deploy_sdk.py"))
        .output()
        .unwrap();
    says(&output, "DEPLOYED by posit-sdk as publisher");
    site.nobody_is_named(&site.requests());
}

#[test]
fn posit_sdk_understands_the_gateways_401() {
    // In front of anything but Connect an API key is no pass.
    let site = Site::of_kind("generic", "/", false);
    let output = site
        .client(&python())
        .arg(script("sdk_error.py"))
        .output()
        .unwrap();
    says(&output, "ClientError: 401 22 ");
    assert_eq!(site.requests(), [Value::Null; 0]);
    site.gateway
        .logged("the refusal", |line| line["reason"] == "unauthenticated");
}

#[test]
fn websockets_work_through_the_gateway() {
    let site = Site::start("/", false);
    let output = site
        .client(&python())
        .arg(script("websocket.py"))
        .env("WS_URL", format!("wss://{}/ws", site.gateway.address()))
        .env("WS_AUTHORIZATION", ALICE.basic())
        .output()
        .unwrap();
    says(&output, "ECHOED by websockets");
    let requests = site.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(values(&requests[0], "X-Auth-Username"), [ALICE.name]);
    assert_eq!(values(&requests[0], "Authorization"), [""; 0]);
}

#[test]
fn curl_gets_its_401_before_it_sends_the_body() {
    let site = Site::start("/", false);
    let body = site
        .gateway
        .prepared
        .dir
        .write("body", vec![b'x'; 10_000_000]);
    let upload = |password: &str| {
        let mut curl = Command::new(tool("curl"));
        curl.args([
            "--silent",
            "--show-error",
            "--output",
            "/dev/null",
            "--expect100-timeout",
            "3600",
        ]);
        curl.arg("--user").arg(format!("{}:{password}", ALICE.name));
        curl.arg("--cacert")
            .arg(site.ca())
            .arg("--data-binary")
            .arg(format!("@{}", body.display()));
        curl.args(["--write-out", "%{http_code} %{size_upload}"])
            .arg(format!("{}sink", site.url()));
        let output = curl.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(upload("wrong"), "401 0");
    assert_eq!(site.requests(), [Value::Null; 0]);
    assert_eq!(upload(ALICE.password), "200 10000000");
    assert_eq!(site.requests()[0]["body_length"], 10_000_000);
}

#[test]
fn publisher_is_understood() {
    // The VS Code and Positron Publisher sends no credential for its token, and returns whole
    // Set-Cookie values as cookies (domain §1.3, §1.12).
    let site = Site::start("/", false);
    let host = site.gateway.address().to_string();
    let mut client = site.gateway.client_for("127.0.0.1");
    let bare = Request::post(
        "/__api__/tokens",
        b"{\"token\":\"T0123456789abcdef0123456789abcdef\",\"public_key\":\"\",\"user_id\":0}",
    );
    let answer = client.ask(&bare.on(&host).field("Content-Type", "application/json"));
    assert_ne!(answer.status, 401, "{answer:?}");
    let probe = Request::get("/.well-known/oauth-authorization-server").on(&host);
    client.ask(&probe).expect_json(401);
    let cookie =
        "lb=node1; Path=/; HttpOnly; Secure; SameSite=Lax; Expires=Wed, 21 Oct 2026 07:28:00 GMT";
    let key = format!("Key {TEST_API_KEY}");
    let request = Request::get("/__api__/v1/user")
        .on(&host)
        .field("Cookie", cookie)
        .field("Authorization", &key);
    client.ask(&request).expect(200);
    let requests = site.requests();
    assert_eq!(values(requests.last().unwrap(), "Cookie"), [cookie]);
}

#[test]
fn the_double_tells_who_connect_would_see() {
    let site = Site::start("/", false);
    let host = site.gateway.address().to_string();
    let page = |request: Request| {
        let answer = site.gateway.client_for("127.0.0.1").ask(&request.on(&host));
        answer.expect(200).text()
    };
    let request = Request::get("/")
        .by(&ALICE)
        .field("X-Auth-Username", "admin");
    assert!(page(request).contains("Connect sees you as <b id=\"who\">alice</b>"));
}

/// The double behind a gateway that listens where its public URL says.
struct Site {
    double: Double,
    gateway: Gateway,
    mount: &'static str,
}

impl Site {
    fn start(mount: &'static str, strip: bool) -> Self {
        Self::of_kind("connect", mount, strip)
    }

    fn of_kind(kind: &str, mount: &'static str, strip: bool) -> Self {
        let double = Double::start(&Options::default()).unwrap();
        let address = free_address();
        let app = App::new(
            "connect",
            kind,
            &format!("https://{address}{mount}"),
            "staff",
            "connect",
        );
        let gateway = Setup::new()
            .listen(address)
            .pool(Pool::plain("connect", double.connect.unwrap()))
            .app(app.line(&format!("strip_mount = {strip}")))
            .start();
        Self {
            double,
            gateway,
            mount,
        }
    }

    fn url(&self) -> String {
        format!("https://{}{}", self.gateway.address(), self.mount)
    }

    fn ca(&self) -> PathBuf {
        self.gateway.prepared.dir.path().join("ca.pem")
    }

    fn client(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("CONNECT_URL", self.url())
            .env("CONNECT_CA", self.ca())
            .env("CONNECT_API_KEY", TEST_API_KEY)
            .env("CONNECT_USER", ALICE.name)
            .env("CONNECT_PASSWORD", ALICE.password);
        command
    }

    fn requests(&self) -> Vec<Value> {
        let inspect = self.double.inspect;
        let request = Request::get("/requests")
            .on("inspect")
            .field("Connection", "close");
        let answer = Client::plain(inspect).ask(&request).expect(200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn deploys_with_r(&self) {
        let output = self
            .client(&tool("Rscript"))
            .arg(script("deploy.R"))
            .env("BUNDLE_BYTES", "3000000")
            .output()
            .unwrap();
        says(&output, "DEPLOYED by R rsconnect");
        let requests = self.requests();
        let (claims, rest): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .partition(|one| target(one).contains("/__double__/claim"));
        // The browser that claims the token is logged in; nobody else is.
        assert_eq!(values(&claims[0], "X-Auth-Username"), [ALICE.name]);
        self.nobody_is_named(&rest);
        let signed: Vec<_> = rest
            .iter()
            .filter(|one| {
                target(one).starts_with("/__api__/") && !values(one, "X-Auth-Signature").is_empty()
            })
            .collect();
        assert!(signed.len() > 5, "{rest:#?}");
        for request in &signed {
            assert_eq!(request["signature"], true, "{request:#}");
        }
        let upload = "/__api__/applications/1/upload";
        let upload = signed
            .iter()
            .find(|one| target(one) == upload)
            .expect("an upload");
        assert!(upload["body_length"].as_u64().unwrap() > 3_000_000);
        for lane in ["signed_deploy", "discovery", "user"] {
            self.gateway.logged(lane, |line| line["lane"] == lane);
        }
    }

    /// No request names a visitor or carries a credential of the gateway's.
    #[track_caller]
    fn nobody_is_named(&self, requests: &[Value]) {
        assert!(!requests.is_empty());
        for request in requests {
            for name in ["X-Auth-Username", "X_Auth_Username", "X-Remote-User"] {
                assert_eq!(values(request, name), [""; 0], "{request:#}");
            }
            let shown = request.to_string();
            assert!(!shown.contains("__Host-gateway"), "{shown}");
            assert!(!shown.contains("Basic "), "{shown}");
            let original = values(request, "X-RSC-Request");
            assert_eq!(original.len(), 1, "{request:#}");
            assert!(original[0].starts_with(&self.url()), "{request:#}");
        }
    }
}

/// The values of a request's header lines with that name.
fn values<'a>(request: &'a Value, name: &str) -> Vec<&'a str> {
    let lines = request["headers"].as_array().unwrap().iter();
    lines
        .filter_map(|line| line.as_str().unwrap().split_once(':'))
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

fn target(request: &Value) -> &str {
    request["target"].as_str().unwrap()
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/clients").join(name)
}

#[track_caller]
fn says(output: &Output, expected: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
    assert!(stdout.contains(expected), "{stdout}\n{stderr}");
}
