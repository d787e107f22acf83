//! From the back-end to the client: all that comes, and between frames what the gateway itself
//! has to say.

use std::time::Duration;

use wire::websocket::{Frames, close, ping};

use super::way::{More, Tube, Way, WayError};
use super::{Pings, Tunnel};

/// Relays until the back-end ends, or the gateway has told the client that the tunnel does.
///
/// From that end on, which may itself be slow to write, the other direction may only finish:
/// `limit` is all that is left to silence.
pub(super) async fn run<F: Tube, T: Tube>(
    mut way: Way<'_, F, T>,
    tunnel: &Tunnel,
    pings: Option<&Pings>,
    limit: Duration,
) -> Result<(), WayError> {
    let mut frames = Frames::default();
    loop {
        let mut passed = false;
        while !way.buffer.is_empty() {
            let length = match tunnel.ending.get() {
                // A close frame fits at the next boundary, and not behind it.
                Some(_) if frames.can_insert() => break,
                Some(_) => frames.pass_frame(way.buffer),
                None => {
                    frames.pass(way.buffer);
                    way.buffer.len()
                }
            };
            let bytes = way.buffer.split_to(length).freeze();
            way.pass(bytes).await?;
            passed = true;
        }
        if passed {
            way.flush().await?;
            tunnel.ping_due.set(false);
            if let Some(pings) = pings {
                pings.timer.touch();
            }
        }
        if frames.can_insert() {
            if let Some(ending) = tunnel.ending.get() {
                let (code, reason) = ending.close();
                way.insert(close(code, reason)).await?;
                tunnel.told.set(true);
                return discard(way).await;
            }
            if let Some(pings) = pings
                && tunnel.ping_due.take()
            {
                way.insert(ping(pings.mark)).await?;
            }
        }
        let has_to_say =
            || frames.can_insert() && (tunnel.ending.get().is_some() || tunnel.ping_due.get());
        match way.read(has_to_say).await? {
            More::Bytes | More::Interrupted => {}
            More::End => break,
        }
    }
    tunnel.half_ended(way.progress, limit);
    way.end().await
}

/// Takes what the back-end still sends, until it ends: it may be in the middle of a message, and
/// has to be able to read the client's close frame.
async fn discard<F: Tube, T: Tube>(mut way: Way<'_, F, T>) -> Result<(), WayError> {
    loop {
        way.buffer.clear();
        if way.read(|| false).await? == More::End {
            return Ok(());
        }
    }
}
