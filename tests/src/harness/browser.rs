//! A headless Chromium, driven over chromedriver's WebDriver (HTTP, JSON).

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Client, Dir, Leaf, Request, poll, tool};

/// A browser with a fresh profile; ended when dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    dir: Dir,
}

impl Browser {
    /// Starts one that reaches `host` at `address`, port 443 included, and accepts that leaf. It does
    /// not speak HTTP/3.
    pub fn start(host: &str, address: SocketAddr, leaf: &Leaf) -> Self {
        Self::start_with(host, address, leaf, &["--disable-quic"])
    }

    /// As [`Browser::start`], with further arguments in the place of the one that forbids HTTP/3.
    pub fn start_with(host: &str, address: SocketAddr, leaf: &Leaf, more: &[&str]) -> Self {
        let dir = Dir::new();
        let chromium = tool("chromium");
        let log = dir.path().join("chromedriver.log");
        let driver = Command::new(tool("chromedriver"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(File::create(dir.path().join("chromedriver.err")).unwrap())
            .spawn()
            .expect("chromedriver starts");
        let mut browser = Self {
            driver,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            session: String::new(),
            dir,
        };
        let port = poll::until("chromedriver is ready", || {
            let said = browser.dir.read("chromedriver.log");
            let (_, rest) = said.split_once("started successfully on port ")?;
            let (digits, _) = rest.split_once('.')?;
            digits.parse().ok()
        });
        browser.address.set_port(port);
        let profile = browser.dir.path().join("profile");
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            format!(
                "--host-resolver-rules=MAP {host}:443 {address}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
            ),
            format!(
                "--ignore-certificate-errors-spki-list={}",
                leaf.spki_sha256()
            ),
        ];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let options = json!({"binary": chromium, "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.call("POST", "/session", Some(&wanted));
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Navigates.
    pub fn open(&self, url: &str) {
        self.call("POST", &self.path("/url"), Some(&json!({"url": url})));
    }

    /// Evaluates the body of a function.
    pub fn script(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.call("POST", &self.path("/execute/sync"), Some(&body))
    }

    /// The page's visible text.
    pub fn text(&self) -> String {
        let text = self.script("return document.body ? document.body.innerText : ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The browser's cookies for this page, those included that no script can see.
    pub fn cookies(&self) -> Vec<Value> {
        let cookies = self.call("GET", &self.path("/cookie"), None);
        cookies.as_array().cloned().unwrap_or_default()
    }

    fn path(&self, rest: &str) -> String {
        format!("/session/{}{rest}", self.session)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut request = Request::new(method, path)
            .on(&self.address.to_string())
            .field("Content-Type", "application/json")
            .field("Connection", "close");
        if let Some(body) = body {
            request = request.with_body(body.to_string().as_bytes());
        }
        let answer = Client::plain(self.address).ask(&request);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        let value: Value = serde_json::from_slice(&answer.body).expect("chromedriver says JSON");
        value["value"].clone()
    }

    fn end_session(&self) -> std::io::Result<()> {
        let mut tcp = TcpStream::connect(self.address)?;
        tcp.set_read_timeout(Some(poll::patience()))?;
        let head = format!(
            "DELETE {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            self.path("")
        );
        tcp.write_all(head.as_bytes())?;
        // The answer comes when Chromium has ended; the driver keeps the connection after it.
        tcp.read(&mut [0; 1024]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium itself; killing the driver alone would leave it. Whatever fails here, the
        // test has said its word.
        let _ended = self.end_session();
        let _ended = self.driver.kill();
        let _ended = self.driver.wait();
    }
}
