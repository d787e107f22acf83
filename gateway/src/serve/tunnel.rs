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
        decoder: Decoder::UntilClose,
        to,
        chunked: false,
        limit: None,
        progress: &progress,
        side,
    };
    let outcome = {
        let (near, far) = (&client.transport, &lease.transport);
        let up = one_way(way(near, &mut client.buffer, far, &progress.up));
        let down = one_way(way(far, &mut lease.buffer, near, &progress.down));
        both(pin!(up), pin!(down), &progress, timeouts.body).await
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

/// Relays one direction, and passes its end on.
async fn one_way(flow: Flow<'_>) -> Result<(), FlowError> {
    let to = flow.to;
    flow.run(Outgoing::default()).await?;
    to.shutdown().await.map_err(FlowError::Write)
}

/// Polls both directions until both have ended or one has failed; `None` when time runs out.
async fn both(
    mut up: Pin<&mut impl Future<Output = Result<(), FlowError>>>,
    mut down: Pin<&mut impl Future<Output = Result<(), FlowError>>>,
    progress: &Progress<'_>,
    half_limit: Duration,
) -> Option<Result<(), FlowError>> {
    let (mut up_ended, mut down_ended, mut half_ended) = (false, false, false);
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
        match (up_ended, down_ended) {
            (true, true) => return Poll::Ready(Some(Ok(()))),
            (false, false) => {}
            // Whoever keeps its direction open after the other has ended may only finish.
            _ if !half_ended => {
                half_ended = true;
                progress.half_ended(half_limit);
            }
            _ => {}
        }
        progress.poll_expired(cx).map(|()| None)
    })
    .await
}
