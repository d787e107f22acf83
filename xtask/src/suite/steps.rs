//! The steps of the suite, in order: what fails fast comes first.

use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use super::tally::Tally;
use super::{Scale, Suite, demo};
use crate::bench;
use crate::command::{cargo, echo, run as command};
use crate::ebpf;
use crate::fuzz::{self, Target};
use crate::setup::{self, Level};
use crate::soak;
use crate::workspace::Workspace;

pub(super) fn run(suite: &mut Suite, workspace: &Workspace, scale: Scale) {
    let cargo = || {
        let mut cargo = cargo(workspace);
        cargo.env("GATEWAY_REQUIRE_EBPF", "1");
        cargo
    };

    suite.step("setup", |_| {
        setup::run(workspace, Level::Test)?;
        setup::ebpf(workspace)
    });
    suite.step("format", |_| {
        command(cargo().args(["fmt", "--all", "--check"]))?;
        for manifest in OTHER_WORKSPACES {
            command(cargo().args(["fmt", "--check", manifest]))?;
        }
        Ok(())
    });
    suite.step("licences, bans, sources", |_| deny(workspace));
    suite.step("kernel programs: build", |_| ebpf::build(workspace));
    suite.step("kernel programs: clippy", |_| ebpf::clippy(workspace));
    suite.step("kernel programs: tests", |tally| {
        test(&mut ebpf::tests(workspace), tally)
    });
    suite.step("clippy", |_| {
        command(
            cargo()
                .args([
                    "clippy",
                    "--locked",
                    "--workspace",
                    "--all-targets",
                    "--all-features",
                ])
                .args(["--", "--deny=warnings"]),
        )
    });
    suite.step("documentation", |_| {
        command(
            cargo()
                .args([
                    "doc",
                    "--locked",
                    "--workspace",
                    "--all-features",
                    "--no-deps",
                ])
                .arg("--document-private-items")
                .env("RUSTDOCFLAGS", "--deny=warnings"),
        )
    });
    suite.step("build", |_| {
        command(cargo().args([
            "build",
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
        ]))
    });
    let tests = || {
        let mut tests = cargo();
        tests
            .args(["test", "--locked", "--all-features", "--no-fail-fast"])
            .env(
                "GATEWAY_TEST_BIN",
                workspace.target.join("debug/connect-gateway"),
            )
            .env("GATEWAY_TEST_PYTHON", setup::interpreter(workspace))
            .env("GATEWAY_TEST_SCALE", scale.as_str());
        tests
    };
    suite.step("tests", |tally| test(tests().arg("--workspace"), tally));
    suite.step("tests on stock TLS records", |tally| {
        let mut tests = tests();
        tests
            .arg("--workspace")
            .env("GATEWAY_TEST_TLS_RECORDS", "stock");
        for name in ON_BOTH_RECORDS {
            tests.args(["--test", name]);
        }
        test(&mut tests, tally)
    });
    suite.step("policy over HTTP/3", |tally| {
        let mut tests = tests();
        tests.arg("--workspace").env("GATEWAY_TEST_PROTOCOL", "h3");
        for name in ON_BOTH_PROTOCOLS {
            tests.args(["--test", name]);
        }
        tests.arg("--");
        for name in OF_HTTP1_ALONE {
            tests.args(["--skip", name]);
        }
        test(&mut tests, tally)
    });
    suite.step("demo", |_| demo::check(workspace));
    suite.step("instructions", |_| bench::check_instructions(workspace));
    if scale == Scale::Full {
        suite.step("soak", |_| soak::smoke(workspace));
    }
    suite.step("fuzz targets: clippy", |_| fuzz::clippy(workspace));
    suite.step("fuzz targets: build", |_| fuzz::build(workspace, None));
    let targets: Vec<Target> = Target::all().collect();
    for at_once in targets.chunks(processors()) {
        let names: Vec<String> = at_once.iter().map(ToString::to_string).collect();
        let name = format!("fuzz {}, {:?}", names.join(" and "), scale.fuzz());
        suite.step(&name, |_| fuzz::smoke(workspace, at_once, scale.fuzz()));
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Checks every lock file against deny.toml.
fn deny(workspace: &Workspace) -> Result<()> {
    let check = ["check", "--hide-inclusion-graph"];
    let what = ["licenses", "bans", "sources"];
    let deny = || {
        let mut deny = cargo(workspace);
        deny.args(["deny", "--locked", "--all-features"]);
        deny
    };
    command(deny().args(check).args(what))?;
    for manifest in OTHER_WORKSPACES {
        command(
            deny()
                .arg(manifest)
                .args(check)
                // The exceptions in deny.toml are the workspace's.
                .args(["--allow", "unmatched-skip"])
                .args(what),
        )?;
    }
    Ok(())
}

/// Runs tests, shows what they print, and counts them.
pub(crate) fn test(command: &mut Command, tally: &mut Tally) -> Result<()> {
    echo(command);
    let before = *tally;
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the tests")?;
    let stdout = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    let status = child.wait().context("cannot wait for the tests")?;
    if !status.success() {
        bail!("the tests failed: {status}");
    }
    if tally.failed > before.failed {
        bail!("tests were ignored");
    }
    if tally.passed == before.passed {
        bail!("no test ran");
    }
    Ok(())
}

/// The wire tests, the threat corpus and memory: it matters to them how bytes come out of TLS. The
/// other tests of records run on both kinds by themselves.
const ON_BOTH_RECORDS: [&str; 4] = ["framing", "idle_memory", "smuggling", "threats"];

/// What policy decides, and what nobody may get past it.
const ON_BOTH_PROTOCOLS: [&str; 2] = ["lanes", "threats"];

/// What they test of HTTP/1.1's own: its connections, chunks and bytes. For HTTP/3, which has others, they
/// stand in `http3`.
const OF_HTTP1_ALONE: [&str; 4] = [
    "connection_",
    "discovery_bodies_are_limited",
    "refusals_are_counted_by_reason",
    "trailers_never_become_headers",
];

/// What has a lock file of its own.
const OTHER_WORKSPACES: [&str; 2] = [ebpf::MANIFEST, fuzz::MANIFEST];

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, status: u8) -> (Result<()>, Tally) {
        let mut tally = Tally::default();
        let script = format!("printf '{text}'; exit {status}");
        let result = test(Command::new("sh").args(["-c", &script]), &mut tally);
        (result, tally)
    }

    #[test]
    fn tests_pass_only_if_some_ran_and_none_failed_or_was_ignored() {
        let ok = r"test result: ok. 2 passed; 0 failed; 0 ignored\n";
        let (result, tally) = printed(ok, 0);
        assert!(result.is_ok());
        assert_eq!(
            tally,
            Tally {
                passed: 2,
                failed: 0
            }
        );

        assert!(printed(ok, 101).0.is_err());
        assert!(
            printed(r"test result: ok. 0 passed; 0 failed; 0 ignored\n", 0)
                .0
                .is_err()
        );
        assert!(
            printed(r"test result: ok. 2 passed; 0 failed; 1 ignored\n", 0)
                .0
                .is_err()
        );
    }
}
