//! The programs under test and the tools that test them.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The gateway: `GATEWAY_TEST_BIN`, or the workspace's own, built once if it is not up to date.
pub fn gateway_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("GATEWAY_TEST_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}

/// The Python that has the clients and Shiny: `GATEWAY_TEST_PYTHON`, or `target/py`.
pub fn python() -> PathBuf {
    let path = std::env::var_os("GATEWAY_TEST_PYTHON")
        .map_or_else(|| workspace().join("target/py/bin/python"), PathBuf::from);
    present(path)
}

/// A program on the `PATH`.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    present(found.unwrap_or_else(|| PathBuf::from(name)))
}

/// `full` where `GATEWAY_TEST_SCALE` is `full` or `soak`, which ask for the counts of the issues,
/// else `short`.
pub fn scale<T>(short: T, full: T) -> T {
    match Scale::wanted() {
        Scale::Short => short,
        Scale::Full | Scale::Soak => full,
    }
}

/// Whether `GATEWAY_TEST_SCALE=soak` asks for the time-outs that operators have, and for as much
/// time as these take.
pub fn is_soak() -> bool {
    Scale::wanted() == Scale::Soak
}

/// The target directory that this test was built in.
pub(crate) fn target() -> &'static Path {
    profile_dir()
        .parent()
        .expect("a profile's directory lies in the target directory")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Full,
    Short,
    Soak,
}

impl Scale {
    fn wanted() -> Self {
        match std::env::var("GATEWAY_TEST_SCALE").as_deref() {
            Ok("full") => Self::Full,
            Ok("short") | Err(VarError::NotPresent) => Self::Short,
            Ok("soak") => Self::Soak,
            other => panic!("GATEWAY_TEST_SCALE: expected short, full or soak, not {other:?}"),
        }
    }
}

fn build() -> PathBuf {
    let release = profile_dir().ends_with("release");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "connect-gateway", "--bins"])
        .args(release.then_some("--release"))
        .arg("--target-dir")
        .arg(target())
        .current_dir(workspace())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the gateway does not build");
    profile_dir().join("connect-gateway")
}

/// `target/debug`: two above `target/debug/deps/this-test`.
pub(crate) fn profile_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let exe = std::env::current_exe().expect("a process knows its program");
        let dir = exe
            .ancestors()
            .nth(2)
            .expect("tests lie in target/PROFILE/deps");
        dir.to_owned()
    })
}

fn present(path: PathBuf) -> PathBuf {
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask setup --test`",
        path.display()
    );
    path
}
