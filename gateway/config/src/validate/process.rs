//! `[gateway]`, `[admin]` and `[log]`: what concerns the process as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use policy::{IpNet, Spoofed};

use super::networks;
use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::value::{Text, Value};
use crate::{AccessLog, Level, Log, Origin, TlsRecords};

pub(super) struct Gateway {
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) drain: Duration,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) spoofed: Spoofed,
    pub(super) max_head: usize,
    pub(super) tls_records: TlsRecords,
}

pub(super) fn gateway(mut section: Section<'_>) -> Result<Gateway, Missing> {
    let workers = section
        .key("workers")
        .map_or(Ok(None), |value| workers(&value));
    let drain = section.duration("drain", Duration::from_secs(30), Duration::ZERO);
    let everyone = "any client could then choose its own address in X-Forwarded-For";
    let proxies = section.key("trusted_proxies");
    let trusted_proxies = networks(section.context(), proxies, everyone);
    let spoofed = section.choice(
        "spoofed_headers",
        Some(Spoofed::Strip),
        &[("strip", Spoofed::Strip), ("reject", Spoofed::Reject)],
    );
    let max_head = section
        .key("max_head")
        .map_or(Ok(64 << 10), |value| max_head(&value));
    let tls_records = section.choice(
        "tls_records",
        Some(TlsRecords::Own),
        &[("own", TlsRecords::Own), ("stock", TlsRecords::Stock)],
    );
    section.finish();
    Ok(Gateway {
        workers: workers?,
        drain: drain?,
        trusted_proxies: trusted_proxies?,
        spoofed: spoofed?,
        max_head: max_head?,
        tls_records: tls_records?,
    })
}

pub(super) fn admin(mut section: Section<'_>) -> Result<(SocketAddr, Origin), Missing> {
    let address = match section.key("address") {
        Some(value) => value
            .text(ADDRESS)
            .and_then(|text| address(section.context(), &text)),
        None => Ok((
            SocketAddr::from((Ipv4Addr::LOCALHOST, 9145)),
            section.place("address"),
        )),
    };
    section.finish();
    address
}

pub(super) fn log(mut section: Section<'_>) -> Result<Log, Missing> {
    let access = section.key("access");
    let access = access.map_or(Ok(AccessLog::Stdout), |value| {
        access_log(section.context(), &value)
    });
    let level = section.choice(
        "level",
        Some(Level::Info),
        &[
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ],
    );
    section.finish();
    Ok(Log {
        access: access?,
        level: level?,
    })
}

/// An address to listen on; port 0 lets the kernel choose.
pub(super) fn address(
    context: &Context<'_>,
    text: &Text<'_>,
) -> Result<(SocketAddr, Origin), Missing> {
    match text.as_str().parse() {
        Ok(address) => Ok((address, text.origin().clone())),
        Err(_) => Err(context.fault(text.origin(), format!("expected {ADDRESS}"))),
    }
}

fn workers(value: &Value<'_>) -> Result<Option<NonZeroUsize>, Missing> {
    let expected = r#""auto" or a number from 1 to 1024"#;
    if value.is_integer() {
        let number = usize::try_from(value.integer(expected)?);
        return match number
            .ok()
            .filter(|number| *number <= 1024)
            .and_then(NonZeroUsize::new)
        {
            Some(number) => Ok(Some(number)),
            None => Err(value.unexpected(expected)),
        };
    }
    match value.text(expected)?.as_str() {
        "auto" => Ok(None),
        _ => Err(value.unexpected(expected)),
    }
}

fn max_head(value: &Value<'_>) -> Result<usize, Missing> {
    let expected = r#"bytes or a size from "8KiB" to "1MiB""#;
    let size = value.size(expected, 8 << 10..=1 << 20)?;
    usize::try_from(size).map_err(|_| value.unexpected(expected))
}

fn access_log(context: &Context<'_>, value: &Value<'_>) -> Result<AccessLog, Missing> {
    let expected = r#""stdout", "off", or a file's path, which has a / or a . in it"#;
    let text = value.text(expected)?;
    match text.as_str() {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        // "Stdout" or "none" are slips, not files beside the configuration.
        word if !word.contains(['/', '.']) => Err(value.unexpected(expected)),
        _ => {
            let path = context.path(&text)?;
            match path.parent() {
                Some(directory) if directory.is_dir() || directory.as_os_str().is_empty() => {
                    Ok(AccessLog::File(path))
                }
                _ => {
                    let message = format!("{}: its directory does not exist", path.display());
                    Err(context.fault(text.origin(), message))
                }
            }
        }
    }
}

pub(super) const ADDRESS: &str = r#"an address with its port, as "0.0.0.0:443" or "[::]:443""#;
