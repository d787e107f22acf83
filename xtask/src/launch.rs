//! The last step before a child's own program: tie its life to its parent's.
//!
//! A guard in the parent cannot do that, because a parent that is killed runs nothing any more.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

use anyhow::{Error, anyhow};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// A command that becomes `program` with its arguments, and is ended (SIGTERM) when this process
/// ends, however it ends. Spawn it from the main thread: the kernel watches the thread.
pub(crate) fn tied(program: impl Into<OsString>) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("launch")
        .arg(process::id().to_string())
        .arg(program.into());
    Ok(command)
}

/// Becomes the program; returns only if it cannot.
pub(crate) fn exec(parent: u32, program: &OsString, arguments: &[OsString]) -> Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return anyhow!("cannot be tied to the parent process: {error}");
    }
    // The parent may have ended before the line above took effect.
    let still_there =
        getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent);
    if !still_there {
        return anyhow!("the parent process has ended");
    }
    let error = Command::new(program).args(arguments).exec();
    anyhow!("cannot start {}: {error}", program.display())
}

/// The status when the program cannot be started, as a shell's.
pub(crate) const NOT_STARTED: u8 = 127;
