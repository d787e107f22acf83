//! The units, in a Debian image whose first process is systemd.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::machine::{Machine, Rig};
use super::payload::Payload;
use super::report::Report;
use super::tree::Tree;
use super::{guest, image};
use crate::suite::Tally;
use crate::workspace::Workspace;

/// Boots the image with one disk as often as its checks ask for, and counts them.
pub(super) fn run(
    workspace: &Workspace,
    rig: &Rig,
    payload: &Payload,
    tally: &mut Tally,
) -> Result<()> {
    let directory = rig.scratch("systemd")?;
    let disk = directory.join("disk");
    image::copy(&workspace.vm(), &disk)?;
    let initramfs = tree(workspace, rig, payload, &directory.join("root"))?
        .pack(&directory.join("initramfs"))?;
    let mut report = Report::default();
    let mut boot = 0;
    let ended = loop {
        boot += 1;
        println!("boot {boot}");
        let machine = Machine {
            rig,
            initramfs: &initramfs,
            disk: Some(&disk),
            console: &directory.join(format!("console-{boot}")),
            silence: SILENCE,
        };
        let ended = machine.run(|line| {
            println!("{line}");
            report.read(line);
        });
        if ended.is_err() || !report.take_again() || boot == MOST_BOOTS {
            break ended.with_context(|| format!("boot {boot}"));
        }
    };
    let concluded = report.conclude(tally);
    ended?;
    concluded.with_context(|| format!("see {}", directory.display()))?;
    // It is large, and nothing is left to be learnt from it.
    fs::remove_file(&disk).context("cannot remove the disk")
}

/// The initramfs: brings the disk up, and what is tested onto it.
fn tree(workspace: &Workspace, rig: &Rig, payload: &Payload, root: &Path) -> Result<Tree> {
    let tree = Tree::new(root.to_path_buf(), guest::SYSTEMD)?;
    tree.modules(&rig.kernel)?;
    let place = |path: &str| Path::new(guest::PAYLOAD_AT).join(path);
    for (at, text, program) in guest::FILES {
        tree.write(place(at), text, *program)?;
    }
    tree.bare_program(&payload.gateway, place("usr/bin/connect-gateway"))?;
    tree.bare_program(payload.helper(DOUBLE)?, place("usr/local/bin").join(DOUBLE))?;
    for (from, to) in UNITS {
        tree.copy(
            &workspace.root.join("gateway/systemd").join(from),
            place(to).join(from),
        )?;
    }
    Ok(tree)
}

/// Plays Connect.
const DOUBLE: &str = "connect-double";

/// Files below `gateway/systemd`, and where a package would put them.
const UNITS: &[(&str, &str)] = &[
    ("connect-gateway-guard.service", "usr/lib/systemd/system"),
    ("connect-gateway.service", "usr/lib/systemd/system"),
    ("connect-gateway.slice", "usr/lib/systemd/system"),
    (
        "rstudio-connect.service.d/connect-gateway.conf",
        "usr/lib/systemd/system",
    ),
    ("sysusers.d/connect-gateway.conf", "usr/lib"),
    ("tmpfiles.d/connect-gateway.conf", "usr/lib"),
];

const MOST_BOOTS: u32 = 8;
/// In emulation a boot takes half a minute.
const SILENCE: Duration = Duration::from_secs(300);
