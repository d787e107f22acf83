//! Orders from whoever started this process.

use anyhow::{Result, bail};

/// Waits for the next line. The end of standard input is an error: nobody is there any more.
pub(super) fn next() -> Result<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => bail!("nobody gives orders any more"),
        _ => Ok(line.trim_end().to_owned()),
    }
}
