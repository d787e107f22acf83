//! What the process gives up before it does anything: it serves strangers, and holds connections
//! that nobody else may have.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

/// Why the process kept what it must give up. Nothing may be started then.
#[derive(Debug, thiserror::Error)]
#[error("cannot give up {what}: {error}")]
pub(crate) struct ConfineError {
    what: &'static str,
    error: Errno,
}

/// Gives up, for good, every capability but that to bind ports below 1024 (kept if it was there),
/// gaining any by exec, and being looked into by others of the same user (ptrace(2),
/// pidfd_getfd(2), core dumps).
///
/// Capabilities belong to threads, and a new thread inherits them: to be called before there is a
/// second one. Afterwards root, too, reads only what file modes let it.
pub(crate) fn confine() -> Result<(), ConfineError> {
    // First: who traces the process already goes on tracing it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(keeping("being dumped and traced"))?;
    set_no_new_privs(true).map_err(keeping("the gain of privileges by exec"))?;
    let held = capabilities(None).map_err(keeping("capabilities"))?;
    // Without CAP_SETPCAP the bounding set cannot be changed. It is without effect by then: it
    // bounds what an exec may gain, and that is nothing.
    if held.permitted.contains(CapabilitySet::SETPCAP) {
        empty_bounding_set(held).map_err(keeping("the capability bounding set"))?;
    }
    clear_ambient_capability_set().map_err(keeping("ambient capabilities"))?;
    let kept = held.permitted & CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(keeping("capabilities"))
}

fn empty_bounding_set(held: CapabilitySets) -> Result<(), Errno> {
    // It is only permitted where somebody lowered it with care, and then cannot be used yet.
    let sets = CapabilitySets {
        effective: held.effective | CapabilitySet::SETPCAP,
        ..held
    };
    set_capabilities(None, sets)?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no capability from here on.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn keeping(what: &'static str) -> impl Fn(Errno) -> ConfineError {
    move |error| ConfineError { what, error }
}
