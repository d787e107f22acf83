//! From the raw document to a [`Config`]. Each table is read by one function, which says in one
//! line per key what is accepted and what the default is.

mod apps;
mod guard;
mod lanes;
mod legs;
mod limits;
mod listeners;
mod names;
mod pools;
mod process;
mod rates;
mod realms;
mod timeouts;

use listeners::Taken;
use policy::{IpNet, Policy};

use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::value::{Text, Value};
use crate::{Config, Guard};

/// The whole document.
pub(crate) fn config(mut root: Section<'_>) -> Result<Config, Missing> {
    let gateway = process::gateway(root.section("gateway"));
    let mut taken = Taken::default();
    let admin = process::admin(root.section("admin"))
        .and_then(|address| taken.take(root.context(), address));
    let log = process::log(root.section("log"));
    let timeouts = timeouts::timeouts(root.section("timeouts"));
    let limits = limits::limits(
        root.section("limits"),
        gateway
            .as_ref()
            .map(|gateway| gateway.max_head)
            .map_err(|missing| *missing),
    );
    let guard = root
        .optional_section("guard")
        .and_then(|section| match section {
            Some(section) => guard::guard(section, &mut taken).map(Some),
            None => Ok(None),
        });
    let listeners = listeners::listeners(root.sections("listener"), &mut taken, limits, timeouts);
    let realms = realms::realms(root.sections("realm"));
    let pools = pools::pools(root.sections("pool"));
    let apps = apps::apps(
        root.sections("app"),
        &apps::Targets {
            listeners: &listeners.names,
            realms: &realms.names,
            pools: &pools.names,
            pool_sizes: &pools.sizes,
            timeouts,
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
        tls_records: gateway.tls_records,
        admin: admin?,
        log: log?,
        timeouts: timeouts?.backend,
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
        guard: guard?,
    })
}

/// The `[guard]` table of a document, whatever else stands there.
pub(crate) fn guard_alone(mut root: Section<'_>) -> Result<Guard, Missing> {
    match root.optional_section("guard")? {
        Some(section) => guard::guard(section, &mut Taken::default()),
        None => {
            let message = "missing: expected the table [guard]";
            Err(root.context().fault(&root.place("guard"), message))
        }
    }
}

/// Address ranges that somebody is trusted from. The whole address space is refused, and
/// `everyone` says what it would mean.
fn networks(
    context: &Context<'_>,
    value: Option<Value<'_>>,
    everyone: &str,
) -> Result<Vec<IpNet>, Missing> {
    networks_without(context, value, |net| everyone_is_in(net, everyone))
}

/// Address ranges, except those to which `refusal` objects.
fn networks_without(
    context: &Context<'_>,
    value: Option<Value<'_>>,
    refusal: impl Fn(&IpNet) -> Option<String>,
) -> Result<Vec<IpNet>, Missing> {
    let expected = r#"addresses or ranges, as ["10.0.0.7", "10.1.0.0/16"]"#;
    let texts = value.map_or(Ok(Vec::new()), |value| value.texts(expected))?;
    let parse = |text: &Text<'_>| {
        let net = text.as_str().parse::<IpNet>();
        let net = net.map_err(|error| context.fault(text.origin(), error.to_string()))?;
        match refusal(&net) {
            Some(message) => Err(context.fault(text.origin(), message)),
            None => Ok(net),
        }
    };
    all(texts.iter().map(parse))
}

/// The refusal of a range that is a whole address space.
fn everyone_is_in(net: &IpNet, everyone: &str) -> Option<String> {
    (net.prefix() == 0).then(|| format!("the whole address space is refused: {everyone}"))
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
