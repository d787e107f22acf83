//! Cargo tools of fixed versions, built once, in a cache that every clone shares.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, output, run};
use crate::workspace::Workspace;

/// Builds the tools that are missing or of another version.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    for tool in TOOLS {
        if tool.is_installed(workspace) {
            continue;
        }
        eprintln!(
            "setup: building {} {} into {}: {}",
            tool.name,
            tool.version,
            workspace.tools.display(),
            tool.why
        );
        let mut install = cargo(workspace);
        install
            .args(["install", "--locked", "--force", "--root"])
            .arg(&workspace.tools)
            .args(["--version", tool.version])
            .args(tool.options)
            .arg(tool.name)
            // Of its own: the clone's would be filled with what no other build uses.
            .env_remove("CARGO_TARGET_DIR");
        for (setting, value) in QUICK_BUILD {
            install.env(setting, value);
        }
        run(&mut install)?;
    }
    Ok(())
}

/// One tool.
struct Tool {
    name: &'static str,
    version: &'static str,
    options: &'static [&'static str],
    why: &'static str,
}

impl Tool {
    fn is_installed(&self, workspace: &Workspace) -> bool {
        let program = workspace.tools.join("bin").join(self.name);
        output(Command::new(program).arg("--version"))
            .is_ok_and(|text| text.trim() == format!("{} {}", self.name, self.version))
    }
}

const TOOLS: &[Tool] = &[
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

/// The tools run for seconds; built for speed they would take minutes longer to build.
const QUICK_BUILD: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];
