//! `connect-gateway check`: everything that `run` would need, tried without serving.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::{Config, ConfigError, Guard, Server, ServerAddress, ServerTls};
use policy::IpNet;
use tokio::runtime::Builder;

use crate::cli::Failure;
use crate::memory::Formula;
use crate::tls::Acceptor;
use crate::upstream::Backends;
use crate::{cpus, descriptors};

/// Prints what was checked. A configuration that cannot be served is a [`Failure::Config`]; a
/// back-end that cannot be reached is a [`Failure::Work`].
pub(crate) fn check(config: &Config, offline: bool) -> Result<(), Failure> {
    let mut diagnostics = Vec::new();
    for listener in &config.listeners {
        if let Err(found) =
            Acceptor::new(&listener.certificates, config.tls_records, listener.http3)
        {
            diagnostics.extend(found);
        }
    }
    let backends = match Backends::new(&config.pools) {
        Ok(backends) => backends,
        Err(found) => {
            diagnostics.extend(found);
            Backends::default()
        }
    };
    if !diagnostics.is_empty() {
        return Err(ConfigError { diagnostics }.into());
    }
    println!(
        "configuration: ok ({} listeners, {} apps, {} pools)",
        config.listeners.len(),
        config.policy.apps().len(),
        config.pools.len(),
    );
    let workers = cpus::for_workers(config.workers).len();
    println!("{}", Formula::of(config, workers));
    if let Some(shortage) = descriptors::shortage(config, workers) {
        println!("warning: {shortage}");
    }
    for (key, net) in believed(config).filter(|(_, net)| is_here(net)) {
        println!("warning: {key} has {net}: every program on this host can name itself any client");
    }
    if let Some(guard) = &config.guard {
        let servers = config.pools.iter().flat_map(|pool| &pool.servers);
        for server in servers.filter(|server| is_open(server, guard)) {
            let what = "plain HTTP on this host, and no [[guard.local]] covers it";
            println!("warning: {}", server.origin.fault(what));
        }
    }
    if offline {
        Ok(())
    } else {
        hops(config, &backends)
    }
}

/// Who is believed about a client's address, with the key that says so.
fn believed(config: &Config) -> impl Iterator<Item = (String, &IpNet)> {
    let forwarded = config.policy.trusted_proxies().iter();
    let forwarded = forwarded.map(|net| ("gateway.trusted_proxies".to_owned(), net));
    let listeners = config.listeners.iter().enumerate();
    let announced = listeners.flat_map(|(index, listener)| {
        let key = format!("listener[{index}].proxy_protocol_from");
        let nets = listener.proxy_protocol_from.iter();
        nets.map(move |net| (key.clone(), net))
    });
    forwarded.chain(announced)
}

/// Whether a range has an address that any program of this host can connect from: a loopback one.
fn is_here(net: &IpNet) -> bool {
    net.address().is_loopback() || LOOPBACK.iter().any(|address| net.contains(*address))
}

/// Whether any process of this host could speak to a back-end, or in its place.
fn is_open(server: &Server, guard: &Guard) -> bool {
    let address = match &server.address {
        ServerAddress::Ip(address) => Some(address.to_canonical()),
        ServerAddress::Name(name) if &**name == "localhost" => None,
        ServerAddress::Name(_) => return false,
    };
    let is_plain = matches!(server.tls, ServerTls::Off);
    let is_here = address.is_none_or(|address| address.is_loopback());
    let is_covered = guard.locals.iter().any(|local| {
        local.port.get() == server.port && (local.address.is_none() || local.address == address)
    });
    is_plain && is_here && !is_covered
}

/// Connects to every server, TLS included, and reports each.
fn hops(config: &Config, backends: &Backends) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Work(format!("runtime: {error}")))?;
    let mut unreachable = 0;
    for (index, pool) in config.pools.iter().enumerate() {
        for server in backends.servers(index) {
            match runtime.block_on(server.connect(config.timeouts.connect)) {
                Ok(_) => println!("pool {}: {}: ok", pool.name, server.url()),
                Err(error) => {
                    unreachable += 1;
                    println!("pool {}: {}: {error}", pool.name, server.url());
                }
            }
        }
    }
    match unreachable {
        0 => Ok(()),
        count => Err(Failure::Work(format!(
            "{count} back-end servers cannot be used"
        ))),
    }
}

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];
