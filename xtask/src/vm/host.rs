//! What this machine must have to run others, and small things done with its files.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::succeeds;
use crate::setup;

/// Installs what is missing.
pub(super) fn install() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the machines are x86-64, as this one is not");
    }
    let missing = || NEEDS.iter().filter(|need| !need.is_met());
    let packages: Vec<&str> = missing().map(|need| need.package).collect();
    if !packages.is_empty() {
        setup::packages(&packages, "virtual machines are made and run with them")?;
    }
    match missing().next() {
        None => Ok(()),
        Some(need) => bail!(
            "{} is installed, but {} does not run",
            need.package,
            need.program
        ),
    }
}

/// Makes a directory, or empties the one that is there.
pub(super) fn empty_directory(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// The names in a directory; none if it does not exist.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .with_context(|| format!("cannot list {}", path.display()))
}

struct Need {
    program: &'static str,
    package: &'static str,
}

impl Need {
    fn is_met(&self) -> bool {
        succeeds(Command::new("sh").args(["-c", "command -v \"$0\"", self.program]))
    }
}

/// Those from `busybox` on run inside the machines.
const NEEDS: &[Need] = &[
    Need {
        program: "cpio",
        package: "cpio",
    },
    Need {
        program: "depmod",
        package: "kmod",
    },
    Need {
        program: "dpkg-deb",
        package: "dpkg",
    },
    Need {
        program: "genext2fs",
        package: "genext2fs",
    },
    Need {
        program: "ldd",
        package: "libc-bin",
    },
    Need {
        program: "mmdebstrap",
        package: "mmdebstrap",
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
    },
    Need {
        program: "resize2fs",
        package: "e2fsprogs",
    },
    Need {
        program: "strip",
        package: "binutils",
    },
    Need {
        program: "busybox",
        package: "busybox-static",
    },
    Need {
        program: "python3",
        package: "python3",
    },
    Need {
        program: "umount",
        package: "mount",
    },
    Need {
        program: "setpriv",
        package: "util-linux",
    },
    Need {
        program: "ip",
        package: "iproute2",
    },
    Need {
        program: "nft",
        package: "nftables",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_met_only_by_a_program_that_is_there() {
        let need = |program| Need {
            program,
            package: "",
        };
        assert!(need("sh").is_met());
        assert!(!need("no-such-program").is_met());
    }
}
