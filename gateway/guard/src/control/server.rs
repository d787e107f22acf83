//! The answering side. Whoever the socket's permissions let in may connect, so everything here is
//! bounded, and who may not ask costs next to nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Ask, Reply, descriptors};
use crate::steering::MAX_JOINED;

/// A question on its way to the service.
#[derive(Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) ask: Ask,
    /// What came with it.
    pub(crate) sockets: Vec<OwnedFd>,
    /// Where the answer goes, and what came: it is closed there, since that may take long.
    pub(crate) reply: oneshot::Sender<(Reply, Vec<OwnedFd>)>,
}

/// What a peer may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Everything.
    All,
    /// The status, and to take part in the steering: the gateway's.
    Gateway,
    /// Nothing.
    Nothing,
}

impl Right {
    fn covers(self, ask: &Ask) -> bool {
        match self {
            Self::All => true,
            Self::Gateway => matches!(ask, Ask::Join(_) | Ask::Status),
            Self::Nothing => false,
        }
    }
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
        self.ask_with(ask, Vec::new()).await
    }

    /// The same, with sockets.
    async fn ask_with(&self, ask: Ask, sockets: Vec<OwnedFd>) -> Reply {
        let ended = || Reply::Error("the service has ended".into());
        let (reply, answer) = oneshot::channel();
        let question = Question {
            ask,
            sockets,
            reply,
        };
        match self.0.send(question).await {
            Ok(()) => answer.await.map_or_else(|_| ended(), |(reply, _)| reply),
            Err(_) => ended(),
        }
    }
}

/// Serves in a thread of its own, until what is returned is dropped. `right` says what a peer may ask.
///
/// Whoever closes a descriptor last waits as long as its sender wants (socket(7), `SO_LINGER`), and so
/// does who leaves it unread. The gateway, taken over, could stop this thread by that, but not the
/// watch over the guard.
pub(crate) fn start(
    listener: std::os::unix::net::UnixListener,
    asker: Asker,
    right: impl Fn(&UCred) -> Right + Send + 'static,
) -> io::Result<oneshot::Sender<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let conversing = move || {
        runtime.block_on(async {
            let listener = UnixListener::from_std(listener)?;
            tokio::select! {
                () = serve(listener, asker, right) => {}
                // Never sent: dropped.
                _ = stopped => {}
            }
            io::Result::Ok(())
        })
    };
    let conversing = move || {
        if let Err(error) = conversing() {
            tracing::error!(%error, "nobody can ask");
        }
    };
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(conversing)?;
    Ok(stop)
}

/// Serves until cancelled.
async fn serve(listener: UnixListener, asker: Asker, right: impl Fn(&UCred) -> Right) {
    // Apart, so that nobody can keep root from the way out of a lock-out.
    let roots = Arc::new(Semaphore::new(PLACES));
    let others = Arc::new(Semaphore::new(PLACES));
    let handing_over = Arc::new(Semaphore::new(1));
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
        let (asker, handing_over) = (asker.clone(), Arc::clone(&handing_over));
        tokio::spawn(async move {
            let converse = converse(&mut stream, &asker, right, &handing_over);
            match timeout(LIMIT, converse).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "control connection"),
                Err(_) => tracing::debug!("control connection timed out"),
            }
            drop(place);
        });
    }
}

async fn converse(
    stream: &mut UnixStream,
    asker: &Asker,
    right: Right,
    handing_over: &Arc<Semaphore>,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut reader = BufReader::new((&mut *stream).take(MAX_ASK));
    reader.read_until(b'\n', &mut line).await?;
    let reply = match line.strip_suffix(b"\n").map(serde_json::from_slice) {
        None => Reply::Error(format!(
            "expected one line of JSON, at most {MAX_ASK} bytes"
        )),
        Some(Err(error)) => Reply::Error(format!("not understood: {error}")),
        Some(Ok(ask)) if !right.covers(&ask) => Reply::Error("only root may ask that".into()),
        Some(Ok(Ask::Join(join))) if join.sockets() > MAX_JOINED => {
            Reply::Error(format!("expected at most {MAX_JOINED} sockets"))
        }
        Some(Ok(Ask::Join(join))) => {
            // One at a time: else descriptors could run out, and root find nobody to talk to.
            let turn = Arc::clone(handing_over).acquire_owned();
            let turn = turn.await.map_err(io::Error::other)?;
            stream.write_all(&rendered(&Reply::Send)?).await?;
            let sockets = receive(stream, join.sockets()).await?;
            let asker = asker.clone();
            // A task of its own: whatever becomes of this conversation, what came is closed here, and
            // only then others may come.
            let asked = tokio::spawn(async move {
                let reply = asker.ask_with(Ask::Join(join), sockets).await;
                drop(turn);
                reply
            });
            asked.await.map_err(io::Error::other)?
        }
        Some(Ok(ask)) => asker.ask(ask).await,
    };
    stream.write_all(&rendered(&reply)?).await?;
    stream.shutdown().await
}

/// Receives what was announced, or less: whoever needs all of them counts.
async fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    for _ in 0..descriptors::messages(count) {
        let receive = || descriptors::receive(stream, &mut sockets);
        if !stream.async_io(Interest::READABLE, receive).await? {
            break;
        }
    }
    Ok(sockets)
}

/// Says no and forgets the peer.
fn refuse(stream: &mut UnixStream, why: &str) {
    let written = rendered(&Reply::Error(why.into())).and_then(|line| stream.try_write(&line));
    if let Err(error) = written {
        tracing::debug!(%error, "control connection");
    }
}

fn rendered(reply: &Reply) -> io::Result<Vec<u8>> {
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
