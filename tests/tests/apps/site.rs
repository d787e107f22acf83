//! An application behind a gateway, and its visitors.

use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

use gateway_tests::harness::{
    ALICE, App, BOB, Gateway, Pool, Request, Setup, User, free_address, is_soak, poll, python,
};
use serde_json::{Value, json};

use crate::running::{Running, script};

/// An application behind a gateway that listens where its public URL says.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    app: Running,
    visitor: &'static str,
    header: &'static str,
}

impl Site {
    /// Puts a gateway before an application: in a soak as it comes, else with short time-outs.
    /// `visitor` is the script that visits it, `header` the field in which it reads names;
    /// `timeouts` are shortened beside those that always are.
    pub(crate) fn start(
        app: Running,
        visitor: &'static str,
        header: &'static str,
        timeouts: &[&str],
    ) -> Self {
        match is_soak() {
            true => Self::behind(Setup::new(), &[], app, visitor, header),
            false => Self::hurried(app, visitor, header, timeouts),
        }
    }

    /// As [`Site::start`], with short time-outs in any case.
    pub(crate) fn hurried(
        app: Running,
        visitor: &'static str,
        header: &'static str,
        timeouts: &[&str],
    ) -> Self {
        let setup = TIMEOUTS
            .iter()
            .chain(timeouts)
            .fold(Setup::new(), |setup, line| setup.line("timeouts", line));
        Self::behind(setup, &["websocket_ping = \"1s\""], app, visitor, header)
    }

    /// `lines` are the app's.
    fn behind(
        setup: Setup,
        lines: &[&str],
        app: Running,
        visitor: &'static str,
        header: &'static str,
    ) -> Self {
        let address = free_address();
        let url = format!("https://{address}/");
        let public = App::new("app", "generic", &url, "staff", "app")
            .identity(&format!("username = \"{header}\""));
        let setup = setup
            .listen(address)
            .pool(Pool::plain("app", app.address))
            .app(lines.iter().fold(public, |app, line| app.line(line)));
        Self {
            gateway: setup.start(),
            app,
            visitor,
            header,
        }
    }

    /// Two visitors use the application at once, rest beyond every time-out, and go on. `tells` is
    /// what the script must tell for a user.
    #[track_caller]
    pub(crate) fn keeps_its_visitors(&self, websockets: bool, tells: fn(&str) -> Value) {
        thread::scope(|scope| {
            let visits = [ALICE, BOB].map(|user| {
                let visit = scope.spawn(move || self.visit(&user, "use"));
                (user, visit)
            });
            while websockets && self.tunnels() < 2.0 {
                // Each has bounds of its own for all that it does.
                let ended = visits.iter().any(|(_, visit)| visit.is_finished());
                assert!(!ended, "a visit ended before both were there");
                sleep(Duration::from_millis(50));
            }
            self.times_out();
            for (user, visit) in visits {
                assert_eq!(Value::Array(visit.join().unwrap()), tells(user.name));
            }
        });
        if websockets {
            for user in [ALICE, BOB] {
                self.gateway.logged("a WebSocket", |line| {
                    line["websocket"] == true && line["user"] == user.name && line["status"] == 101
                });
            }
        }
    }

    /// A WebSocket on which nothing moves ends.
    #[track_caller]
    pub(crate) fn ends_what_rests(&self) {
        let told = self.visit(&ALICE, "rest");
        assert_eq!(
            Value::Array(told),
            json!([{"who": ALICE.name, "closed": true}])
        );
        self.gateway.logged("a silent WebSocket", |line| {
            let error = line["error"].as_str();
            line["websocket"] == true && error.is_some_and(|error| error.contains("nothing moved"))
        });
    }

    /// Every way to tell the application another name ends in the true name, or is refused by the
    /// gateway. `believed` are those that work without the gateway.
    #[track_caller]
    pub(crate) fn cannot_be_told_another_name(&self, believed: &[&str]) {
        let direct = run(self
            .command("forge")
            .env("APP_URL", format!("http://{}", self.app.address)));
        let worked = direct.iter().filter(|one| {
            let who = one["who"].as_str().unwrap_or_default();
            who.contains(STRANGER)
        });
        let worked: Vec<_> = worked.map(|one| one["forgery"].as_str().unwrap()).collect();
        assert_eq!(worked, believed, "without the gateway");

        let told = self.visit(&ALICE, "forge");
        assert_eq!(told.len(), direct.len());
        for one in told {
            // A field whose name ends in a space is no field (RFC 9112 §5.1).
            let expected = if one["forgery"] == "space after the name" {
                json!({"forgery": one["forgery"], "refused": 400})
            } else {
                json!({"forgery": one["forgery"], "who": ALICE.name})
            };
            assert_eq!(one, expected);
        }
    }

    fn tunnels(&self) -> f64 {
        let metrics = self.gateway.metrics();
        metrics.sum("connect_gateway_tunnels_open", &[])
    }

    /// The time-outs are in force: a connection that rests is closed.
    #[track_caller]
    fn times_out(&self) {
        let request = Request::get("/")
            .on(&self.gateway.address().to_string())
            .by(&ALICE);
        let mut client = self.gateway.client_for("127.0.0.1");
        client.ask(&request);
        let silent = client.is_silent(quiet().max(poll::patience()));
        assert!(!silent, "it may rest for longer than the visitors do");
        client.expect_end();
    }

    /// A script's visit through the gateway: what it tells, line by line.
    #[track_caller]
    fn visit(&self, user: &User, mode: &str) -> Vec<Value> {
        let ca = self.gateway.prepared.dir.path().join("ca.pem");
        run(self
            .command(mode)
            .env("APP_URL", format!("https://{}", self.gateway.address()))
            .env("APP_CA", ca)
            .env("APP_USER", user.name)
            .env("APP_PASSWORD", user.password))
    }

    fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(python());
        command
            .arg("-B")
            .arg(script(self.visitor))
            .arg(mode)
            .env("APP_HEADER", self.header)
            .env(
                "APP_PATIENCE",
                poll::stretched(PATIENCE).as_secs().to_string(),
            )
            .env("APP_QUIET", quiet().as_secs().to_string());
        command
    }
}

#[track_caller]
fn run(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}\n{errors}");
    let lines = said.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How long visitors rest.
fn quiet() -> Duration {
    match is_soak() {
        true => LONG_QUIET,
        false => QUIET,
    }
}

/// Whom the scripts' forgeries name.
const STRANGER: &str = "mallory";

/// How long a visitor waits for anything. JupyterHub starts a Jupyter server meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

const TIMEOUTS: &[&str] = &[
    "head = \"2s\"",
    "idle = \"2s\"",
    "body = \"3s\"",
    "pool = \"2s\"",
];

/// For applications that answer at once, whatever else the machine does.
pub(crate) const ANSWER: &str = "answer = \"4s\"";

/// For applications that ping their visitors: a WebSocket on which nothing moves ends.
pub(crate) const TUNNEL: &str = "tunnel = \"4s\"";

/// Longer than two of the longest time-out: silence is noticed after one to two.
const QUIET: Duration = Duration::from_secs(9);

/// Longer than two of all default time-outs but those that are meant for what rests: `answer` and
/// `tunnel`.
const LONG_QUIET: Duration = Duration::from_secs(15 * 60);
