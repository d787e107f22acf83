//! The two other parsers, in one process: `tests/clients/parsers.py`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use gateway_tests::harness::{python, workspace};
use serde::Deserialize;

use crate::{Message, Verdict};

/// What they make of a case.
pub(crate) struct Others {
    pub(crate) h11: Verdict,
    pub(crate) llhttp: Verdict,
}

/// Has them judge all cases, and hands each verdict over in order. `kind`: `Q` for requests, `A`
/// for answers.
pub(crate) fn judge(kind: u8, cases: &[Vec<u8>], mut take: impl FnMut(&[u8], Others)) {
    let mut child = Command::new(python())
        .arg(workspace().join("tests/clients/parsers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::scope(|scope| {
        scope.spawn(move || {
            for case in cases {
                let length = u32::try_from(case.len()).unwrap();
                let frame = [&[kind], &length.to_be_bytes()[..], case].concat();
                // If it has ended, so have its lines.
                if stdin.write_all(&frame).is_err() {
                    return;
                }
            }
        });
        for case in cases {
            let line = lines.next().expect("a line for each case").unwrap();
            let line: Line = serde_json::from_str(&line).expect("what the script says");
            take(
                case,
                Others {
                    h11: line.h11.into(),
                    llhttp: line.llhttp.into(),
                },
            );
        }
    });
    assert!(lines.next().is_none(), "more lines than cases");
    assert!(child.wait().unwrap().success());
}

#[derive(Deserialize)]
struct Line {
    h11: Said,
    llhttp: Said,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Message(Message),
    Refused(String),
    Waiting(()),
}

impl From<Said> for Verdict {
    fn from(said: Said) -> Self {
        match said {
            Said::Message(message) => Self::Message(message),
            Said::Refused(why) => Self::Refused(why),
            Said::Waiting(()) => Self::Waiting,
        }
    }
}
