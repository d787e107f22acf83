//! The bare loop.

use std::net::SocketAddr;
use std::process::Command;

use super::process::tied;
use super::{Link, Setting, own};

pub(super) fn command(setting: &Setting<'_>, listen: SocketAddr) -> Command {
    let mut command = tied(&own(setting, "bench-floor"));
    command
        .args([listen.to_string(), setting.back_end.to_string()])
        .arg(setting.place.directory())
        .arg(match setting.link {
            Link::Mutual => "mutual",
            Link::Plain => "plain",
        });
    command
}
