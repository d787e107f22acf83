//! The commands that talk to the service, and do without it where that is safe.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use config::Guard;
use guard::control::{Answer, Ask, AskError, Reply, ask, ask_status};
use guard::offline::{self, Done, Places};
use guard::status::{State, Status};
use guard::{Mode, Subject};
use serde::Serialize;

use super::{How, translate};
use crate::cli::Failure;

/// `guard status`.
pub(super) fn status(how: &How) -> Result<ExitCode, Failure> {
    let config = config::load_guard(&how.config)?;
    let status = ask_status(&config.socket, STATUS_LIMIT).map_err(work)?;
    print(how, &status, &status)?;
    Ok(exit_code(&status))
}

/// `guard audit`, `detach` and `enforce`.
pub(super) fn set(how: &How, mode: Mode) -> Result<ExitCode, Failure> {
    let config = config::load_guard(&how.config)?;
    match change(&config.socket, &Ask::Set { mode })? {
        Some(status) => print(how, &status, &first_line(&status))?,
        None => {
            let done = offline::set(&places(&config), &translate::rules(&config), mode);
            let done = done.map_err(work)?;
            print(how, &done, &set_offline(&done, mode))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `guard --clear`.
pub(super) fn clear(how: &How) -> Result<ExitCode, Failure> {
    let config = config::load_guard(&how.config)?;
    match change(&config.socket, &Ask::Clear)? {
        Some(status) => print(how, &status, &first_line(&status))?,
        None => {
            let mode = translate::mode(&config);
            let done = offline::clear(&places(&config), &translate::rules(&config), mode);
            let done = done.map_err(work)?;
            print(how, &done, &cleared_offline(&done, mode))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `guard explain`. Without the service, the configuration tells what it would do.
pub(super) fn explain(how: &How, what: &Subject) -> Result<ExitCode, Failure> {
    let config = config::load_guard(&how.config)?;
    let question = Ask::Explain {
        what: what.to_string(),
    };
    let explanation = match ask(&config.socket, &question, CHANGE_LIMIT) {
        Ok(Reply::Ok(Answer::Explanation(explanation))) => *explanation,
        Ok(Reply::Ok(_) | Reply::Send) => return Err(work(AskError::Unexpected)),
        Ok(Reply::Error(error)) => return Err(work(error)),
        Err(AskError::Absent { .. }) => {
            eprintln!("the guard service is not running: this is what the configuration says");
            let mode = offline::mode(&config.override_file, translate::mode(&config));
            guard::explain(&translate::rules(&config), mode, what).map_err(work)?
        }
        Err(error) => return Err(work(error)),
    };
    print(how, &explanation, &explanation)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the service for a change; `None` if there is no service.
fn change(socket: &Path, change: &Ask) -> Result<Option<Status>, Failure> {
    match ask(socket, change, CHANGE_LIMIT) {
        Ok(Reply::Ok(Answer::Status(status))) => Ok(Some(*status)),
        Ok(Reply::Ok(_) | Reply::Send) => Err(work(AskError::Unexpected)),
        Ok(Reply::Error(error)) => Err(work(error)),
        Err(error @ AskError::Absent { .. }) => {
            if rustix::process::geteuid().is_root() {
                return Ok(None);
            }
            Err(work(format!("{error}; without it, only root may do this")))
        }
        Err(error) => Err(work(error)),
    }
}

fn places(config: &Guard) -> Places<'_> {
    Places {
        socket: &config.socket,
        override_file: &config.override_file,
        pins: &config.pins,
    }
}

fn print(how: &How, json: &impl Serialize, text: &impl std::fmt::Display) -> Result<(), Failure> {
    let text = if how.json {
        serde_json::to_string(json).map_err(work)?
    } else {
        text.to_string()
    };
    match writeln!(std::io::stdout(), "{text}") {
        // Whoever reads may have seen enough, as `head` has.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(work(error)),
        _ => Ok(()),
    }
}

fn exit_code(status: &Status) -> ExitCode {
    match status.state {
        State::Enforcing => ExitCode::SUCCESS,
        State::Auditing | State::Degraded | State::Detached => ExitCode::from(3),
    }
}

fn first_line(status: &Status) -> String {
    let text = status.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn set_offline(done: &Done, mode: Mode) -> String {
    let now = match (done.pinned, mode) {
        (true, Mode::Audit) => "what is pinned audits now",
        (true, Mode::Detach) => "what was pinned is detached",
        (true, Mode::Enforce) => "what is pinned enforces now",
        (false, Mode::Detach) => "nothing was pinned, so there was nothing to detach",
        (false, Mode::Audit | Mode::Enforce) => {
            "nothing is pinned, so nothing is guarded until it starts"
        }
    };
    format!(
        "the guard service is not running: {now}{}; \
         the override {} is stored for its next start, until `guard --clear`",
        cut_offline(done),
        mode.as_str()
    )
}

fn cleared_offline(done: &Done, configured: Mode) -> String {
    let now = if done.pinned {
        ", and now for what is pinned"
    } else {
        "; nothing is pinned now"
    };
    format!(
        "the guard service is not running: the override is cleared; \
         the configured mode {} holds from its next start on{now}{}",
        configured.as_str(),
        cut_offline(done)
    )
}

fn cut_offline(done: &Done) -> String {
    match (&done.uncut, done.destroyed_sockets) {
        (Some(error), _) => format!("; {error}; those open before hang instead"),
        (None, 0) => String::new(),
        (None, sockets) => format!("; {sockets} sockets of foreign connections were destroyed"),
    }
}

fn work(error: impl std::fmt::Display) -> Failure {
    Failure::Work(format!("guard: {error}"))
}

/// A change may load programs and end connections.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
const STATUS_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_enforces_whole_is_status_0() {
        let code = |state| {
            let json = include_str!("../../guard/src/status/expected.json");
            let mut status: Status = serde_json::from_str(json).unwrap();
            status.state = state;
            exit_code(&status)
        };
        assert_eq!(code(State::Enforcing), ExitCode::SUCCESS);
        for state in [State::Auditing, State::Degraded, State::Detached] {
            assert_eq!(code(state), ExitCode::from(3), "{state:?}");
        }
    }

    #[test]
    fn what_is_done_without_the_service_is_said() {
        let done = |pinned| Done {
            running: false,
            r#override: None,
            pinned,
            destroyed_sockets: 0,
            uncut: None,
        };
        let cut = Done {
            destroyed_sockets: 4,
            ..done(true)
        };
        let uncut = Done {
            uncut: Some("cannot end them".into()),
            ..done(true)
        };
        let texts = [
            set_offline(&done(true), Mode::Audit),
            set_offline(&done(true), Mode::Detach),
            set_offline(&done(true), Mode::Enforce),
            set_offline(&done(false), Mode::Detach),
            set_offline(&done(false), Mode::Enforce),
            cleared_offline(&done(true), Mode::Enforce),
            cleared_offline(&done(false), Mode::Audit),
            set_offline(&cut, Mode::Enforce),
            cleared_offline(&uncut, Mode::Enforce),
        ];
        assert_eq!(
            texts,
            [
                "the guard service is not running: what is pinned audits now; \
                 the override audit is stored for its next start, until `guard --clear`",
                "the guard service is not running: what was pinned is detached; \
                 the override detach is stored for its next start, until `guard --clear`",
                "the guard service is not running: what is pinned enforces now; \
                 the override enforce is stored for its next start, until `guard --clear`",
                "the guard service is not running: nothing was pinned, so there was nothing to \
                 detach; the override detach is stored for its next start, until `guard --clear`",
                "the guard service is not running: nothing is pinned, so nothing is guarded until \
                 it starts; the override enforce is stored for its next start, until \
                 `guard --clear`",
                "the guard service is not running: the override is cleared; the configured mode \
                 enforce holds from its next start on, and now for what is pinned",
                "the guard service is not running: the override is cleared; the configured mode \
                 audit holds from its next start on; nothing is pinned now",
                "the guard service is not running: what is pinned enforces now; 4 sockets of \
                 foreign connections were destroyed; the override enforce is stored for its next \
                 start, until `guard --clear`",
                "the guard service is not running: the override is cleared; the configured mode \
                 enforce holds from its next start on, and now for what is pinned; \
                 cannot end them; those open before hang instead",
            ]
        );
    }
}
