//! The last steps before a child's own program: tie its life to its parent's, enter its cgroup.
//!
//! Nothing in the parent can do the first, because a parent that is killed runs nothing any more;
//! and a socket belongs to the cgroup in which it was made, so the second comes before everything
//! that the program does.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Error, anyhow};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// A command that becomes `program` with its arguments, and is ended (SIGTERM) when this process
/// ends, however it ends. Spawn it from the main thread: the kernel watches the thread.
pub(crate) fn tied(program: impl Into<OsString>) -> std::io::Result<Command> {
    tied_in(program, None)
}

/// The same in the cgroup with this directory, if one is given.
pub(crate) fn tied_in(
    program: impl Into<OsString>,
    cgroup: Option<&Path>,
) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("launch");
    if let Some(cgroup) = cgroup {
        command.arg("--cgroup").arg(cgroup);
    }
    command.arg(process::id().to_string()).arg(program.into());
    Ok(command)
}

/// Becomes the program; returns only if it cannot.
pub(crate) fn exec(
    parent: u32,
    cgroup: Option<&Path>,
    program: &OsString,
    arguments: &[OsString],
) -> Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return anyhow!("cannot be tied to the parent process: {error}");
    }
    // The parent may have ended before the line above took effect.
    let still_there =
        getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent);
    if !still_there {
        return anyhow!("the parent process has ended");
    }
    // 0 is whoever writes it.
    if let Some(cgroup) = cgroup
        && let Err(error) = fs::write(cgroup.join("cgroup.procs"), "0")
    {
        return anyhow!("cannot enter {}: {error}", cgroup.display());
    }
    let error = Command::new(program).args(arguments).exec();
    anyhow!("cannot start {}: {error}", program.display())
}

/// The status when the program cannot be started, as a shell's.
pub(crate) const NOT_STARTED: u8 = 127;
