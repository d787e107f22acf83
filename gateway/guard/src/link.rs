//! A program's attachment to the root of cgroup v2, and what the kernel says about it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use gateway_ebpf::abi::Program;

use crate::sys;

/// Which program is attached where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// One that decides.
    Decides(Program),
    /// The one that notes the namespaces of sockets.
    Origin,
}

/// A link, pinned or not.
#[derive(Debug)]
pub(crate) struct Link {
    descriptor: OwnedFd,
    pin: Option<PathBuf>,
    /// Whether nothing was attached there before.
    made: bool,
}

/// What is attached by a link at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The program's id.
    pub(crate) program: u32,
    /// The cgroup's id; 0 once the link was detached or its cgroup removed.
    pub(crate) cgroup: u64,
}

impl Attached {
    /// Whether this program is attached.
    pub(crate) fn holds(self, program: u32) -> bool {
        self.cgroup != 0 && self.program == program
    }
}

impl Hook {
    /// Every hook, in the order in which they are attached: what notes comes before what reads the
    /// notes.
    pub(crate) const ALL: [Self; 7] = [
        Self::Origin,
        Self::Decides(Program::Bind4),
        Self::Decides(Program::Bind6),
        Self::Decides(Program::Connect4),
        Self::Decides(Program::Connect6),
        Self::Decides(Program::Egress),
        Self::Decides(Program::Ingress),
    ];

    /// The program's name in the object, and the pin's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Decides(program) => program.as_str(),
            Self::Origin => "origin",
        }
    }

    /// `enum bpf_attach_type` of linux/bpf.h.
    const fn attach_type(self) -> u32 {
        match self {
            Self::Decides(Program::Ingress) => 0,
            Self::Decides(Program::Egress) => 1,
            Self::Origin => 2,
            Self::Decides(Program::Bind4) => 8,
            Self::Decides(Program::Bind6) => 9,
            Self::Decides(Program::Connect4) => 10,
            Self::Decides(Program::Connect6) => 11,
        }
    }
}

impl Link {
    /// Attaches a program. With a pin that exists already, that link's program is replaced without
    /// a moment between; a pin whose link is dead is made anew.
    pub(crate) fn attach(
        hook: Hook,
        program: BorrowedFd<'_>,
        root: BorrowedFd<'_>,
        pins: Option<&Path>,
    ) -> io::Result<Self> {
        let pin = pins.map(|directory| directory.join(hook.name()));
        if let Some(pin) = &pin
            && let Some(descriptor) = open(pin)?
        {
            match sys::link_update(descriptor.as_fd(), program) {
                Ok(()) => {
                    return Ok(Self {
                        descriptor,
                        pin: Some(pin.clone()),
                        made: false,
                    });
                }
                // ENOLINK: detached. The pin holds a link that cannot come back.
                Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {
                    fs::remove_file(pin)?;
                }
                Err(error) => return Err(error),
            }
        }
        let descriptor = sys::link_create(program, root, hook.attach_type())?;
        if let Some(pin) = &pin {
            sys::pin(descriptor.as_fd(), pin)?;
        }
        Ok(Self {
            descriptor,
            pin,
            made: true,
        })
    }

    /// Puts our program back in the place of whatever the link has.
    pub(crate) fn restore(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        sys::link_update(self.descriptor.as_fd(), program)
    }

    /// Pins it again if its pin is gone.
    pub(crate) fn restore_pin(&self) -> io::Result<bool> {
        match &self.pin {
            Some(pin) if !pin.exists() => sys::pin(self.descriptor.as_fd(), pin).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Takes back what this instance has begun; what it took over stays.
    pub(crate) fn withdraw(self) {
        if let Some(pin) = &self.pin
            && self.made
            && let Err(error) = remove(pin)
        {
            tracing::error!(pin = %pin.display(), %error, "a program stays attached");
        }
    }

    /// What is attached.
    pub(crate) fn attached(&self) -> io::Result<Attached> {
        attached(&self.descriptor)
    }
}

/// Detaches what is pinned for a hook, whoever else holds it, and removes the pin; true if there was
/// something.
pub(crate) fn remove_pinned(pins: &Path, hook: Hook) -> io::Result<bool> {
    let pin = pins.join(hook.name());
    let there = pin.symlink_metadata().is_ok();
    // First, since the kernel lets go of what a removed pin held only a while later. What cannot be
    // opened is no link, and then nothing is attached by it.
    if let Ok(Some(link)) = open(&pin) {
        match sys::link_detach(link.as_fd()) {
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
            _ => {}
        }
    }
    remove(&pin)?;
    Ok(there)
}

/// The id of the program that is attached by what is pinned for a hook.
pub(crate) fn pinned_program(pins: &Path, hook: Hook) -> io::Result<Option<u32>> {
    let Some(descriptor) = open(&pins.join(hook.name()))? else {
        return Ok(None);
    };
    let attached = attached(&descriptor)?;
    Ok((attached.cgroup != 0).then_some(attached.program))
}

fn open(pin: &Path) -> io::Result<Option<OwnedFd>> {
    match sys::pinned(pin) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a pin, if it is there.
pub(crate) fn remove(pin: &Path) -> io::Result<()> {
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads `/proc/self/fdinfo`, which shows what `BPF_OBJ_GET_INFO_BY_FD` does.
fn attached(link: &OwnedFd) -> io::Result<Attached> {
    let text = fdinfo(link.as_fd())?;
    let number = |key| {
        field(&text, key)
            .ok_or_else(|| io::Error::other(format!("the kernel does not show a link's {key}")))
    };
    Ok(Attached {
        program: u32::try_from(number("prog_id")?).map_err(io::Error::other)?,
        cgroup: number("cgroup_id")?,
    })
}

/// What the kernel shows of a descriptor (proc_pid_fdinfo(5)).
pub(crate) fn fdinfo(descriptor: BorrowedFd<'_>) -> io::Result<String> {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd()))
}

/// A number in [`fdinfo`].
pub(crate) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let text = "pos:\t0\nprog_id_x:\t1\nprog_id:\t42\ncgroup_id:\t18446744073709551615\n";
        assert_eq!(field(text, "prog_id"), Some(42));
        assert_eq!(field(text, "cgroup_id"), Some(u64::MAX));
        assert_eq!(field(text, "cgroup"), None);
    }
}
