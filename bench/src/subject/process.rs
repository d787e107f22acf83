//! A subject's process.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cores::{Cores, Share};

/// A running one. Dropped, it is ended.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it on its share of the cores; what it prints goes to `log`.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
        (cores, share): (Cores, Share),
    ) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let output = file.try_clone().context("cannot share a log file")?;
        // The floor ends with its standard input.
        command.stdin(Stdio::piped()).stdout(output).stderr(file);
        let child = cores.spawn_subject(&mut command, share)?;
        Ok(Self { name, child, log })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error, with the end of its log, if it has ended.
    pub(crate) fn expect_running(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot wait")? {
            None => Ok(()),
            Some(status) => Err(self.fault(&format!("has ended: {status}"))),
        }
    }

    /// An error with the end of its log.
    pub(crate) fn fault(&self, what: &str) -> anyhow::Error {
        let log = fs::read(&self.log).unwrap_or_else(|error| error.to_string().into());
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        anyhow!(
            "{} {what}\n{}",
            self.name,
            tail.unwrap_or_default().join("\n")
        )
    }

    /// Asks it to end, and kills it if it takes too long, which is an error.
    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("no process id")?, Signal::TERM)?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                bail!("did not end within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: {}: {error:#}", self.name);
        }
    }
}

/// A command that ends (SIGTERM) when this process does, however it ends. `setpriv` is in util-linux,
/// which Debian always has.
pub(super) fn tied(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// The file of a program from a Debian package.
pub(crate) fn installed(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where an ordinary user's PATH does not lead.
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is not installed; it is in Debian's package {package}"))
}

/// The first line that a program prints, on whatever it prints it.
pub(crate) fn first_line(program: &Path, argument: &str) -> Result<String> {
    let text = printed(program, argument)?;
    let line = text.lines().next().context("no version")?;
    Ok(line.trim().to_owned())
}

/// Whether a program prints a word.
pub(super) fn says(program: &Path, argument: &str, word: &str) -> Result<bool> {
    let text = printed(program, argument)?;
    Ok(text.split_whitespace().any(|printed| printed == word))
}

fn printed(program: &Path, argument: &str) -> Result<String> {
    let output = match Command::new(program).arg(argument).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "there is no {}: cargo xtask bench builds it",
                program.display()
            )
        }
        output => output.with_context(|| format!("cannot start {}", program.display()))?,
    };
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const TAIL: usize = 10;
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_names_its_package() {
        let error = installed("no-such-program", "some-package").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed; it is in Debian's package some-package"
        );
        assert!(installed("sh", "dash").is_ok());
    }

    #[test]
    fn a_version_is_the_first_line_printed() {
        let line = first_line(Path::new("/bin/bash"), "--version").unwrap();
        assert!(line.contains("bash"), "{line}");
        assert!(says(Path::new("/bin/echo"), "a +QUIC b", "+QUIC").unwrap());
        assert!(!says(Path::new("/bin/echo"), "a -QUIC +QUIC2", "+QUIC").unwrap());
        let error = first_line(Path::new("/nowhere/at-all"), "-v").unwrap_err();
        assert!(
            error.to_string().contains("cargo xtask bench builds it"),
            "{error}"
        );
    }
}
