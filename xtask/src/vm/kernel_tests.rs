//! The guard's tests on another kernel, in a machine that lives in memory.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use super::guest;
use super::machine::{Machine, Rig};
use super::payload::Payload;
use super::report::Report;
use super::tree::Tree;
use crate::command::quoted;
use crate::suite::Tally;
use crate::workspace::Workspace;

/// Boots the kernel, runs all tests, and counts them.
pub(super) fn run(
    workspace: &Workspace,
    rig: &Rig,
    payload: &Payload,
    arguments: &[OsString],
    tally: &mut Tally,
) -> Result<()> {
    let directory = rig.scratch("tests")?;
    let tree = Tree::new(directory.join("root"), guest::TESTS)?;
    for tool in TOOLS {
        tree.tool(tool)?;
    }
    tree.python()?;
    tree.modules(&rig.kernel)?;
    // At the same paths as here, some of which are compiled into the tests.
    for program in payload.programs() {
        tree.program(program, program)?;
    }
    tree.directory(workspace.root.join("tests").strip_prefix("/")?)?;
    tree.write(
        guest::TESTS_AT,
        &script(workspace, rig, payload, arguments)?,
        true,
    )?;
    let initramfs = tree.pack(&directory.join("initramfs"))?;

    let machine = Machine {
        rig,
        initramfs: &initramfs,
        disk: None,
        console: &directory.join("console"),
        silence: SILENCE,
    };
    let mut report = Report::default();
    let ended = machine.run(|line| {
        println!("{line}");
        report.read(line);
    });
    let concluded = report.conclude(tally);
    ended?;
    concluded.with_context(|| format!("the console ended with\n{}\nand", machine.console_end()))
}

/// Runs each test executable, says its status, and says when all are done. One test at a time: on
/// kernels where a packet's namespace cannot be asked, the guard of one test sees the sockets of
/// others that are older; and an emulated processor is slow enough for one.
///
/// What tests print is shown also if they pass: some of it says what a kernel cannot do.
fn script(
    workspace: &Workspace,
    rig: &Rig,
    payload: &Payload,
    arguments: &[OsString],
) -> Result<String> {
    let mut script = format!(
        "#!/bin/sh\n\
         export GATEWAY_TEST_SCALE=short GATEWAY_TEST_PATIENCE={} GATEWAY_TEST_BIN={}\n\
         export RUST_TEST_THREADS=1\n\
         cd {}\n",
        rig.slowness(),
        quoted(payload.gateway.as_os_str()),
        quoted(workspace.root.join("tests").as_os_str()),
    );
    let given = [OsStr::new("--show-output")];
    let given = given
        .into_iter()
        .chain(arguments.iter().map(OsString::as_os_str));
    let given: Vec<String> = given.map(quoted).collect();
    for test in &payload.tests {
        let name = test.file_name().context("a test has no name")?;
        writeln!(
            script,
            "{} {}; status=$?; echo; echo \"vm: exit $status {}\"",
            quoted(test.as_os_str()),
            given.join(" "),
            name.display()
        )?;
    }
    script.push_str("echo vm: done\n");
    Ok(script)
}

/// Programs that tests start, or that the kernel does.
const TOOLS: &[&str] = &[
    "bash", "ip", "mount", "nft", "setpriv", "ss", "umount", "unshare",
];
/// In emulation a test may take five minutes, and more on a host that does other things, too.
const SILENCE: Duration = Duration::from_secs(900);
