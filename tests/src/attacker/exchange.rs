//! One line there, one line back.

use std::io::{self, Read, Write};
use std::time::Duration;

use clap::Args;
use socket2::Socket;

use super::Outcome;
use crate::harness::poll::stretched;

#[derive(Args, Clone)]
pub(super) struct Talk {
    /// The line to send
    #[arg(long, value_name = "TEXT", default_value = "hello")]
    say: String,
    /// How long anything may take before it counts as refused, in milliseconds on hardware
    #[arg(long, value_name = "MS", default_value = "700")]
    patience: u64,
}

impl Talk {
    /// How long to wait.
    pub(super) fn patience(&self) -> Duration {
        stretched(Duration::from_millis(self.patience))
    }

    /// The line with its end.
    pub(super) fn line(&self) -> Vec<u8> {
        format!("{}\n", self.say).into_bytes()
    }

    /// Bounds every call on a socket.
    pub(super) fn bound(&self, socket: &Socket) -> io::Result<()> {
        socket.set_read_timeout(Some(self.patience()))?;
        socket.set_write_timeout(Some(self.patience()))
    }

    /// Sends the line and waits for one. After `bye` the server is the first to close.
    pub(super) fn exchange(&self, mut socket: &Socket) -> Outcome {
        if let Err(error) = socket.write_all(&self.line()) {
            return Outcome::of(&error);
        }
        let outcome = hear(socket);
        if self.say == "bye" && outcome.reached() {
            match socket.read(&mut [0]) {
                Ok(0) => {}
                Ok(_) => return Outcome::Cut,
                Err(error) => return Outcome::of(&error),
            }
        }
        outcome
    }
}

/// Waits for a line.
pub(super) fn hear(mut socket: &Socket) -> Outcome {
    let mut line = Vec::new();
    let mut bytes = [0; 256];
    while !line.ends_with(b"\n") {
        match socket.read(&mut bytes) {
            Ok(0) => return Outcome::Cut,
            Ok(count) => line.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            // What io_uring left to do for this thread interrupts it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Outcome::of(&error),
        }
    }
    Outcome::Connected {
        answer: String::from_utf8_lossy(&line).trim_end().to_owned(),
    }
}
