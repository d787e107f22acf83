//! `connect-gateway check`: everything that `run` would need, tried without serving.

use config::{Config, ConfigError};
use tokio::runtime::Builder;

use crate::cli::Failure;
use crate::tls::Acceptor;
use crate::upstream::Backends;

/// Prints what was checked. A configuration that cannot be served is a [`Failure::Config`]; a
/// back-end that cannot be reached is a [`Failure::Work`].
pub(crate) fn check(config: &Config, offline: bool) -> Result<(), Failure> {
    let mut diagnostics = Vec::new();
    for listener in &config.listeners {
        if let Err(found) = Acceptor::new(&listener.certificates) {
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
    if offline {
        Ok(())
    } else {
        hops(config, &backends)
    }
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
