//! Finding a compiler for the kernel's bytecode, and the linker that goes with it.
//!
//! The target has no published `core`. There are two ways to one: rustup's nightly, which builds
//! it from its sources, and a distribution's compiler that brings it along.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{output, succeeds};
use crate::workspace::Workspace;

/// A compiler with a `core` for the target, and its linker.
#[derive(Debug)]
pub(crate) struct Toolchain {
    source: Source,
    linker: PathBuf,
}

impl Toolchain {
    /// The first that is complete, of those that the environment allows.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let mut tried = String::new();
        for source in Source::allowed() {
            match source.linker(workspace) {
                Ok(linker) => return Ok(Self { source, linker }),
                Err(error) => tried += &format!("\n  {source}: {error:#}"),
            }
        }
        bail!("no toolchain can build for {TARGET}{tried}\n{RECIPES}")
    }

    /// A task of cargo for the target, in a directory whose name does not get into what is built.
    pub(super) fn cargo(&self, task: &str, directory: &Path) -> Command {
        let mut cargo = self.source.program("cargo");
        cargo
            .current_dir(directory)
            .args([task, "--target", TARGET])
            .env(LINKER, &self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(directory));
        match &self.source {
            Source::Distribution => {
                // cargo looks for its compiler in PATH, where rustup's may come first. Only the
                // crate named may use what is unstable: aya-ebpf asks for asm_experimental_arch.
                cargo
                    .env("RUSTC", self.source.path("rustc"))
                    .env("RUSTC_BOOTSTRAP", "aya_ebpf");
            }
            Source::Rustup(_) => {
                cargo.args(["-Z", "build-std=core"]);
            }
        }
        cargo
    }

    /// Whether it can check code beyond compiling it.
    pub(super) fn has_clippy(&self) -> bool {
        match &self.source {
            // By its own path: cargo would take rustup's from PATH.
            Source::Distribution => self.source.path("cargo-clippy").exists(),
            Source::Rustup(_) => succeeds(self.source.program("cargo").args(["clippy", "-V"])),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.source, self.linker.display())
    }
}

/// Where a compiler comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The system's packages.
    Distribution,
    /// The toolchain of that name.
    Rustup(String),
}

impl Source {
    /// In the order in which they are tried.
    pub(crate) fn allowed() -> Vec<Self> {
        match env::var(CHOICE) {
            Ok(name) if name == "distro" => vec![Self::Distribution],
            Ok(name) if !name.is_empty() => vec![Self::Rustup(name)],
            _ => vec![Self::Rustup("nightly".to_owned()), Self::Distribution],
        }
    }

    /// The major version of the compiler's LLVM, if the compiler can have a `core` for the target.
    pub(crate) fn llvm(&self) -> Result<u32> {
        let version = output(self.program("rustc").arg("-vV"))?;
        let major = llvm_major(&version).context("`rustc -vV` names no LLVM version")?;
        let core = self.core()?;
        if !core.exists() {
            bail!("no {}", core.display());
        }
        Ok(major)
    }

    /// The linker for this compiler. Both must have the same LLVM: one does not read another's
    /// bitcode for sure.
    fn linker(&self, workspace: &Workspace) -> Result<PathBuf> {
        let llvm = self.llvm()?;
        let ours = workspace.llvm_tools(llvm).join("bin/bpf-linker");
        // One that was linked with a library that has gone does not start.
        if succeeds(Command::new(&ours).arg("--version")) {
            return Ok(ours);
        }
        let any = PathBuf::from("bpf-linker");
        if matches!(self, Self::Rustup(_)) && succeeds(Command::new(&any).arg("--version")) {
            return Ok(any);
        }
        bail!("no bpf-linker for LLVM {llvm}")
    }

    /// What is there if the compiler has a `core` for the target, or its sources.
    fn core(&self) -> Result<PathBuf> {
        let print = |what: &[&str]| -> Result<PathBuf> {
            let path = output(self.program("rustc").arg("--print").args(what))?;
            Ok(PathBuf::from(path.trim()))
        };
        match self {
            Self::Distribution => print(&["target-libdir", "--target", TARGET]),
            Self::Rustup(_) => Ok(print(&["sysroot"])?.join(CORE_SOURCE)),
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = match self {
            Self::Distribution => Command::new(self.path(name)),
            Self::Rustup(toolchain) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", toolchain, name]);
                rustup
            }
        };
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command
    }

    /// Where a distribution puts a program.
    fn path(&self, name: &str) -> PathBuf {
        Path::new("/usr/bin").join(name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distribution => f.write_str("the distribution's Rust"),
            Self::Rustup(name) => write!(f, "rustup's {name}"),
        }
    }
}

/// Flags of the compiler, as cargo takes them from its environment.
fn flags(directory: &Path) -> OsString {
    // The loader needs the types of maps and programs.
    let mut flags = OsString::from("-Clink-arg=--btf");
    // The same sources make the same object, wherever they and their dependencies lie.
    let own = (directory.to_path_buf(), "gateway-ebpf");
    let cargo = env::var_os("CARGO_HOME").map_or_else(
        || env::home_dir().map(|home| home.join(".cargo")),
        |home| Some(PathBuf::from(home)),
    );
    for (path, name) in cargo.map(|path| (path, "cargo")).into_iter().chain([own]) {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(path);
        flags.push(format!("={name}"));
    }
    flags
}

fn llvm_major(version: &str) -> Option<u32> {
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

/// What the programs are built for: little-endian BPF.
pub(super) const TARGET: &str = "bpfel-unknown-none";

/// Names a toolchain: `distro`, or one of rustup's.
const CHOICE: &str = "GATEWAY_EBPF_TOOLCHAIN";

const CORE_SOURCE: &str = "lib/rustlib/src/rust/library/core/src/lib.rs";
const LINKER: &str = "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER";

/// cargo and rustup set these for what they start, or their users do for other compilers; another
/// toolchain must not see them.
const FOREIGN: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

const RECIPES: &str = "\
There are two ways to one:
  rustup toolchain install nightly --component rust-src, and a bpf-linker for its LLVM in PATH;
  cargo xtask setup, on Debian, which takes Debian's own.
GATEWAY_EBPF_TOOLCHAIN chooses: `distro`, or the name of a toolchain of rustup's.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_llvm_is_read() {
        let said = "rustc 1.96.0 (built from a source tarball)\nhost: x\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major(said), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\nhost: x\n"), None);
        assert_eq!(llvm_major("LLVM version: next\n"), None);
    }

    #[test]
    fn a_compiler_that_is_not_there_is_an_error() {
        let nowhere = Source::Rustup("no-such-toolchain".to_owned());
        assert!(nowhere.llvm().is_err());
    }
}
