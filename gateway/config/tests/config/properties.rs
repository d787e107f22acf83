//! No text makes the validation panic, and every fault has a place in it.

use std::path::Path;

use gateway_config::check_syntax;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::MINIMAL;

const DOCUMENTED: &str = include_str!("../../../../docs/connect-gateway.toml");

fn check(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = check_syntax(text, Path::new("x.toml")) {
        prop_assert!(!error.diagnostics.is_empty());
        for fault in &error.diagnostics {
            prop_assert!(fault.origin.line <= text.split('\n').count(), "{fault}");
            prop_assert!(!fault.message.is_empty());
        }
        let lines: Vec<usize> = error
            .diagnostics
            .iter()
            .map(|fault| fault.origin.line)
            .collect();
        prop_assert!(lines.is_sorted(), "{error}");
    }
    Ok(())
}

#[test]
fn valid_texts_pass_without_their_files() {
    for text in [MINIMAL, DOCUMENTED] {
        check_syntax(text, Path::new("x.toml")).unwrap();
    }
}

proptest! {
    #[test]
    fn arbitrary_text(text in "(?s)\\PC*") {
        check(&text)?;
    }

    #[test]
    fn arbitrary_lines(lines in prop::collection::vec(
        "(\\[{0,2}[a-z.]{0,8}\\]{0,2}|[a-z]{1,5} = [\"'\\[{0-9a-z,=}\\]]{0,12})", 0..20)
    ) {
        check(&lines.join("\n"))?;
    }

    /// Everything parses here, so that the validation behind the syntax sees odd values.
    #[test]
    fn values_of_every_type_at_every_key(
        replacements in prop::collection::vec(
            (any::<prop::sample::Index>(), select(vec![
                "1", "-1", "0x10", "9223372036854775808", "1.5", "nan", "true", "1979-05-27",
                "[]", "[[]]", "[1, 2]", "[\"a\", \"/\", \"::/0\"]", "{}", "{ a = 1 }", "\"\"",
                "\"a\"", "\"5s\"", "\"0ms\"", "\"https://\"", "\"http://[::1]:0/\"", "\"\\u0000\"",
                "'''\n'''", "\"é\"", "\"connect\"", "\"mutual\"",
                "\"*:1\"", "\"[::1]:1\"", "\"a-b.slice\"", "\"/a\"", "[0, 4294967295]",
            ])),
            1..6,
        ),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut lines: Vec<String> = DOCUMENTED.lines().map(str::to_owned).collect();
        for (index, value) in replacements {
            let line = index.index(lines.len());
            if let Some((key, _)) = lines[line].clone().split_once(" = ") {
                lines[line] = format!("{} = {value}", key.trim_start_matches("# "));
            }
        }
        let gone = gone.index(lines.len());
        lines.remove(gone);
        check(&lines.join("\n"))?;
    }
}
