//! Being asked to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether a signal asked this process to end.
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on SIGHUP, SIGINT and SIGTERM only ask.
    pub(super) fn on_signals() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&asked))
                .with_context(|| format!("cannot handle signal {signal}"))?;
        }
        Ok(Self(asked))
    }

    /// Whether a signal came.
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if a signal came.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_asked() {
            bail!("interrupted");
        }
        Ok(())
    }
}
