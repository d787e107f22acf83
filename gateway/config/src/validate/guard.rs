//! `[guard]`.

mod exceptions;
mod locals;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use self::exceptions::Exceptions;
use self::locals::Locals;
use super::all;
use super::listeners::Taken;
use super::process::{ADDRESS, address};
use crate::cgroup::{CgroupPath, InvalidCgroup};
use crate::context::Missing;
use crate::raw::Section;
use crate::value::Value;
use crate::{Guard, GuardMode, Origin};

/// `taken` holds the addresses on which the gateway listens itself.
pub(super) fn guard(mut section: Section<'_>, taken: &mut Taken) -> Result<Guard, Missing> {
    let mode = section.choice(
        "mode",
        None,
        &[("audit", GuardMode::Audit), ("enforce", GuardMode::Enforce)],
    );
    let required = section.switch("required", true);
    let slice = slice(&mut section);
    let socket = path(&mut section, "socket", "/run/connect-gateway/guard.sock");
    let metrics = metrics(&mut section, taken);
    let pins = path(&mut section, "pins", "/sys/fs/bpf/connect-gateway");
    let override_file = path(
        &mut section,
        "override_file",
        "/var/lib/connect-gateway/guard-override.json",
    );
    let allow_unproven_kernel = section.switch("allow_unproven_kernel", false);
    let statistics = section.switch("statistics", false);
    let locals = Locals::read(&mut section);
    let remotes = section.optional_sections("remote");
    let exceptions = Exceptions::read(&mut section);
    if locals.is_empty() && remotes.is_empty() {
        section.context().fault(
            &section.place("local"),
            "missing: expected at least one [[guard.local]] or [[guard.remote]] to protect",
        );
    }
    at_most(&section, "remote", 64, remotes.len());
    let remotes = all(remotes.into_iter().map(|section| remote(section?)));
    if let Ok(slice) = &slice {
        locals.check_slice(slice);
        exceptions.check_slice(slice);
    }
    exceptions.check_locals(&locals);
    let locals = locals.finish(&section);
    let exceptions = exceptions.finish(&section);
    section.finish();
    Ok(Guard {
        mode: mode?,
        required: required?,
        slice: slice?,
        socket: socket?,
        metrics: metrics?,
        pins: pins?,
        override_file: override_file?,
        allow_unproven_kernel: allow_unproven_kernel?,
        statistics: statistics?,
        locals: locals?,
        remotes: remotes?,
        exceptions: exceptions?,
    })
}

fn slice(section: &mut Section<'_>) -> Result<CgroupPath, Missing> {
    let (text, origin) = match section.key("slice") {
        Some(value) => {
            let text = value.text("the gateway's slice, or its cgroup's path")?;
            (text.as_str(), text.origin().clone())
        }
        None => ("connect-gateway.slice", section.place("slice")),
    };
    CgroupPath::of_slice(text).map_err(|error| section.context().fault(&origin, error.to_string()))
}

fn metrics(section: &mut Section<'_>, taken: &mut Taken) -> Result<(SocketAddr, Origin), Missing> {
    let context = section.context();
    let address = match section.key("metrics") {
        Some(value) => address(context, &value.text(ADDRESS)?)?,
        None => (
            SocketAddr::from((Ipv4Addr::LOCALHOST, 9146)),
            section.place("metrics"),
        ),
    };
    taken.take(context, address)
}

fn path(section: &mut Section<'_>, key: &'static str, default: &str) -> Result<PathBuf, Missing> {
    match section.key(key) {
        Some(value) => section.context().path(&value.text("a path")?),
        None => Ok(default.into()),
    }
}

fn remote(mut section: Section<'_>) -> Result<SocketAddr, Missing> {
    let expected = "an address elsewhere with its port, as \"192.0.2.10:3939\" or \
                    \"[2001:db8::10]:3939\": not a loopback, unspecified or multicast one";
    let address = section.text("address", expected).and_then(|text| {
        let address = endpoint(text.as_str()).filter(|address| {
            let ip = address.ip();
            !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
        });
        address.ok_or_else(|| {
            let message = format!("expected {expected}");
            section.context().fault(text.origin(), message)
        })
    });
    section.finish();
    address
}

/// An address with a port that is not 0, and without a scope, which packets do not carry. A
/// v4-mapped address is the IPv4 one.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    let plain = address.port() != 0 && !text.contains('%');
    plain.then(|| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// A cgroup that is no slice in particular.
fn cgroup(section: &Section<'_>, value: &Value<'_>) -> Result<CgroupPath, Missing> {
    let text = value.text(CGROUP)?;
    CgroupPath::of_unit(text.as_str())
        .map_err(|error: InvalidCgroup| section.context().fault(text.origin(), error.to_string()))
}

/// A user's id; the last number is none, it stands for "unchanged" (chown(2)).
fn user(value: &Value<'_>) -> Result<u32, Missing> {
    let number = u32::try_from(value.integer(USER)?);
    number
        .ok()
        .filter(|id| *id < u32::MAX)
        .ok_or_else(|| value.unexpected(USER))
}

/// The kernel's tables have so many places.
fn at_most(section: &Section<'_>, key: &'static str, most: usize, found: usize) {
    if found > most {
        let message = format!("expected at most {most}, found {found}");
        section.context().fault(&section.place(key), message);
    }
}

const CGROUP: &str = "a unit, as \"NAME.service\", or a cgroup's path";
const USER: &str = "a user's number, from 0 to 4294967294";
