//! Whatever a configuration or an htpasswd file holds, it is read or refused with places that
//! exist, and a secret in it is not quoted.

#![no_main]

use std::path::Path;

use config::htpasswd::Htpasswd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.lines().count().max(1);
    if let Err(error) = config::check_syntax(text, Path::new("fuzz.toml")) {
        assert!(!error.diagnostics.is_empty());
        for diagnostic in &error.diagnostics {
            // The end of a text that ends with a line break lies on a line of its own.
            assert!(diagnostic.origin.line <= lines + 1, "{diagnostic}");
            assert!(!diagnostic.message.is_empty());
            assert!(diagnostic.to_string().starts_with("fuzz.toml"));
        }
    }
    match Htpasswd::parse(text) {
        Ok(users) => {
            assert!(!users.is_empty() && users.len() <= lines);
            assert!(!format!("{users:?}").contains("$6$"));
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(
                faults
                    .iter()
                    .all(|(line, message)| *line <= lines && !message.is_empty())
            );
        }
    }
});
