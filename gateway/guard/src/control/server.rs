//! The answering side. Whoever the socket's permissions let in may connect, so everything here is
//! bounded, and who may not ask costs next to nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Ask, Reply};

/// A question on its way to the service.
#[derive(Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) ask: Ask,
    /// Where the answer goes. Nobody may be waiting any more.
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What a peer may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// The status only.
    Status,
}

/// Asks the service of this process.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// Puts questions into a channel.
    pub(crate) fn new(questions: mpsc::Sender<Question>) -> Self {
        Self(questions)
    }

    /// Asks, and waits for the answer. When the service has ended, that is the answer.
    pub async fn ask(&self, ask: Ask) -> Reply {
        let ended = || Reply::Error("the service has ended".into());
        let (reply, answer) = oneshot::channel();
        match self.0.send(Question { ask, reply }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| ended()),
            Err(_) => ended(),
        }
    }
}

/// Serves until cancelled. `right` says what a peer may ask.
pub(crate) async fn serve(listener: UnixListener, asker: Asker, right: impl Fn(&UCred) -> Right) {
    // Apart, so that nobody can keep root from the way out of a lock-out.
    let roots = Arc::new(Semaphore::new(PLACES));
    let others = Arc::new(Semaphore::new(PLACES));
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed on the control socket");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match stream.peer_cred() {
            Ok(peer) => peer,
            Err(error) => {
                tracing::debug!(%error, "a peer without credentials on the control socket");
                continue;
            }
        };
        let right = right(&peer);
        if right == Right::Nothing {
            // It must not take a place from those who may ask. A fresh connection has room for it.
            refuse(&mut stream, NOTHING);
            continue;
        }
        let places = if right == Right::All { &roots } else { &others };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            refuse(&mut stream, "too many ask at once");
            continue;
        };
        let asker = asker.clone();
        tokio::spawn(async move {
            match timeout(LIMIT, converse(&mut stream, &asker, right)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "control connection"),
                Err(_) => tracing::debug!("control connection timed out"),
            }
            drop(place);
        });
    }
}

async fn converse(stream: &mut UnixStream, asker: &Asker, right: Right) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_ASK));
    reader.read_until(b'\n', &mut line).await?;
    let reply = match line.strip_suffix(b"\n").map(serde_json::from_slice) {
        None => Reply::Error(format!(
            "expected one line of JSON, at most {MAX_ASK} bytes"
        )),
        Some(Err(error)) => Reply::Error(format!("not understood: {error}")),
        Some(Ok(ask)) if right == Right::All || ask == Ask::Status => asker.ask(ask).await,
        Some(Ok(_)) => Reply::Error("only root may ask that".into()),
    };
    writer.write_all(&rendered(&reply)?).await?;
    writer.shutdown().await
}

/// Says no and forgets the peer.
fn refuse(stream: &mut UnixStream, why: &str) {
    let written = rendered(&Reply::Error(why.into())).and_then(|line| stream.try_write(&line));
    if let Err(error) = written {
        tracing::debug!(%error, "control connection");
    }
}

fn rendered(reply: &Reply) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line)
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For a whole conversation.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest question, in bytes.
const MAX_ASK: u64 = 4096;
/// Conversations at once, of root and of others each.
const PLACES: usize = 8;
const NOTHING: &str = "only root and the gateway may ask";
