use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    guard: GuardArgs,
}

#[test]
fn every_command_is_understood() {
    Cli::command().debug_assert();
    for (line, expected) in [
        ("--clear", "clear"),
        ("--clear --json --config x", "clear json x"),
        ("audit", "audit"),
        ("detach --json", "detach json"),
        ("enforce --config x", "enforce x"),
        ("explain 4242", "explain Process(4242)"),
        ("explain ::1 --json", "explain Address(::1) json"),
        ("explain 10.0.0.1:80", "explain Endpoint(10.0.0.1:80)"),
        ("run", "run"),
        (
            "run --unpinned --ready-file r --config x",
            "run unpinned r x",
        ),
        ("run --programs ingress,connect4", "run [Ingress, Connect4]"),
        ("status --json", "status json"),
    ] {
        let parsed = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(understood(&parsed), expected, "{line}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for (line, kind) in [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("--json", ErrorKind::MissingRequiredArgument),
        ("--clear status", ErrorKind::ArgumentConflict),
        ("--json status", ErrorKind::ArgumentConflict),
        ("explain", ErrorKind::MissingRequiredArgument),
        ("explain localhost", ErrorKind::ValueValidation),
        ("run --json", ErrorKind::UnknownArgument),
        ("run --programs all", ErrorKind::ValueValidation),
        ("reload", ErrorKind::InvalidSubcommand),
        ("status --clear", ErrorKind::UnknownArgument),
    ] {
        let refused = parse(line).map(|parsed| understood(&parsed));
        assert_eq!(refused.map_err(|error| error.kind()), Err(kind), "{line}");
    }
}

fn parse(line: &str) -> Result<GuardArgs, clap::Error> {
    let words = std::iter::once("guard").chain(line.split_ascii_whitespace());
    Cli::try_parse_from(words).map(|cli| cli.guard)
}

/// What was understood, without what was left to its default.
fn understood(args: &GuardArgs) -> String {
    let (name, how) = match &args.command {
        None => {
            assert!(args.clear);
            ("clear".to_owned(), &args.how)
        }
        Some(GuardCommand::Audit(how)) => ("audit".into(), how),
        Some(GuardCommand::Detach(how)) => ("detach".into(), how),
        Some(GuardCommand::Enforce(how)) => ("enforce".into(), how),
        Some(GuardCommand::Explain { what, how }) => (format!("explain {what:?}"), how),
        Some(GuardCommand::Status(how)) => ("status".into(), how),
        Some(GuardCommand::Run(run)) => {
            let mut words = vec!["run".to_owned()];
            words.extend(run.unpinned.then(|| "unpinned".into()));
            words.extend(
                run.programs
                    .as_ref()
                    .map(|programs| format!("{programs:?}")),
            );
            words.extend(run.ready_file.iter().map(|path| path.display().to_string()));
            words.extend(chosen(&run.config));
            return words.join(" ");
        }
    };
    let mut words = vec![name];
    words.extend(how.json.then(|| "json".into()));
    words.extend(chosen(&how.config));
    words.join(" ")
}

fn chosen(config: &std::path::Path) -> Option<String> {
    let config = config.to_str().unwrap();
    (config != "/etc/connect-gateway/connect-gateway.toml").then(|| config.to_owned())
}
