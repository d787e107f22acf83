//! Serving clients: heads in, policy asked, exchanges with back-ends, answers out.
//!
//! [`leg`] says what a protocol is made of here, [`h1`] and [`h3`] are two; all else stands once.

mod answer;
mod body;
mod exchange;
mod forward;
mod h1;
mod h3;
mod leg;
mod pace;
mod progress;
mod reply;
mod report;
mod request;
mod session;
mod tunnel;

use tokio::time::Duration;

pub(crate) use self::h1::{Client, serve};
pub(crate) use self::h3::{Http3Client, serve_http3};

/// What a connection does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Cut it: its last message is incomplete, and must be seen to be.
    Abort,
    /// Take the next request.
    KeepAlive,
    /// Close it in a way that lets the client read the answer.
    Linger,
}

/// How long a drain waits for what is not an exchange: the rest of a head, the end of a
/// connection that was answered.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
