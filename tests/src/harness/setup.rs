//! Writing configurations: a good one by default, and everything in it can be changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{ALICE, Authority, BOB, Backend, CAROL, Dir, Finished, Gateway, Leaf, User};

/// The host of the app of kind `connect`.
pub const CONNECT: &str = "connect.test";

/// The host of the app of kind `deployr`.
pub const DEPLOYR: &str = "deployr.test";

/// The host of the app of kind `generic`.
pub const GENERIC: &str = "generic.test";

/// The host of an app in another realm.
pub const OTHER: &str = "other.test";

/// A configuration under construction.
pub struct Setup {
    dir: Dir,
    ca: Authority,
    leaf: Leaf,
    listener: String,
    listener_lines: Vec<String>,
    listeners: Vec<(String, Vec<String>)>,
    admin: String,
    sections: BTreeMap<&'static str, Vec<String>>,
    realms: Vec<(String, Vec<String>)>,
    pools: Vec<Pool>,
    apps: Vec<App>,
}

/// A configuration on disk.
pub struct Prepared {
    /// The test's directory: `gateway.toml` and what it names.
    pub dir: Dir,
    /// The authority that signed the listener's certificate.
    pub ca: Authority,
    /// The listener's certificate.
    pub leaf: Leaf,
}

/// A pool of back-end servers.
#[derive(Clone, Debug)]
pub struct Pool {
    name: String,
    lines: Vec<String>,
    servers: Vec<Vec<String>>,
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    lines: Vec<String>,
    identity: Vec<String>,
    lanes: Vec<String>,
}

impl Setup {
    /// One listener, the realm `staff` with three users; no pool and no app yet.
    pub fn new() -> Self {
        let dir = Dir::new();
        let ca = Authority::new("connect-gateway test CA");
        let leaf = ca.server(&[CONNECT, DEPLOYR, GENERIC, OTHER, "localhost", "127.0.0.1"]);
        leaf.write(dir.path(), "public");
        dir.write("ca.pem", ca.pem());
        let setup = Self {
            dir,
            ca,
            leaf,
            listener: "127.0.0.1:0".to_owned(),
            listener_lines: Vec::new(),
            listeners: Vec::new(),
            admin: "127.0.0.1:0".to_owned(),
            sections: BTreeMap::new(),
            realms: Vec::new(),
            pools: Vec::new(),
            apps: Vec::new(),
        };
        setup.realm("staff", &[ALICE, BOB, CAROL], &[])
    }

    /// As [`Setup::new`], with an app of kind `connect` before that back-end.
    pub fn connect(backend: &Backend) -> Self {
        Self::new()
            .pool(Pool::plain("connect", backend.address()))
            .app(App::connect())
    }

    /// As [`Setup::connect`], over TLS; the back-end's certificate is of that authority.
    pub fn connect_tls(backend: &Backend, ca: &Authority) -> Self {
        let setup = Self::new();
        setup.write("back-ca.pem", &ca.pem());
        let url = format!("https://{}", backend.address());
        setup
            .pool(Pool::tls("connect", "back-ca.pem", &[(&url, &[])]))
            .app(App::connect())
    }

    /// One more line in `[gateway]`, `[limits]`, `[log]` or `[timeouts]`.
    pub fn line(mut self, section: &'static str, line: &str) -> Self {
        self.sections
            .entry(section)
            .or_default()
            .push(line.to_owned());
        self
    }

