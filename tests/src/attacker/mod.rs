//! Everything that tries to get past the guard, and everybody whom it must not disturb: one
//! process for each part, in a cgroup and under a user of its own.
//!
//! A process prints JSON lines. One that tries something prints one [`Outcome`] and ends; one that
//! stays prints events (`{"event": …}`) and takes orders, a line each, from its standard input. A
//! step that fails and is not the attempt itself is an error on standard error and exit status 1:
//! it never looks like a refusal.

mod ask;
mod connect;
mod exchange;
mod exec;
mod flood;
mod get;
mod hammer;
mod hold;
mod inject;
mod orders;
mod outcome;
mod packet;
mod pass;
mod raw;
mod relay;
mod repair;
mod serve;
mod steal;
mod steer;
mod sys;
mod twin;
mod who;
mod wire;

use std::io::Write;

use clap::{Parser, Subcommand};
use serde::Serialize;

pub use outcome::Outcome;

/// Runs what the command line asks for.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    arguments.who.become_it()?;
    match arguments.what {
        What::Ask(ask) => ask.run(),
        What::Borrow(borrow) => print(&borrow.attempt()?),
        What::Connect(connect) => print(&connect.attempt()?),
        What::Exec(exec) => exec.run(),
        What::Flood(flood) => flood.run(),
        What::Get(get) => print(&get.attempt()?),
        What::Hammer(hammer) => hammer.run(),
        What::Hold(hold) => hold.run(),
        What::Inject(inject) => inject.run(),
        What::Lend(lend) => lend.run(),
        What::Raw(raw) => print(&raw.attempt()?),
        What::Relay(relay) => relay.run(),
        What::Repair(repair) => print(&repair.attempt()?),
        What::Serve(serve) => serve.run(),
        What::Steal(steal) => print(&steal.attempt()?),
        What::Steer(steer) => steer.run(),
        What::Twin(twin) => twin.run(),
    }
}

/// Plays one part in a test of the guard
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    who: who::Who,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Ask the service again and again, and notice when it does not answer
    Ask(ask::Ask),
    /// Use a connected socket that somebody lends over a unix socket
    Borrow(pass::Borrow),
    /// Connect as programs do
    Connect(connect::Connect),
    /// Become another program
    Exec(exec::Exec),
    /// Open many connections, then close them all
    Flood(flood::Flood),
    /// Ask the gateway over HTTPS
    Get(get::Get),
    /// Connect without a pause
    Hammer(hammer::Hammer),
    /// Connect, and keep the connection
    Hold(hold::Hold),
    /// Put a segment into somebody else's connection
    Inject(inject::Inject),
    /// Connect, and hand the socket to whoever asks
    Lend(pass::Lend),
    /// Speak TCP without a socket of TCP
    Raw(raw::Raw),
    /// Listen elsewhere, and pass on what comes
    Relay(relay::Relay),
    /// Go on with a connection that somebody else has made
    Repair(repair::Repair),
    /// Listen, and report who comes
    Serve(serve::Serve),
    /// Take a connected socket out of another process
    Steal(steal::Steal),
    /// Send what comes to a port to another process's listening socket
    Steer(steer::Steer),
    /// Connect with the port that somebody else gets, too
    Twin(twin::Twin),
}

/// Prints one JSON line.
fn print(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
