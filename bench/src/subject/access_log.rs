//! Access logs, counted: who writes no line does less than the others.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Removes a file, if it is there.
pub(super) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// How many of `wanted` lines a file does not have, when it has all or no more have come for a while.
pub(super) fn missing(file: &Path, wanted: u64) -> Result<u64> {
    let cannot = || format!("cannot read {}", file.display());
    let mut log = File::open(file).with_context(cannot)?;
    let mut part = vec![0; PART];
    let (mut lines, mut grew) = (0, Instant::now());
    while lines < wanted && grew.elapsed() < PATIENCE {
        let len = log.read(&mut part).with_context(cannot)?;
        if len == 0 {
            std::thread::sleep(POLL);
            continue;
        }
        grew = Instant::now();
        let part = part.get(..len).unwrap_or_default();
        lines += part.iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
    Ok(wanted.saturating_sub(lines))
}

const PART: usize = 256 * 1024;
/// Buffers are written once a second.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_that_come_late_are_there_and_others_are_missing() {
        let name = format!("gateway-bench-access-log-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(missing(&path, 2).unwrap(), 0);
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            file.write_all(b"three\nfour").unwrap();
        });
        assert_eq!(missing(&path, 4).unwrap(), 1);
        late.join().unwrap();
        remove(&path).unwrap();
        assert!(missing(&path, 1).is_err());
        remove(&path).unwrap();
    }
}