    /// Another address to listen on.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listener = address.to_string();
        self
    }

    /// One more line in `[[listener]]`.
    pub fn listener_line(mut self, line: &str) -> Self {
        self.listener_lines.push(line.to_owned());
        self
    }

    /// One more listener, on any free port and with the same certificate.
    pub fn listener(mut self, name: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        self.listeners.push((name.to_owned(), lines));
        self
    }

    /// Another address for metrics and health.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = address.to_string();
        self
    }

    /// One more realm, or another one in the place of the one with that name.
    pub fn realm(mut self, name: &str, users: &[User], lines: &[&str]) -> Self {
        let htpasswd: Vec<String> = users.iter().map(User::line).collect();
        self.dir
            .write(&format!("{name}.htpasswd"), htpasswd.join("\n") + "\n");
        self.realms.retain(|(other, _)| other != name);
        self.realms.push((
            name.to_owned(),
            lines.iter().map(|&line| line.to_owned()).collect(),
        ));
        self
    }

    /// One more pool.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pools.push(pool);
        self
    }

    /// One more app.
    pub fn app(mut self, app: App) -> Self {
        self.apps.push(app);
        self
    }

    /// Writes a file that the configuration names.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        self.dir.write(name, content)
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes it down.
    pub fn prepare(self) -> Prepared {
        self.dir.write("gateway.toml", self.text());
        Prepared {
            dir: self.dir,
            ca: self.ca,
            leaf: self.leaf,
        }
    }

    /// Writes it down and starts a gateway with it.
    #[track_caller]
    pub fn start(self) -> Gateway {
        self.prepare().start()
    }

    fn text(&self) -> String {
        let mut text = format!("[admin]\naddress = \"{}\"\n", self.admin);
        let mut sections = self.sections.clone();
        if let Some(records) = std::env::var_os(RECORDS) {
            let gateway = sections.entry("gateway").or_default();
            if !gateway.iter().any(|line| line.starts_with("tls_records")) {
                gateway.push(format!("tls_records = {:?}", records.to_string_lossy()));
            }
        }
        for (section, lines) in &sections {
            text.push_str(&format!("\n[{section}]\n{}\n", lines.join("\n")));
        }
        let mut public = self.listener_lines.clone();
        if wants_http3() && !public.iter().any(|line| line.starts_with("http3")) {
            public.push("http3 = true".to_owned());
        }
        let mut listener = |name: &str, address: &str, lines: &[String]| {
            text.push_str(&format!(
                "\n[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n{}\n\
                 [[listener.certificate]]\nchain = \"public.pem\"\nkey = \"public.key\"\n",
                lines.join("\n"),
            ));
        };
        listener("public", &self.listener, &public);
        for (name, lines) in &self.listeners {
            listener(name, "127.0.0.1:0", lines);
        }
        for (name, lines) in &self.realms {
            text.push_str(&format!(
                "\n[[realm]]\nname = \"{name}\"\nmethod = \"basic\"\n\
                 htpasswd = \"{name}.htpasswd\"\n{}\n",
                lines.join("\n")
            ));
        }
        for pool in &self.pools {
            text.push_str(&format!("\n[[pool]]\nname = \"{}\"\n", pool.name));
            text.push_str(&(pool.lines.join("\n") + "\n"));
            for server in &pool.servers {
                text.push_str(&format!("[[pool.server]]\n{}\n", server.join("\n")));
            }
        }
        for app in &self.apps {
            text.push_str(&format!(
                "\n[[app]]\nname = \"{}\"\n{}\n",
                app.name,
                app.lines.join("\n")
            ));
            if !app.identity.is_empty() {
                text.push_str(&format!("[app.identity]\n{}\n", app.identity.join("\n")));
            }
            if !app.lanes.is_empty() {
                text.push_str(&format!("[app.lanes]\n{}\n", app.lanes.join("\n")));
            }
        }
        text
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Prepared {
    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("gateway.toml")
    }

    /// Changes the configuration: `from` must stand in it exactly once.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let text = self.dir.read("gateway.toml");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in\n{text}");
        self.dir.write("gateway.toml", text.replace(from, to));
    }

    /// The line on which a text stands first, from 1.
    #[track_caller]
    pub fn line_of(&self, what: &str) -> usize {
        let text = self.dir.read("gateway.toml");
        let at = text.lines().position(|line| line.contains(what));
        at.unwrap_or_else(|| panic!("{what:?} in\n{text}")) + 1
    }

    /// Starts a gateway and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Gateway {
        Gateway::start(self)
    }

    /// As [`Prepared::start`], by a launcher ([`Gateway::start_by`]).
    #[track_caller]
    pub fn start_by(self, launcher: &[&str]) -> Gateway {
        Gateway::start_by(self, launcher)
    }

    /// Runs `connect-gateway COMMAND --config …` to its end.
    #[track_caller]
    pub fn finish(&self, command: &[&str]) -> Finished {
        self.finish_by(&[], command)
    }

    /// As [`Prepared::finish`], by a launcher ([`Gateway::start_by`]).
    #[track_caller]
    pub fn finish_by(&self, launcher: &[&str], command: &[&str]) -> Finished {
        Finished::of(launcher, command, &self.config())
    }
}

