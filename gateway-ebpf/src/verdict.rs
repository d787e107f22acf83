//! What a decision leads to: a counter, an event, and what the kernel is told.

use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
    bpf_get_current_uid_gid, bpf_ktime_get_ns,
};
use gateway_ebpf::abi::{Event, Program, Reason, Settings, verdict};

use crate::maps::{EVENTS, LOST, SETTINGS, VERDICTS};

/// The verdict of a program: pass.
pub const PASS: i32 = 1;
/// The verdict of a program: drop the packet, or fail the call with EPERM.
pub const REFUSE: i32 = 0;

/// What concerns every endpoint. The entry always exists; if not, nothing matches and all is
/// refused.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Counts a verdict that lets pass.
#[inline(always)]
pub fn pass(program: Program, reason: Reason, enforce: bool) -> i32 {
    count(program, reason, enforce);
    PASS
}

/// Counts and reports a refusal of a packet; it is one only if `enforce`.
#[inline(always)]
pub fn refuse_packet(event: Event, program: Program, reason: Reason, enforce: bool) -> i32 {
    refuse(event, program, reason, enforce)
}

/// Counts and reports a refusal of what the current process asks for; it is one only if `enforce`.
#[inline(always)]
pub fn refuse_process(event: Event, program: Program, reason: Reason, enforce: bool) -> i32 {
    let event = Event {
        // SAFETY: helpers without arguments.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        uid: bpf_get_current_uid_gid() as u32,
        command: bpf_get_current_comm().unwrap_or_default(),
        ..event
    };
    refuse(event, program, reason, enforce)
}

/// Counts a refusal that is nobody's doing.
#[inline(always)]
pub fn refuse_silently(program: Program, reason: Reason, enforce: bool) -> i32 {
    count(program, reason, enforce);
    if enforce { REFUSE } else { PASS }
}

#[inline(always)]
fn refuse(event: Event, program: Program, reason: Reason, enforce: bool) -> i32 {
    count(program, reason, enforce);
    match EVENTS.reserve(0) {
        Some(mut slot) => {
            slot.write(Event {
                // SAFETY: a helper without arguments.
                time: unsafe { bpf_ktime_get_ns() },
                program: program as u8,
                reason: reason as u8,
                enforced: enforce as u8,
                ..event
            });
            // The reader looks at the ring by the clock: a flood of refusals must not wake it.
            slot.submit(u64::from(aya_ebpf::bindings::BPF_RB_NO_WAKEUP));
        }
        None => add(LOST.get_ptr_mut(0)),
    }
    if enforce { REFUSE } else { PASS }
}

#[inline(always)]
fn count(program: Program, reason: Reason, enforce: bool) {
    add(VERDICTS.get_ptr_mut(verdict(program, reason, enforce)));
}

#[inline(always)]
fn add(counter: Option<*mut u64>) {
    if let Some(counter) = counter {
        // SAFETY: the map's own element of this CPU. A program that interrupts this one on the
        // same CPU may cost a count, never more.
        unsafe { *counter += 1 }
    }
}
