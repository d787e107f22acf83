//! Why the guard cannot do its work.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::pin::PinError;
use aya::programs::ProgramError;

/// Why the guard cannot do its work. Nothing that was not attached before is attached after it.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A program cannot be attached.
    #[error("cannot attach {program}: {source}")]
    Attach {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Foreign connections cannot be ended.
    #[error("cannot end foreign connections to {endpoint}: {source}")]
    Cut {
        /// Of which endpoint.
        endpoint: String,
        /// Why.
        source: io::Error,
    },
    /// A program cannot be detached.
    #[error("cannot detach {program}: {source}")]
    Detach {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel refuses the object as a whole.
    #[error("the kernel does not take the eBPF object: {0}")]
    Load(#[from] EbpfError),
    /// A map cannot be read or written.
    #[error("a map of the guard's cannot be used: {0}")]
    Map(#[from] aya::maps::MapError),
    /// No cgroup of version 2 is mounted.
    #[error("no_cgroup2: no cgroup v2 hierarchy is mounted; expected one at /sys/fs/cgroup")]
    NoCgroup2,
    /// This binary was built without the programs.
    #[error("no_object: this build has no eBPF object; `cargo xtask build-ebpf`, then build again")]
    NoObject,
    /// What is pinned has no settings that this version can change.
    #[error(
        "what is pinned as {program} is of another version: use its `connect-gateway`, start the service, or `detach`"
    )]
    OtherVersion {
        /// Which program.
        program: &'static str,
    },
    /// A map cannot be pinned again.
    #[error("cannot pin {map}: {source}")]
    Pin {
        /// Which.
        map: &'static str,
        /// Why.
        source: PinError,
    },
    /// The pin directory cannot be trusted or made.
    #[error("pins_unsafe: {}: {problem}; expected a directory of root's with mode 0700 that nobody else can write to or replace", path.display())]
    Pins {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The kernel refuses a program.
    #[error("the kernel does not take the program {program}: {source}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why, with the verifier's words.
        source: ProgramError,
    },
    /// Another instance has this pin directory.
    #[error("already_running: another guard holds {}; expected one for each pin directory", _0.display())]
    Running(PathBuf),
    /// Which sockets datagrams are steered to cannot be looked up.
    #[error("cannot look up the sockets that datagrams are steered to: {source}")]
    Steering {
        /// Why.
        source: io::Error,
    },
    /// What the rules name cannot be looked up.
    #[error("cannot look up cgroups and namespaces: {0}")]
    Surroundings(#[source] io::Error),
}
