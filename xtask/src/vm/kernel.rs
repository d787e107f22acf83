//! Debian's kernels: found by series, downloaded and unpacked into the cache, never installed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::host;
use crate::command::{output, run};

/// Which kernels to test on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernels {
    /// Every series.
    All,
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
}

impl Kernels {
    pub(crate) fn series(self) -> &'static [Series] {
        match self {
            Self::All => &[Series::V6_1, Series::V6_12],
            Self::V6_1 => &[Series::V6_1],
            Self::V6_12 => &[Series::V6_12],
        }
    }
}

/// The series that the guard is shown on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// The oldest that the guard promises to work on.
    V6_1,
    /// The next long-term series.
    V6_12,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As `uname -r` says.
    pub(super) release: String,
    /// What boots.
    pub(super) image: PathBuf,
    /// `lib/modules/RELEASE`, with its `modules.dep`.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// The newest kernel of a series that the package lists know. Without lists or network, the
    /// newest in the cache.
    pub(super) fn get(cache: &Path, series: Series) -> Result<Self> {
        let names = output(Command::new("apt-cache").args(["pkgnames", PACKAGE]))?;
        let known = newest(series, names.lines());
        if let Some(release) = &known {
            let kernel = Self::at(cache, release);
            if kernel.modules.exists() {
                return Ok(kernel);
            }
            match kernel.download(cache) {
                Ok(()) => return Ok(kernel),
                Err(error) => eprintln!("vm: {error:#}; looking for an older one in the cache"),
            }
        }
        let kept = host::names(&cache.join(KEPT))?;
        match newest(series, kept.iter().map(String::as_str)) {
            Some(release) => Ok(Self::at(cache, &release)),
            None => bail!(
                "neither a package {PACKAGE}{series}* nor one in {}",
                cache.display()
            ),
        }
    }

    fn at(cache: &Path, release: &str) -> Self {
        let root = cache.join(KEPT).join(format!("{PACKAGE}{release}"));
        Self {
            release: release.to_owned(),
            image: root.join(format!("boot/vmlinuz-{release}")),
            modules: root.join("lib/modules").join(release),
        }
    }

    /// Unpacks beside the place and moves there, so that what is there is whole.
    fn download(&self, cache: &Path) -> Result<()> {
        let package = format!("{PACKAGE}{}", self.release);
        let work = cache.join("unfinished").join(&package);
        host::empty_directory(&work)?;
        run(Command::new("apt-get")
            .args(["--quiet", "-o", "Acquire::Retries=3", "download", &package])
            .current_dir(&work))?;
        let packed = host::names(&work)?
            .into_iter()
            .find(|name| name.ends_with(".deb"))
            .context("apt-get downloaded nothing")?;
        let root = work.join("root");
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(work.join(packed))
            .arg(&root))?;
        run(Command::new("depmod")
            .arg("-b")
            .arg(&root)
            .arg(&self.release))?;
        let place = cache.join(KEPT).join(&package);
        fs::create_dir_all(cache.join(KEPT)).context("cannot make the cache")?;
        fs::rename(&root, &place)
            .with_context(|| format!("cannot move the kernel to {}", place.display()))?;
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.release)
    }
}

/// The newest release of a series among names of packages.
fn newest<'a>(series: Series, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .filter_map(|name| name.trim().strip_prefix(PACKAGE))
        .filter(|release| is_plain(series, release))
        .max_by_key(|release| numbers(release))
        .map(str::to_owned)
}

/// `6.1.0-56-amd64` or `6.12.117+deb12-amd64`, but no variant: cloud, real-time, debug, unsigned.
fn is_plain(series: Series, release: &str) -> bool {
    let version = release
        .strip_prefix(&series.to_string())
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix("-amd64"));
    version.is_some_and(|version| {
        // `+deb12`: built for an older Debian.
        let (version, built_for) = version.split_once('+').unwrap_or((version, ""));
        let numeric = |byte: u8| byte.is_ascii_digit() || b".-".contains(&byte);
        version.bytes().all(numeric) && !built_for.contains('-')
    })
}

fn numbers(release: &str) -> Vec<u32> {
    release
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

const PACKAGE: &str = "linux-image-";
/// Below the cache.
const KEPT: &str = "kernels";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_plain_kernel_of_a_series_is_chosen_by_number() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-57-amd64-unsigned",
            "linux-image-6.1.0-58-cloud-amd64",
            "linux-image-6.1.0-59-rt-amd64",
            "linux-image-6.12.99+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12.118+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-amd64-dbg",
            "linux-image-amd64",
        ];
        let newest = |series| newest(series, names.into_iter());
        assert_eq!(newest(Series::V6_1).as_deref(), Some("6.1.0-56-amd64"));
        assert_eq!(
            newest(Series::V6_12).as_deref(),
            Some("6.12.117+deb12-amd64")
        );
    }

    #[test]
    fn a_series_without_a_kernel_has_none() {
        assert_eq!(
            newest(Series::V6_1, ["linux-image-6.12.1-amd64"].into_iter()),
            None
        );
    }
}
