//! Where the process runs: the guard lets the gateway's slice through to protected back-ends, and
//! nobody else. Whoever starts the gateway places it there; the gateway only looks.

use config::CgroupPath;

/// Verifies that this process is in the slice, or says where it is instead.
pub(crate) fn verify(slice: &CgroupPath) -> Result<(), String> {
    let cgroups = std::fs::read_to_string(CGROUPS)
        .map_err(|error| format!("guard: cannot read {CGROUPS}: {error}"))?;
    judge(&cgroups, slice.as_str())
}

fn judge(cgroups: &str, slice: &str) -> Result<(), String> {
    // cgroups(7): version 2 is hierarchy 0, without controllers.
    let found = match cgroups.lines().find_map(|line| line.strip_prefix("0::")) {
        Some(path) if holds(slice, path) => return Ok(()),
        Some("/") => "in the root cgroup (/)".to_owned(),
        Some(path) => format!("in the cgroup {path}"),
        None => "in no cgroup of version 2".to_owned(),
    };
    Err(format!(
        "guard: this process runs {found}, outside the slice {slice}; expected it to be started \
         there, as by Slice= in its systemd unit (see [guard] slice)"
    ))
}

fn holds(slice: &str, path: &str) -> bool {
    path.strip_prefix(slice)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const CGROUPS: &str = "/proc/self/cgroup";

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: &str = "/connect.slice/connect-gateway.slice";

    #[test]
    fn the_slice_and_what_lies_below_it_are_inside() {
        for path in ["", "/connect-gateway.service", "/a/b"] {
            assert_eq!(judge(&format!("0::{SLICE}{path}\n"), SLICE), Ok(()));
        }
    }

    #[test]
    fn every_other_place_is_named() {
        for (cgroups, found) in [
            ("0::/\n", "root cgroup (/)"),
            ("0::/connect.slice\n", "cgroup /connect.slice,"),
            (
                "0::/connect.slice/connect-gateway.slice2\n",
                "cgroup /connect.slice/connect-gateway.slice2,",
            ),
            (
                "0::/x/connect.slice/connect-gateway.slice\n",
                "cgroup /x/connect.slice/connect-gateway.slice,",
            ),
            ("0::/../a\n", "cgroup /../a,"),
            ("", "no cgroup of version 2"),
            (
                "1:cpu:/connect.slice/connect-gateway.slice\n",
                "no cgroup of version 2",
            ),
        ] {
            let message = judge(cgroups, SLICE).unwrap_err();
            assert!(message.contains(found), "{message}");
            assert!(
                message.contains(&format!("outside the slice {SLICE};")),
                "{message}"
            );
        }
    }

    /// On a hybrid host, version 1 has lines of its own.
    #[test]
    fn lines_of_version_1_mean_nothing() {
        let cgroups = format!("2:cpu:/elsewhere\n1:name=systemd:/\n0::{SLICE}/unit\n");
        assert_eq!(judge(&cgroups, SLICE), Ok(()));
    }
}
