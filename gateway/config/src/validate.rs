//! From the raw document to a [`Config`]. Each table is read by one function, which says in one
//! line per key what is accepted and what the default is.

mod apps;
mod lanes;
mod legs;
mod listeners;
mod names;
mod pools;
mod process;
mod realms;

use policy::{IpNet, Policy};

use crate::Config;
use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::value::{Text, Value};

/// The whole document.
pub(crate) fn config(mut root: Section<'_>) -> Result<Config, Missing> {
    let gateway = process::gateway(root.section("gateway"));
    let admin = process::admin(root.section("admin"));
    let log = process::log(root.section("log"));
    let timeouts = process::timeouts(root.section("timeouts"));
    let listeners = listeners::listeners(root.sections("listener"), admin.as_ref().ok());
    let realms = realms::realms(root.sections("realm"));
    let pools = pools::pools(root.sections("pool"));
    let apps = apps::apps(
        root.sections("app"),
        &apps::Targets {
            listeners: &listeners.names,
            realms: &realms.names,
            pools: &pools.names,
            pool_sizes: &pools.sizes,
        },
    );
    root.finish();

    let gateway = gateway?;
    let (realms, policy_realms) = realms.entries?.into_iter().unzip();
    let (extras, policy_apps) = apps?.into_iter().unzip();
    Ok(Config {
        workers: gateway.workers,
        drain: gateway.drain,
        max_head: gateway.max_head,
        admin: admin?,
        log: log?,
        timeouts: timeouts?,
        listeners: listeners.entries?,
        realms,
        pools: pools.entries?,
        apps: extras,
        policy: Policy::new(
            policy_apps,
            policy_realms,
            gateway.spoofed,
            gateway.trusted_proxies,
        ),
        guard: None,
    })
}

/// Address ranges that somebody is trusted from. The whole address space is refused, and
/// `everyone` says what it would mean.
fn networks(
    context: &Context<'_>,
    value: Option<Value<'_>>,
    everyone: &str,
) -> Result<Vec<IpNet>, Missing> {
    let expected = r#"addresses or ranges, as ["10.0.0.7", "10.1.0.0/16"]"#;
    let texts = value.map_or(Ok(Vec::new()), |value| value.texts(expected))?;
    let parse = |text: &Text<'_>| match text.as_str().parse::<IpNet>() {
        Err(error) => Err(context.fault(text.origin(), error.to_string())),
        Ok(net) if EVERYONE.iter().any(|ends| holds_all(&net, ends)) => {
            let message = format!("the whole address space is refused: {everyone}");
            Err(context.fault(text.origin(), message))
        }
        Ok(net) => Ok(net),
    };
    all(texts.iter().map(parse))
}

fn holds_all(net: &IpNet, ends: &[&str; 2]) -> bool {
    ends.iter()
        .all(|end| end.parse().is_ok_and(|address| net.contains(address)))
}

/// All values, or the last that is missing. Unlike collecting into a `Result`, this does not stop
/// at the first, whose fault would hide the next.
fn all<T>(values: impl Iterator<Item = Result<T, Missing>>) -> Result<Vec<T>, Missing> {
    let mut present = Vec::new();
    let mut outcome = Ok(());
    for value in values {
        match value {
            Ok(value) => present.push(value),
            Err(missing) => outcome = Err(missing),
        }
    }
    outcome.map(|()| present)
}

/// The first and last address of each address space.
const EVERYONE: [[&str; 2]; 2] = [
    ["0.0.0.0", "255.255.255.255"],
    ["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
];
