//! A WebSocket after its 101: frames pass both ways, each direction until its end, or until the
//! gateway ends both. No byte is changed; what the gateway says itself stands between frames.

mod down;
mod up;
mod way;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use policy::Forward;
use tokio::time::{Instant, sleep};
use wire::websocket::Mark;

pub(super) use self::way::Tube;
use self::way::{Way, WayError};
use super::leg::Leg;
use super::progress::Progress;
use super::report::Report;
use super::session;
use crate::shared::AppShared;
use crate::telemetry::TunnelEnd;
use crate::timer::IdleTimer;
use crate::upstream::Lease;
use crate::worker::{TUNNEL_CLOSING, Worker};

/// Relays until both directions have ended, one has failed, nothing has moved for the tunnel's
/// period (or, once one direction has ended, for `body`), the visitor's session ends, or the
/// gateway drains. What was already received on either side goes first.
pub(super) async fn run<L: Leg>(
    worker: &Rc<Worker>,
    app: &AppShared,
    client: &mut L,
    mut lease: Lease,
    forward: &Forward,
    report: &mut Report<'_>,
) {
    worker.cells.tunnel_opened();
    let silence = app.timeouts.tunnel;
    let limit = client.visitor().front.timeouts.body;
    let (near, buffer, timer) = client.tube();
    let progress = Progress::new(timer, silence, silence, false, None, Instant::now());
    let pings = Pings::of(app);
    let tunnel = Tunnel::default();
    let outcome = {
        let far = &lease.transport;
        let buffers = &worker.buffers;
        let up = Way {
            from: near,
            buffer,
            buffers,
            to: far,
            progress: &progress,
            side: &progress.up,
        };
        let up = up::run(up, &tunnel, pings.as_ref().map(|pings| pings.mark), limit);
        let down = Way {
            from: far,
            buffer: &mut lease.buffer,
            buffers,
            to: near,
            progress: &progress,
            side: &progress.down,
        };
        let down = down::run(down, &tunnel, pings.as_ref(), limit);
        let watch = watch(worker, forward, &tunnel);
        relay(
            Directions {
                up: pin!(up),
                down: pin!(down),
            },
            pin!(watch),
            &tunnel,
            pings.as_ref(),
            &progress,
        )
        .await
    };
    report.received(progress.up.moved.get());
    report.sent(progress.down.moved.get());
    let end = match (tunnel.ending.get(), outcome) {
        (Some(ending), outcome) => {
            let how = match outcome {
                Outcome::Ended(Ok(())) => "closed",
                Outcome::Ended(Err(_)) | Outcome::Expired => "cut",
            };
            report.broken(&format!("{how}, because {}", ending.cause()));
            ending.label()
        }
        (None, Outcome::Ended(Ok(()))) => TunnelEnd::Closed,
        (None, Outcome::Ended(Err(error))) => {
            report.broken(&error.to_string());
            TunnelEnd::Failed
        }
        (None, Outcome::Expired) => {
            report.broken(match tunnel.half_ended.get() {
                true => "one direction had ended, and the other stood still",
                false => "nothing moved for the tunnel's period",
            });
            TunnelEnd::Idle
        }
    };
    worker.cells.tunnel_ended(end);
}

/// What the two directions and the watch over them know of each other.
#[derive(Debug, Default)]
struct Tunnel {
    /// Why the gateway ends the tunnel, once it does.
    ending: Cell<Option<Ending>>,
    /// Our close frame is with the client: it is told nothing more.
    told: Cell<bool>,
    /// Data frames that the client has begun.
    data: Cell<u64>,
    /// The client is to be pinged at the next boundary.
    ping_due: Cell<bool>,
    /// One direction has ended: the other may only finish.
    half_ended: Cell<bool>,
}

impl Tunnel {
    /// Notes that one direction has ended: `limit` is all that is left to the other's silence.
    fn half_ended(&self, progress: &Progress<'_>, limit: Duration) {
        self.half_ended.set(true);
        progress.half_ended(limit);
    }
}

