//! Cargo tools of fixed versions, built once, in a cache that every clone shares.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, output, run};
use crate::workspace::Workspace;

/// Builds the tools that are missing or of another version.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    for tool in TOOLS {
        tool.install(workspace, &workspace.tools, &[])?;
    }
    Ok(())
}

/// Builds what runs benchmarks in valgrind.
pub(super) fn install_counter(workspace: &Workspace) -> Result<()> {
    COUNTER.install(workspace, &workspace.tools, &[])
}

/// Builds the linker of BPF programs for a major version of LLVM, which is installed in `prefix`.
/// It stands beside those for others: clones may have different compilers.
pub(super) fn install_linker(workspace: &Workspace, llvm: u32, prefix: &Path) -> Result<()> {
    let tool = Tool {
        name: "bpf-linker",
        version: "0.13.0",
        options: &["--no-default-features", &format!("--features=llvm-{llvm}")],
        why: "links the guard's kernel programs",
    };
    let root = workspace.llvm_tools(llvm);
    tool.install(workspace, &root, &[("LLVM_PREFIX", prefix)])
}

/// One tool.
struct Tool<'a> {
    name: &'a str,
    version: &'a str,
    options: &'a [&'a str],
    why: &'a str,
}

impl Tool<'_> {
    /// Builds it, unless it is there.
    fn install(
        &self,
        workspace: &Workspace,
        root: &Path,
        libraries: &[(&str, &Path)],
    ) -> Result<()> {
        if self.is_installed(root) {
            return Ok(());
        }
        eprintln!(
            "setup: building {} {} into {}: {}",
            self.name,
            self.version,
            root.display(),
            self.why
        );
        let mut install = cargo(workspace);
        install
            .args(["install", "--locked", "--force", "--root"])
            .arg(root)
            .args(["--version", self.version])
            .args(self.options)
            .arg(self.name)
            // Of its own: the clone's would be filled with what no other build uses.
            .env_remove("CARGO_TARGET_DIR");
        for (setting, value) in QUICK_BUILD {
            install.env(setting, value);
        }
        for (variable, path) in libraries {
            install.env(variable, path);
        }
        run(&mut install)
    }

    fn is_installed(&self, root: &Path) -> bool {
        let program = root.join("bin").join(self.name);
        output(Command::new(program).arg("--version"))
            .is_ok_and(|text| text.trim() == format!("{} {}", self.name, self.version))
    }
}

const TOOLS: &[Tool<'_>] = &[
    Tool {
        name: "cargo-deny",
        version: "0.20.2",
        options: &["--no-default-features"],
        why: "checks licences, banned crates and sources",
    },
    Tool {
        name: "cargo-fuzz",
        version: "0.13.2",
        options: &[],
        why: "builds and runs the fuzz targets",
    },
];

/// Of the same version as `gungraun` in Cargo.lock.
const COUNTER: Tool<'_> = Tool {
    name: "gungraun-runner",
    version: "0.19.4",
    options: &[],
    why: "runs the benchmarks whose instructions are counted",
};

/// The tools run for seconds; built for speed they would take minutes longer to build.
const QUICK_BUILD: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];
