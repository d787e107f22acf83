//! wrk.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::{Generators, Wanted};
use crate::order::{Latency, Outcome};
use crate::scenario::Request;
use crate::subject::installed;
use crate::target::Target;

/// A load that can begin.
pub(crate) struct Job {
    command: Command,
    /// After how long it is told to end, which it looks for ten times a second; else it ends by itself.
    end_after: Option<Duration>,
}

impl Job {
    pub(super) fn new(
        generators: &Generators<'_>,
        wanted: &Wanted<'_>,
        request: &Request,
    ) -> Result<Self> {
        let script = generators.place.write("wrk.lua", SCRIPT)?;
        let mut command = generators.command(wanted, &installed("wrk", "wrk")?);
        command
            .arg("--threads=1")
            .arg(format!("--connections={}", wanted.scenario.load.at_once()))
            .arg(format!("--duration={}", seconds(wanted.time)))
            .arg(format!("--timeout={TIMEOUT}"))
            .arg("--script")
            .arg(script);
        for (name, value) in request.fields(wanted.logins).into_iter().flatten() {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
        let Target { address, host, .. } = wanted.target;
        let authority = match generators.cable {
            None => host.clone(),
            // It looks for the name where the clients are, where it is another host's.
            Some(_) => {
                command.arg("--header").arg(format!("Host: {host}"));
                address.to_string()
            }
        };
        command.arg(format!("https://{authority}{}", request.path));
        // perf, which counts system calls, would have to be told in its place.
        let is_cut = wanted.time.subsec_nanos() > 0 && wanted.syscalls.is_none();
        Ok(Self {
            command,
            end_after: is_cut.then_some(wanted.time),
        })
    }

    pub(super) fn go(&mut self) -> Result<Outcome> {
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let wrk = command.spawn().context("cannot start wrk")?;
        if let Some(time) = self.end_after {
            thread::sleep(time);
            let id = i32::try_from(wrk.id()).ok().and_then(Pid::from_raw);
            kill_process(id.context("no process id")?, Signal::INT).context("cannot end wrk")?;
        }
        let output = wrk.wait_with_output().context("cannot wait for wrk")?;
        if !output.status.success() {
            bail!("wrk: {}", output.status);
        }
        outcome(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Whole seconds, which are all it takes; not less than `time`.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What the script printed, on the last line.
fn outcome(printed: &str) -> Result<Outcome> {
    let line = printed.lines().last().unwrap_or_default();
    let summary: Summary =
        serde_json::from_str(line).with_context(|| format!("wrk said {line:?}"))?;
    let errors = summary.connect + summary.read + summary.write + summary.timeout;
    Ok(Outcome {
        // wrk counts answers of any status.
        done: summary.requests.saturating_sub(summary.status),
        errors: errors + summary.status,
        bytes: summary.bytes,
        milliseconds: summary.duration / 1000,
        latency: (summary.requests > 0).then_some(Latency {
            p50: summary.p50,
            p99: summary.p99,
            p999: summary.p999,
        }),
        first_error: match (summary.status, errors) {
            (0, 0) => None,
            (0, _) => Some("a connection failed, or took too long".to_owned()),
            _ => Some("a status that is no success".to_owned()),
        },
        datagrams: None,
    })
}

/// Times in microseconds.
#[derive(Debug, Deserialize)]
struct Summary {
    requests: u64,
    bytes: u64,
    duration: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
    p50: f64,
    p99: f64,
    p999: f64,
}

/// Without a `request` function wrk does not enter Lua while it works.
const SCRIPT: &str = r#"done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"duration":%d,"connect":%d,"read":%d,"write":%d,' ..
    '"status":%d,"timeout":%d,"p50":%.1f,"p99":%.1f,"p999":%.1f}\n',
    summary.requests, summary.bytes, summary.duration, e.connect, e.read, e.write,
    e.status, e.timeout, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9)))
end
"#;
/// In seconds.
const TIMEOUT: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 1s test\n  2 requests in 1.00s\n{\"requests\":1000,\"bytes\":7,\
        \"duration\":1002003,\"connect\":1,\"read\":2,\"write\":3,\"status\":10,\"timeout\":4,\
        \"p50\":800.0,\"p99\":1500.5,\"p999\":2000.0}\n";

    #[test]
    fn errors_are_of_every_kind() {
        let outcome = outcome(PRINTED).unwrap();
        assert_eq!((outcome.done, outcome.errors), (990, 20));
        assert_eq!((outcome.bytes, outcome.milliseconds), (7, 1002));
        assert_eq!(outcome.latency.unwrap().p99, 1500.5);
        assert!(outcome.first_error.is_some());
    }

    #[test]
    fn without_a_summary_there_is_no_outcome() {
        assert!(outcome("unable to connect").is_err());
        assert!(outcome("").is_err());
    }
}