/// Why the gateway ends a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Drain,
    Session,
}

impl Ending {
    /// Status code and reason of the close frame (RFC 6455 §7.4.1): "going away", and "policy
    /// violation", since the registry has none that says more of a login.
    fn close(self) -> (u16, &'static str) {
        match self {
            Self::Drain => (1001, "the gateway restarts"),
            Self::Session => (1008, "the session ended"),
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Drain => "the gateway drains",
            Self::Session => session::CAUSE,
        }
    }

    fn label(self) -> TunnelEnd {
        match self {
            Self::Drain => TunnelEnd::Drain,
            Self::Session => TunnelEnd::Session,
        }
    }
}

/// The gateway's own pings to a client.
#[derive(Debug)]
struct Pings {
    mark: Mark,
    period: Duration,
    /// Measures silence towards the client.
    timer: IdleTimer,
}

impl Pings {
    fn of(app: &AppShared) -> Option<Self> {
        let period = app.websocket_ping?;
        let mut mark = [0; 8];
        if SystemRandom::new().fill(&mut mark).is_err() {
            tracing::warn!("no random bytes: a WebSocket goes without pings");
            return None;
        }
        Some(Self {
            mark: Mark(mark),
            period,
            timer: IdleTimer::new(period),
        })
    }

    fn poll(&self, tunnel: &Tunnel, cx: &mut Context<'_>) {
        while self.timer.poll_expired(cx).is_ready() {
            tunnel.ping_due.set(true);
            self.timer.restart(Instant::now(), self.period);
        }
    }
}

/// Ends when the gateway has to end the tunnel.
async fn watch(worker: &Worker, forward: &Forward, tunnel: &Tunnel) -> Ending {
    tokio::select! {
        biased;
        // Data is a visitor's deed; a browser answers pings by itself.
        () = session::ended(worker, forward, &tunnel.data) => Ending::Session,
        () = worker.tunnels_close() => Ending::Drain,
    }
}

/// The two directions.
struct Directions<'a, U, D> {
    up: Pin<&'a mut U>,
    down: Pin<&'a mut D>,
}

enum Outcome {
    Ended(Result<(), WayError>),
    Expired,
}

/// Polls both directions until both have ended or one has failed; or until time runs out: that of
/// silence, or what an ending may take.
async fn relay(
    mut directions: Directions<
        '_,
        impl Future<Output = Result<(), WayError>>,
        impl Future<Output = Result<(), WayError>>,
    >,
    mut watch: Pin<&mut impl Future<Output = Ending>>,
    tunnel: &Tunnel,
    pings: Option<&Pings>,
    progress: &Progress<'_>,
) -> Outcome {
    let (mut up_ended, mut down_ended) = (false, false);
    let mut closing = None;
    poll_fn(|cx| {
        if closing.is_none()
            && let Poll::Ready(ending) = watch.as_mut().poll(cx)
        {
            tunnel.ending.set(Some(ending));
            closing = Some(Box::pin(sleep(TUNNEL_CLOSING)));
        }
        if let Some(pings) = pings {
            pings.poll(tunnel, cx);
        }
        // Down first: what it tells the client decides whether up goes on.
        if !down_ended && let Poll::Ready(result) = directions.down.as_mut().poll(cx) {
            down_ended = true;
            if result.is_err() {
                return Poll::Ready(Outcome::Ended(result));
            }
        }
        if !up_ended && let Poll::Ready(result) = directions.up.as_mut().poll(cx) {
            up_ended = true;
            if result.is_err() {
                return Poll::Ready(Outcome::Ended(result));
            }
        }
        if up_ended && down_ended {
            return Poll::Ready(Outcome::Ended(Ok(())));
        }
        if let Some(closing) = &mut closing
            && closing.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Outcome::Expired);
        }
        progress.poll_expired(cx).map(|()| Outcome::Expired)
    })
    .await
}