impl Pool {
    /// One server, in plain.
    pub fn plain(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            lines: Vec::new(),
            servers: vec![vec![format!("url = \"http://{address}\"")]],
        }
    }

    /// The one server elsewhere.
    pub fn at(mut self, url: &str) -> Self {
        self.servers = vec![vec![format!("url = \"{url}\"")]];
        self
    }

    /// One more server.
    pub fn and(mut self, url: &str) -> Self {
        self.servers.push(vec![format!("url = \"{url}\"")]);
        self
    }

    /// Servers over TLS, their certificates verified against `ca` (a file in the directory).
    /// Each has its URL and further lines of its own.
    pub fn tls(name: &str, ca: &str, servers: &[(&str, &[&str])]) -> Self {
        Self {
            name: name.to_owned(),
            lines: vec!["tls = \"verify\"".to_owned(), format!("ca = \"{ca}\"")],
            servers: servers
                .iter()
                .map(|(url, lines)| {
                    let own = lines.iter().map(|&line| line.to_owned());
                    std::iter::once(format!("url = \"{url}\""))
                        .chain(own)
                        .collect()
                })
                .collect(),
        }
    }

    /// One more line in `[[pool]]`.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Mutual TLS, with a certificate and key in the directory (`STEM.pem`, `STEM.key`).
    pub fn mutual(mut self, stem: &str) -> Self {
        self.lines[0] = "tls = \"mutual\"".to_owned();
        self.lines
            .push(format!("client_certificate = \"{stem}.pem\""));
        self.lines.push(format!("client_key = \"{stem}.key\""));
        self
    }

    /// Mutual TLS, where each server names its own certificate.
    pub fn mutual_per_server(mut self) -> Self {
        self.lines[0] = "tls = \"mutual\"".to_owned();
        self
    }
}

impl App {
    /// Kind `connect` at [`CONNECT`], of the realm `staff`, before the pool `connect`.
    pub fn connect() -> Self {
        Self::new(
            "connect",
            "connect",
            &format!("https://{CONNECT}/"),
            "staff",
            "connect",
        )
    }

    /// Kind `deployr` at [`DEPLOYR`], of the realm `staff`.
    pub fn deployr(pool: &str) -> Self {
        Self::new(
            "deployr",
            "deployr",
            &format!("https://{DEPLOYR}/"),
            "staff",
            pool,
        )
    }

    /// Kind `generic` at [`GENERIC`], of the realm `staff`.
    pub fn generic(pool: &str) -> Self {
        Self::new(
            "generic",
            "generic",
            &format!("https://{GENERIC}/"),
            "staff",
            pool,
        )
    }

    /// Any app.
    pub fn new(name: &str, kind: &str, public_url: &str, realm: &str, pool: &str) -> Self {
        Self {
            name: name.to_owned(),
            lines: vec![
                format!("kind = \"{kind}\""),
                format!("public_url = \"{public_url}\""),
                format!("realm = \"{realm}\""),
                format!("pool = \"{pool}\""),
            ],
            identity: Vec::new(),
            lanes: Vec::new(),
        }
    }

    /// One more line in `[[app]]`.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// One more line in `[app.identity]`.
    pub fn identity(mut self, line: &str) -> Self {
        self.identity.push(line.to_owned());
        self
    }

    /// One more line in `[app.lanes]`.
    pub fn lane(mut self, line: &str) -> Self {
        self.lanes.push(line.to_owned());
        self
    }
}

/// Whether clients are served by rustls's TLS records, and not by ours.
pub fn has_stock_records() -> bool {
    std::env::var_os(RECORDS).is_some_and(|records| records == "stock")
}

/// Whether clients speak HTTP/3 wherever a test does not say what they speak
/// (`GATEWAY_TEST_PROTOCOL=h3`).
pub(crate) fn wants_http3() -> bool {
    match std::env::var_os("GATEWAY_TEST_PROTOCOL") {
        None => false,
        Some(protocol) if protocol == "h3" => true,
        Some(other) => panic!("GATEWAY_TEST_PROTOCOL: expected h3, not {other:?}"),
    }
}

/// The environment's name for whose TLS records clients are served: a value of
/// `gateway.tls_records`, without which it is the default.
const RECORDS: &str = "GATEWAY_TEST_TLS_RECORDS";
