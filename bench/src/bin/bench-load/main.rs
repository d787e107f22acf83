//! The generator of load where wrk cannot be it: handshakes, uploads, WebSockets, requests in turn,
//! requests at a fixed rate, and HTTP/3. `gateway_bench::order` says how it is spoken to.

mod closed;
mod connection;
mod echo;
mod handshakes;
mod hold;
mod http3;
mod open;
mod tally;
mod target;
mod websocket;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gateway_bench::order::{Order, Outcome, Protocol, READY, Work};
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::target::Target;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let order = line()?.context("expected an order as the first line of standard input")?;
    let order: Order = serde_json::from_str(&order).context("the order")?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no runtime")?;
    LocalSet::new().block_on(&runtime, work(&order))
}

async fn work(order: &Order) -> Result<()> {
    if order.protocol == Protocol::H3 {
        return answer(&http3::work(order).await?);
    }
    let target = Rc::new(Target::new(order)?);
    let outcome = match order.work {
        Work::Closed { milliseconds } => {
            let connections = in_time(target.connect()).await?;
            ready()?;
            closed::run(&target, connections, time(milliseconds)).await?
        }
        Work::Echo {
            milliseconds,
            bytes,
        } => {
            let tunnels = in_time(websocket::open(&target)).await?;
            ready()?;
            echo::run(tunnels, bytes, time(milliseconds)).await?
        }
        Work::Handshakes {
            milliseconds,
            resumed,
        } => {
            in_time(handshakes::prepare(&target)).await?;
            ready()?;
            handshakes::run(&target, time(milliseconds), resumed).await?
        }
        Work::Hold { tunnels } => {
            ready()?;
            let (_held, outcome) = in_time(hold::open(&target, tunnels)).await?;
            answer(&outcome)?;
            // They stay until whoever measures them has done so.
            line()?;
            return Ok(());
        }
        Work::Open { milliseconds, rate } => {
            let connections = in_time(target.connect()).await?;
            ready()?;
            open::run(&target, connections, time(milliseconds), rate).await?
        }
    };
    answer(&outcome)
}

/// Says that the work can begin, and waits until it shall.
fn ready() -> Result<()> {
    say(READY)?;
    match line()? {
        None => bail!("told to end before the work began"),
        Some(_) => Ok(()),
    }
}

/// The next line of standard input, if it has not ended.
fn line() -> Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    let read = read.context("cannot read from standard input")?;
    Ok((read > 0).then_some(line))
}

fn answer(outcome: &Outcome) -> Result<()> {
    say(&serde_json::to_string(outcome).context("the outcome")?)
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Connections are made soon, or not at all.
async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = timeout(PATIENCE, work).await;
    done.with_context(|| format!("nothing was answered within {PATIENCE:?}"))?
}

fn time(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const PATIENCE: Duration = Duration::from_secs(60);
