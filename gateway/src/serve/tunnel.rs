//! A WebSocket after its 101: bytes both ways, each direction until its end.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use tokio::time::Instant;

use super::Client;
use super::body::{Decoder, Flow, FlowError};
use super::report::Report;
use crate::outgoing::Outgoing;
use crate::timer::IdleTimer;
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
    let period = worker.shared.timeouts.tunnel;
    client.timer.restart(Instant::now(), period);
    let (up, down) = (Cell::new(0), Cell::new(0));
    let (accepted, up_blocked, down_blocked) =
        (Cell::new(false), Cell::new(false), Cell::new(false));
    let timer = &client.timer;
    let way = |from, buffer, to, moved, blocked| Flow {
        from,
        buffer,
        decoder: Decoder::UntilClose,
        to,
        chunked: false,
        limit: None,
        timer,
        read_period: period,
        write_period: period,
        moved,
        accepted: &accepted,
        blocked,
    };
    let outcome = {
        let (near, far) = (&client.transport, &lease.transport);
        let up = one_way(way(near, &mut client.buffer, far, &up, &up_blocked));
        let down = one_way(way(far, &mut lease.buffer, near, &down, &down_blocked));
        both(pin!(up), pin!(down), timer).await
    };
    worker.cells.tunnel_closed();
    report.received(up.get());
    report.sent(down.get());
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
    timer: &IdleTimer,
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
        timer.poll_expired(cx).map(|()| None)
    })
    .await
}
