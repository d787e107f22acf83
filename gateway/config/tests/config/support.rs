//! A directory with a configuration and what it names.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gateway_config::{Config, ConfigError};

/// The smallest configuration. The tests of faults count its lines.
pub(crate) const MINIMAL: &str = r#"[[listener]]
name = "public"
address = "127.0.0.1:8443"
[[listener.certificate]]
chain = "chain.pem"
key = "pkcs8.key"
[[realm]]
name = "staff"
method = "basic"
htpasswd = "users"
[[pool]]
name = "connect"
[[pool.server]]
url = "http://127.0.0.1:3939"
[[app]]
name = "connect"
kind = "connect"
public_url = "https://connect.example.com/"
realm = "staff"
pool = "connect"
"#;

/// The password is "secret".
pub(crate) const USERS: &str =
    "alice:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// A directory of its own, removed at the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// With the files of `tests/data` and a file `users`.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-config-{}-{number}", std::process::id());
        let directory = Self(std::env::temp_dir().join(name));
        std::fs::create_dir(&directory.0).unwrap();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        for entry in std::fs::read_dir(data).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), directory.path(entry.file_name())).unwrap();
        }
        directory.write("users", USERS);
        directory
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Loads a configuration from this directory.
    pub(crate) fn load(&self, text: &str) -> Result<Config, ConfigError> {
        self.write("gateway.toml", text);
        Config::load(&self.path("gateway.toml"))
    }

    /// Loads a configuration at fault: each fault as `line: key: message`.
    pub(crate) fn faults(&self, text: &str) -> Vec<String> {
        let error = self.load(text).expect_err(text);
        let file = self.path("gateway.toml").display().to_string();
        let shown = error.to_string();
        shown
            .lines()
            .map(|line| line.strip_prefix(&file).expect(line))
            .map(|line| line.trim_start_matches(':').trim_start().to_owned())
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// [`MINIMAL`] with one replacement.
pub(crate) fn minimal(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    MINIMAL.replacen(from, to, 1)
}
