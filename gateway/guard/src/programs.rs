//! The programs of the embedded object.

use std::os::fd::AsFd;
use std::path::Path;

use aya::programs::{
    CgroupSkb, CgroupSock, CgroupSockAddr, Program, ProgramError, ProgramFd, SkReuseport,
};
use aya::{Ebpf, EbpfLoader};

use crate::error::GuardError;
use crate::link::{self, Hook};
use crate::{object, pins};

/// Makes the maps, and reads the programs; none is loaded yet.
pub(crate) fn read(pins: Option<&Path>, namespace_helper: bool) -> Result<Ebpf, GuardError> {
    let object = object::OBJECT.ok_or(GuardError::NoObject)?;
    let mut loader = EbpfLoader::new();
    let helper = u32::from(namespace_helper);
    loader.override_global("NAMESPACE_HELPER", &helper, true);
    if let Some(pins) = pins {
        // What sockets were noted as holds across instances, and where datagrams are steered to;
        // all else is made anew.
        for name in pins::NOTES {
            loader.map_pin_path(name, pins.join(name));
        }
        for (name, pin) in pins::steering() {
            loader.map_pin_path(name, pins.join(pin));
        }
    }
    Ok(loader.load(object)?)
}

/// Loads a program unless it is loaded.
pub(crate) fn load(ebpf: &mut Ebpf, hook: Hook) -> Result<&ProgramFd, GuardError> {
    let fault = |source| GuardError::Program {
        program: hook.name(),
        source,
    };
    let result = match ebpf.program_mut(hook.name()) {
        Some(Program::CgroupSkb(program)) => ready(program, CgroupSkb::load, |it| it.fd().is_ok()),
        Some(Program::CgroupSock(program)) => {
            ready(program, CgroupSock::load, |it| it.fd().is_ok())
        }
        Some(Program::CgroupSockAddr(program)) => {
            ready(program, CgroupSockAddr::load, |it| it.fd().is_ok())
        }
        _ => return Err(GuardError::NoObject),
    };
    result.map_err(fault)?;
    loaded(ebpf, hook)
}

/// Loads the program that steers datagrams unless it is loaded.
pub(crate) fn load_steering(ebpf: &mut Ebpf) -> Result<&SkReuseport, GuardError> {
    let Some(Program::SkReuseport(program)) = ebpf.program_mut(STEERING) else {
        return Err(GuardError::NoObject);
    };
    ready(program, SkReuseport::load, |it| it.fd().is_ok()).map_err(|source| {
        GuardError::Program {
            program: STEERING,
            source,
        }
    })?;
    Ok(program)
}

/// The program that steers datagrams, if it is loaded.
pub(crate) fn steering(ebpf: &Ebpf) -> Option<&ProgramFd> {
    ebpf.program(STEERING)?.fd().ok()
}

fn ready<P>(
    program: &mut P,
    load: impl FnOnce(&mut P) -> Result<(), ProgramError>,
    is_loaded: impl FnOnce(&P) -> bool,
) -> Result<(), ProgramError> {
    if is_loaded(program) {
        Ok(())
    } else {
        load(program)
    }
}

/// A loaded program.
pub(crate) fn loaded(ebpf: &Ebpf, hook: Hook) -> Result<&ProgramFd, GuardError> {
    let program = ebpf.program(hook.name()).ok_or(GuardError::NoObject)?;
    program.fd().map_err(|source| GuardError::Program {
        program: hook.name(),
        source,
    })
}

/// Its id in the kernel.
pub(crate) fn id(program: &ProgramFd) -> Option<u32> {
    let text = link::fdinfo(program.as_fd()).ok()?;
    u32::try_from(link::field(&text, "prog_id")?).ok()
}

/// The name of the program that steers datagrams.
const STEERING: &str = "steer";
