//! From the client to the back-end: all that comes but the pongs that answer the gateway's pings.

use std::time::Duration;

use wire::websocket::{FromClient, Mark};

use super::Tunnel;
use super::way::{More, Tube, Way, WayError};

/// Relays until the client ends, or has answered our close frame with its own. That one reaches
/// the back-end too, so that both see the tunnel closed in order (RFC 6455 §7.1.2).
///
/// From that end on, which may itself be slow to write, the other direction may only finish:
/// `limit` is all that is left to silence.
pub(super) async fn run<F: Tube, T: Tube>(
    mut way: Way<'_, F, T>,
    tunnel: &Tunnel,
    pings: Option<Mark>,
    limit: Duration,
) -> Result<(), WayError> {
    let mut client = FromClient::new(pings);
    loop {
        let mut passed = false;
        while let Some(bytes) = client.take(way.buffer) {
            way.pass(bytes).await?;
            passed = true;
        }
        tunnel.data.set(client.frames().data());
        if passed {
            way.flush().await?;
        }
        let over = || tunnel.told.get() && client.frames().is_closed();
        match way.read(over).await? {
            More::Bytes => {}
            More::End | More::Interrupted => break,
        }
    }
    if let Some(rest) = client.take_rest(way.buffer) {
        way.pass(rest).await?;
        way.flush().await?;
    }
    tunnel.half_ended(way.progress, limit);
    if tunnel.told.get() {
        // Both close frames are exchanged, or the client is gone: the server's side, ours, ends
        // the connection (§7.1.1). It may be gone already.
        let _gone = way.from.shutdown().await;
    }
    way.end().await
}
