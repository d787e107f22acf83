//! A root file system in the making: what an initramfs holds.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::host;
use super::kernel::Kernel;
use crate::command::{output, run_unseen};

/// A directory that becomes a root file system.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A tree with busybox and the script that its first process runs.
    pub(super) fn new(root: PathBuf, init: &str) -> Result<Self> {
        host::empty_directory(&root)?;
        let tree = Self { root };
        for directory in ["dev", "proc", "run", "sys", "tmp"] {
            host::empty_directory(&tree.root.join(directory))?;
        }
        let busybox = locate("busybox")?;
        tree.copy(&busybox, "bin/busybox")?;
        tree.write("init", init, true)?;
        Ok(tree)
    }

    /// Adds a program of this host, found by name, where it stands here.
    pub(super) fn tool(&self, name: &str) -> Result<()> {
        let path = locate(name)?;
        self.libraries(&path)?;
        self.copy(&path, relative(&path)?)
    }

    /// Adds Python with what comes with it, whichever Python this host's `python3` is.
    pub(super) fn python(&self) -> Result<()> {
        let said = output(Command::new("python3").args(["-c", WHICH_PYTHON]))?;
        let mut lines = said.lines().map(Path::new);
        let (Some(program), Some(library)) = (lines.next(), lines.next()) else {
            bail!("python3 does not tell where it is");
        };
        self.libraries(program)?;
        self.copy(program, program)?;
        run_unseen(
            Command::new("sh")
                .args(["-euc", COPY_PYTHON, "sh"])
                .args([library, &self.root]),
        )?;
        let link = self.place(Path::new("bin/python3"))?;
        symlink(program, &link).with_context(|| format!("cannot make {}", link.display()))
    }

    /// Adds a program that we built, with its libraries.
    pub(super) fn program(&self, path: &Path, at: impl AsRef<Path>) -> Result<()> {
        self.libraries(path)?;
        self.bare_program(path, at)
    }

    /// Adds a program that we built, without what only a debugger reads.
    pub(super) fn bare_program(&self, path: &Path, at: impl AsRef<Path>) -> Result<()> {
        let to = self.place(at.as_ref())?;
        run_unseen(
            Command::new("strip")
                .arg("--strip-debug")
                .arg("-o")
                .arg(&to)
                .arg(path),
        )
    }

    /// Adds a file of this host.
    pub(super) fn copy(&self, path: &Path, at: impl AsRef<Path>) -> Result<()> {
        let to = self.place(at.as_ref())?;
        fs::copy(path, &to)
            .map(drop)
            .with_context(|| format!("cannot copy {} to {}", path.display(), to.display()))
    }

    /// Adds a file with this content.
    pub(super) fn write(&self, at: impl AsRef<Path>, text: &str, program: bool) -> Result<()> {
        let to = self.place(at.as_ref())?;
        let mode = if program { 0o755 } else { 0o644 };
        fs::write(&to, text)
            .and_then(|()| fs::set_permissions(&to, Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write {}", to.display()))
    }

    /// Adds an empty directory.
    pub(super) fn directory(&self, at: impl AsRef<Path>) -> Result<()> {
        let path = self.root.join(at);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))
    }

    /// Adds [`MODULES`] of a kernel, those that they need, and the program that loads them, where
    /// the kernel expects it.
    pub(super) fn modules(&self, kernel: &Kernel) -> Result<()> {
        let modprobe = locate("modprobe")?;
        self.libraries(&modprobe)?;
        self.copy(&modprobe, "sbin/modprobe")?;
        let list = kernel.modules.join("modules.dep");
        let list =
            fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        let home = Path::new("lib/modules").join(&kernel.release);
        for module in wanted(&list) {
            self.copy(&kernel.modules.join(module), home.join(module))?;
        }
        for file in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            self.copy(&kernel.modules.join(file), home.join(file))?;
        }
        run_unseen(
            Command::new("depmod")
                .arg("-b")
                .arg(&self.root)
                .arg(&kernel.release),
        )
    }

    /// Writes the tree as an archive that a kernel unpacks, and removes it.
    pub(super) fn pack(self, to: &Path) -> Result<PathBuf> {
        run_unseen(
            Command::new("sh")
                .args(["-euc", PACK, "sh"])
                .arg(&self.root)
                .arg(to),
        )
        .context("cannot pack an initramfs")?;
        fs::remove_dir_all(&self.root).context("cannot remove what was packed")?;
        Ok(to.to_path_buf())
    }

    fn libraries(&self, program: &Path) -> Result<()> {
        let said = output(Command::new("ldd").arg(program))
            .with_context(|| format!("cannot tell what {} needs", program.display()))?;
        for library in libraries(&said)? {
            self.copy(library, relative(library)?)?;
        }
        Ok(())
    }

    /// Where something goes, with its directory made.
    fn place(&self, at: &Path) -> Result<PathBuf> {
        let path = self.root.join(relative(at)?);
        let directory = path.parent().context("a file has no directory")?;
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(path)
    }
}

