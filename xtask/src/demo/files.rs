//! The files under `target/demo`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::workspace::Workspace;

/// The demo's directory, held by one demo at a time.
pub(super) struct Files {
    directory: PathBuf,
    /// Locked until this process ends, however it ends.
    _lock: File,
}

/// The demo's user.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: &'static str,
    pub(super) password: String,
}

impl Files {
    /// Takes the directory, makes certificates that are missing or expired, and removes what an
    /// earlier demo said about itself.
    pub(super) fn prepare(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.demo();
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = lock(&directory.join("lock"))?;
        let files = Self {
            directory,
            _lock: lock,
        };
        remove(&files.facts())?;
        remove(&files.path("access.log"))?;
        // What somebody told the guard of an earlier demo is not meant for this one's.
        remove(&files.path("guard/override.json"))?;
        command::run_unseen(Command::new(workspace.release("demo-certs")).arg(files.path("tls")))?;
        Ok(files)
    }

    /// A file of the demo.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What the gateway and the guard read.
    pub(super) fn config(&self) -> PathBuf {
        self.path("connect-gateway.toml")
    }

    /// Where the running demo describes itself.
    pub(super) fn facts(&self) -> PathBuf {
        self.path("demo.json")
    }

    /// Writes the htpasswd file: one user with a fresh password.
    pub(super) fn add_user(&self, workspace: &Workspace) -> Result<Login> {
        let login = Login {
            user: "alice",
            password: fresh_password()?,
        };
        let hash = hash(&workspace.release("connect-gateway"), &login.password)?;
        write_secret(&self.path("users"), &format!("{}:{hash}\n", login.user))?;
        Ok(login)
    }
}

/// Writes a file that only its owner may read.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<()> {
    remove(path)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another demo of this clone is running"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn fresh_password() -> Result<String> {
    let mut random = [0_u8; 12];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("cannot read /dev/urandom")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Hashes a password as an operator would.
fn hash(gateway: &Path, password: &str) -> Result<String> {
    let mut child = Command::new(gateway)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", gateway.display()))?;
    let mut input = child.stdin.take().context("no standard input")?;
    writeln!(input, "{password}").context("cannot hand over the password")?;
    drop(input);
    let output = child
        .wait_with_output()
        .context("cannot wait for hash-password")?;
    if !output.status.success() {
        bail!("connect-gateway hash-password failed: {}", output.status);
    }
    let text = String::from_utf8(output.stdout).context("a hash that is not UTF-8")?;
    Ok(text.trim().to_owned())
}
