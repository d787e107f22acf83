//! Somebody who listens elsewhere and passes on what comes.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::{Outcome, print};

/// Prints `listening`, then what each connection onwards comes to, and copies bytes both ways.
#[derive(Args)]
pub(super) struct Relay {
    /// Where it listens
    from: SocketAddr,
    /// Where it connects
    to: SocketAddr,
}

impl Relay {
    pub(super) fn run(&self) -> Result<()> {
        let listener = TcpListener::bind(self.from)?;
        print(&json!({"event": "listening"}))?;
        loop {
            let (near, _) = listener.accept()?;
            match TcpStream::connect(self.to) {
                Ok(far) => pass_on(near, far)?,
                // The caller's connection ends with this.
                Err(error) => print(&Outcome::of(&error))?,
            }
        }
    }
}

/// One connection at a time is enough.
fn pass_on(near: TcpStream, far: TcpStream) -> Result<()> {
    print(&json!({"event": "passing"}))?;
    let (to, from) = (far.try_clone()?, near.try_clone()?);
    let there = std::thread::spawn(move || copy(from, to));
    // Either side may end it as it likes.
    let _ = copy(far, near);
    let _ = there.join().ok().context("the copying thread panicked")?;
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}