/// What a program is called on this host, by its full path.
fn locate(name: &str) -> Result<PathBuf> {
    let path = output(Command::new("sh").args(["-c", "command -v \"$0\"", name]))
        .with_context(|| format!("no {name} here"))?;
    Ok(PathBuf::from(path.trim()))
}

/// A path without its leading slash, if it has one.
fn relative(path: &Path) -> Result<&Path> {
    if path.is_relative() {
        return Ok(path);
    }
    path.strip_prefix("/")
        .with_context(|| format!("{} is not absolute", path.display()))
}

/// The files that `ldd` names. The kernel's own library (vdso) has none.
fn libraries(said: &str) -> Result<Vec<&Path>> {
    said.lines()
        .filter_map(|line| {
            let words = || line.split_whitespace();
            if words().any(|word| word == "not") {
                return Some(Err(anyhow::anyhow!("ldd: {}", line.trim())));
            }
            let path = words().find(|word| word.starts_with('/'))?;
            Some(Ok(Path::new(path)))
        })
        .collect()
}

/// The modules that a `modules.dep` makes of [`MODULES`], each once.
fn wanted(list: &str) -> Vec<&str> {
    let mut modules: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(module, _)| MODULES.iter().any(|wanted| is_wanted(module, wanted)))
        .flat_map(|(module, needs)| [module].into_iter().chain(needs.split_whitespace()))
        .collect();
    modules.sort_unstable();
    modules.dedup();
    modules
}

fn is_wanted(module: &str, wanted: &str) -> bool {
    if wanted.ends_with('/') {
        return module.starts_with(wanted);
    }
    let file = module.rsplit('/').next().unwrap_or(module);
    file.split('.').next() == Some(wanted)
}

/// Directories end in a slash; the others are names. Kernels load modules by themselves, so that
/// what the tests use indirectly must be there too.
const MODULES: &[&str] = &[
    "dummy",
    "ext4",
    "kernel/arch/x86/crypto/",
    "kernel/crypto/",
    "kernel/net/ipv4/",
    "kernel/net/ipv6/",
    "kernel/net/mptcp/",
    "kernel/net/netfilter/",
    "kernel/net/packet/",
    "kernel/net/sched/",
    "kernel/net/tls/",
    "macvlan",
    "tcp_diag",
    "veth",
    "virtio_blk",
    "virtio_pci",
];

const WHICH_PYTHON: &str = "import os, sys, sysconfig; \
    print(os.path.realpath(sys.executable), sysconfig.get_path('stdlib'), sep='\\n')";
const COPY_PYTHON: &str = "tar -C / -cf - --exclude=__pycache__ --exclude=site-packages \
    --exclude=dist-packages --exclude=test --exclude='*.a' \"${1#/}\" | tar -xf - -C \"$2\"";
const PACK: &str = r#"cd "$1"; find . -print0 | cpio --quiet -0 -o -H newc --owner=+0:+0 >"$2""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_need_each_once() {
        let list = "kernel/drivers/net/veth.ko:\n\
                    kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n\
                    kernel/crypto/ccm.ko: kernel/crypto/ctr.ko\n\
                    kernel/crypto/ctr.ko:\n\
                    kernel/fs/xfs/xfs.ko: kernel/lib/crc16.ko.xz\n";
        assert_eq!(
            wanted(list),
            [
                "kernel/crypto/ccm.ko",
                "kernel/crypto/ctr.ko",
                "kernel/drivers/net/veth.ko",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/lib/crc16.ko.xz",
            ]
        );
    }

    #[test]
    fn libraries_are_those_with_a_file_and_none_may_be_missing() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = libraries(said).unwrap();
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, expected.map(Path::new));
        assert!(libraries("\tstatically linked\n").unwrap().is_empty());
        let error = libraries("\tlibx.so => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so"), "{error}");
    }
}
