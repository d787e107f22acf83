//! Connections on which nothing happens.

use anyhow::Result;
use gateway_bench::order::Outcome;

use crate::connection::Connection;
use crate::target::Target;
use crate::websocket::{self, Tunnel};

/// What stays open as long as this.
pub(crate) enum Held {
    /// Kept alive after one request.
    Connections { _all: Vec<Connection> },
    /// WebSockets.
    Tunnels { _all: Vec<Tunnel> },
}

/// Opens as many as were ordered; each is used once.
pub(crate) async fn open(target: &Target, tunnels: bool) -> Result<(Held, Outcome)> {
    let held = if tunnels {
        Held::Tunnels {
            _all: websocket::open(target).await?,
        }
    } else {
        Held::Connections {
            _all: target.connect().await?,
        }
    };
    let outcome = Outcome {
        done: target.connections() as u64,
        ..Outcome::default()
    };
    Ok((held, outcome))
}
