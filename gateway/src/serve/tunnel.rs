//! A WebSocket after its 101: bytes both ways, each direction until its end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::Client;
use super::body::{Decoder, Flow, FlowError};
use super::progress::Progress;
use super::report::Report;
use crate::outgoing::Outgoing;
use crate::upstream::Lease;
use crate::worker::Worker;

/// Relays until both directions have ended, one has failed, or nothing has moved for the tunnel's
/// period. What was already received on either side goes first.
pub(super) async fn run(
    worker: &Rc<Worker>,
    client: &mut Client,
    mut lease: Lease,
    report: &mut Report<'_>,
) {
    worker.cells.tunnel_opened();
    let timeouts = &worker.shared.timeouts;
    let progress = Progress::new(&client.timer, timeouts.tunnel, timeouts.tunnel, false);
    let way = |from, buffer, to, side| Flow {
        from,
        buffer,
        buffers: &worker.buffers,
        decoder: Decoder::UntilClose,
        to,
        chunked: false,
        limit: None,
        progress: &progress,
        side,
    };
    let outcome = {
        let (near, far) = (&client.transport, &lease.transport);
        let limit = timeouts.body;
        let up = one_way(way(near, &mut client.buffer, far, &progress.up), limit);
        let down = one_way(way(far, &mut lease.buffer, near, &progress.down), limit);
        both(pin!(up), pin!(down), &progress).await
    };
    worker.cells.tunnel_closed();
    report.received(progress.up.moved.get());
    report.sent(progress.down.moved.get());
    match outcome {
        Some(Ok(())) => {}
        Some(Err(error)) => report.broken(&error.to_string()),
        None => report.broken("nothing moved for the tunnel's period"),
    }
}

/// Relays one direction, and passes its end on. From that end, which may itself be slow to write,
/// the other direction may only finish: `limit` is all that is left to silence.
async fn one_way(flow: Flow<'_>, limit: Duration) -> Result<(), FlowError> {
    let (to, progress) = (flow.to, flow.progress);
    flow.run(Outgoing::default()).await?;
    progress.half_ended(limit);
    to.shutdown().await.map_err(FlowError::Write)
}

/// Polls both directions until both have ended or one has failed; `None` when time runs out.
async fn both(
    mut up: Pin<&mut impl Future<Output = Result<(), FlowError>>>,
    mut down: Pin<&mut impl Future<Output = Result<(), FlowError>>>,
    progress: &Progress<'_>,
) -> Option<Result<(), FlowError>> {
    let (mut up_ended, mut down_ended) = (false, false);
    poll_fn(|cx| {
        if !up_ended && let Poll::Ready(result) = up.as_mut().poll(cx) {
            up_ended = true;
            if result.is_err() {
                return Poll::Ready(Some(result));
            }
        }
        if !down_ended && let Poll::Ready(result) = down.as_mut().poll(cx) {
            down_ended = true;
            if result.is_err() {
                return Poll::Ready(Some(result));
            }
        }
        if up_ended && down_ended {
            return Poll::Ready(Some(Ok(())));
        }
        progress.poll_expired(cx).map(|()| None)
    })
    .await
}
