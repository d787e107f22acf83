//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The clone that xtask works on, and the caches around it. All paths are absolute.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The clone.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// Tools that are built once and serve every clone.
    pub(crate) tools: PathBuf,
}

impl Workspace {
    /// The workspace that this xtask belongs to.
    pub(crate) fn find() -> Result<Self> {
        // cargo sets the variable at run time too, which stays true when a clone is moved.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask has no parent directory")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => absolute(&PathBuf::from(target))?,
            None => root.join("target"),
        };
        let tools = match env::var_os("CONNECT_GATEWAY_TOOLS") {
            Some(tools) => absolute(&PathBuf::from(tools))?,
            None => cache_home()?.join("connect-gateway/tools"),
        };
        Ok(Self {
            root,
            target,
            tools,
        })
    }

    /// A program that the workspace builds, in release.
    pub(crate) fn release(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// The guard's kernel programs: always under the clone, where the guard's build script looks.
    pub(crate) fn ebpf_object(&self) -> PathBuf {
        self.root.join("target/bpf/guard.o")
    }

    /// Where benchmarks leave their reports: always under the clone, so that they are found.
    pub(crate) fn bench(&self) -> PathBuf {
        self.root.join("target/bench")
    }

    /// Tools that are linked with a major version of LLVM.
    pub(crate) fn llvm_tools(&self, major: u32) -> PathBuf {
        self.tools.join(format!("llvm-{major}"))
    }

    /// Where the demo keeps its files: always under the clone, so that it is found.
    pub(crate) fn demo(&self) -> PathBuf {
        self.root.join("target/demo")
    }

    /// Kernels and images for virtual machines, which serve every clone.
    pub(crate) fn vm(&self) -> PathBuf {
        self.tools.with_file_name("vm")
    }

    /// The Python environment with the real clients.
    pub(crate) fn python(&self) -> PathBuf {
        self.root.join("target/py")
    }
}

fn cache_home() -> Result<PathBuf> {
    if let Some(cache) = env::var_os("XDG_CACHE_HOME") {
        return absolute(&PathBuf::from(cache));
    }
    let home = env::home_dir().context("no home directory: set CONNECT_GATEWAY_TOOLS")?;
    Ok(home.join(".cache"))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}
