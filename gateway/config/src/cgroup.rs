//! Cgroups as a configuration names them: by path or by systemd unit.

use std::fmt;

/// A cgroup's path from the hierarchy's root: absolute, normalised, and not the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPath(Box<str>);

/// The text names no cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidCgroup {
    /// A slice's dashes that nest nothing.
    #[error(
        "each dash in a slice's name nests slices: expected none at its ends and no two in a row"
    )]
    Dashes,
    /// A template or an instance of one.
    #[error(
        "a unit with an @ lies in a slice of its template: expected the cgroup's path, as \
         \"/system.slice/system-name.slice/name@instance.service\""
    )]
    Instance,
    /// Other characters than a unit's name may hold, or none, or too many.
    #[error(
        "not a unit's name: expected 1 to 255 letters, digits or : - _ . \\ before and with the \
         suffix"
    )]
    Name,
    /// Neither a path nor a unit of an accepted type.
    #[error("expected a cgroup's path, as \"/a/b\", or the name of a {0} unit")]
    Neither(&'static str),
    /// A path that is not normalised, or could not exist.
    #[error(
        "not a normalised path: expected parts of 1 to 255 bytes, none . or .., no / at the end \
         and no control characters"
    )]
    Path,
    /// A unit whose cgroup systemd must not call by the unit's name.
    #[error("systemd gives a unit of this name a cgroup of another name: expected its path")]
    Renamed,
    /// The root.
    #[error("the root of all cgroups is refused: every process of the host lies below it")]
    Root,
}

impl CgroupPath {
    /// Reads an absolute path, or the name of a service or slice unit: `a.service` is
    /// `/system.slice/a.service`, where systemd puts services by default (systemd.special(7)).
    pub(crate) fn of_unit(text: &str) -> Result<Self, InvalidCgroup> {
        if !text.starts_with('/') && text.ends_with(SERVICE) {
            check_unit(text, SERVICE)?;
            return Ok(Self(format!("/system.slice/{text}").into()));
        }
        Self::read(text, ".service or .slice")
    }

    /// Reads an absolute path, or the name of a slice unit.
    pub(crate) fn of_slice(text: &str) -> Result<Self, InvalidCgroup> {
        Self::read(text, SLICE)
    }

    /// The path, as `/system.slice/rstudio-connect.service`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the other is this cgroup or lies below it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        other
            .0
            .strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn read(text: &str, units: &'static str) -> Result<Self, InvalidCgroup> {
        if text.starts_with('/') {
            Self::of_path(text)
        } else if text.ends_with(SLICE) {
            Self::of_nested_slice(text)
        } else {
            Err(InvalidCgroup::Neither(units))
        }
    }

    fn of_path(text: &str) -> Result<Self, InvalidCgroup> {
        let parts = text.strip_prefix('/').ok_or(InvalidCgroup::Path)?;
        if parts.is_empty() {
            return Err(InvalidCgroup::Root);
        }
        let is_part = |part: &str| {
            (1..=LONGEST_NAME).contains(&part.len())
                && !matches!(part, "." | "..")
                && !part.contains(char::is_control)
        };
        if parts.split('/').all(is_part) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCgroup::Path)
        }
    }

    /// `a-b.slice` lies in `a.slice` (systemd.slice(5)). Escapes stay as they are: `\x2d` nests
    /// nothing.
    fn of_nested_slice(text: &str) -> Result<Self, InvalidCgroup> {
        if text == "-.slice" {
            return Err(InvalidCgroup::Root);
        }
        let mut path = String::new();
        let mut outer = String::new();
        for part in check_unit(text, SLICE)?.split('-') {
            if part.is_empty() {
                return Err(InvalidCgroup::Dashes);
            }
            if !outer.is_empty() {
                outer.push('-');
            }
            outer.push_str(part);
            let slice = format!("{outer}{SLICE}");
            if is_renamed(&slice) {
                return Err(InvalidCgroup::Renamed);
            }
            path.push('/');
            path.push_str(&slice);
        }
        Ok(Self(path.into()))
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name without its suffix, if it is a unit's (systemd.unit(5)) and also its cgroup's.
fn check_unit<'t>(text: &'t str, suffix: &str) -> Result<&'t str, InvalidCgroup> {
    let prefix = text.strip_suffix(suffix).ok_or(InvalidCgroup::Name)?;
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@')
    };
    if prefix.is_empty() || text.len() > LONGEST_NAME || !prefix.bytes().all(allowed) {
        Err(InvalidCgroup::Name)
    } else if prefix.contains('@') {
        Err(InvalidCgroup::Instance)
    } else if is_renamed(text) {
        Err(InvalidCgroup::Renamed)
    } else {
        Ok(prefix)
    }
}

/// Whether systemd puts an underscore before the name, so that the cgroup cannot be mistaken for
/// one of the kernel's files (`cg_needs_escape` in its sources).
fn is_renamed(unit: &str) -> bool {
    unit.starts_with(['_', '.'])
        || unit
            .split('.')
            .next()
            .is_some_and(|first| CONTROLLERS.contains(&first))
}

/// The longest name of a file and of a unit, in bytes.
const LONGEST_NAME: usize = 255;
const SERVICE: &str = ".service";
const SLICE: &str = ".slice";

/// The kernel's controllers, as systemd knows them, and the prefix of cgroup's own files.
const CONTROLLERS: [&str; 14] = [
    "bpf-devices",
    "bpf-firewall",
    "bpf-foreign",
    "bpf-restrict-network-interfaces",
    "bpf-socket-bind",
    "blkio",
    "cgroup",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "io",
    "memory",
    "pids",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_have_the_cgroups_that_systemd_gives_them() {
        for (unit, path) in [
            ("a.slice", "/a.slice"),
            ("a-b.slice", "/a.slice/a-b.slice"),
            (
                "connect-gateway.slice",
                "/connect.slice/connect-gateway.slice",
            ),
            ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
            (r"a\x2db.slice", r"/a\x2db.slice"),
            (r"a\x2db-c.slice", r"/a\x2db.slice/a\x2db-c.slice"),
            ("a.b.slice", "/a.b.slice"),
            ("a:b_c.slice", "/a:b_c.slice"),
            ("cpus.slice", "/cpus.slice"),
        ] {
            for read in [CgroupPath::of_slice, CgroupPath::of_unit] {
                assert_eq!(
                    read(unit).as_ref().map(CgroupPath::as_str),
                    Ok(path),
                    "{unit}"
                );
            }
        }
        for unit in [
            "rstudio-connect.service",
            "-.service",
            "a--b.service",
            r"a\x2db.service",
            "a.slice.service",
        ] {
            assert_eq!(
                CgroupPath::of_unit(unit)
                    .as_ref()
                    .map(CgroupPath::to_string),
                Ok(format!("/system.slice/{unit}"))
            );
        }
    }

    #[test]
    fn names_that_are_no_units_are_refused() {
        let long = format!("{}.slice", "a".repeat(250));
        for (unit, error) in [
            ("", InvalidCgroup::Neither(".slice")),
            ("a", InvalidCgroup::Neither(".slice")),
            ("a/b", InvalidCgroup::Neither(".slice")),
            ("a.service", InvalidCgroup::Neither(".slice")),
            (".slice", InvalidCgroup::Name),
            ("a/b.slice", InvalidCgroup::Name),
            ("ä.slice", InvalidCgroup::Name),
            ("a b.slice", InvalidCgroup::Name),
            (" a.slice", InvalidCgroup::Name),
            (long.as_str(), InvalidCgroup::Name),
            ("-.slice", InvalidCgroup::Root),
            ("-a.slice", InvalidCgroup::Dashes),
            ("a-.slice", InvalidCgroup::Dashes),
            ("a--b.slice", InvalidCgroup::Dashes),
            ("--.slice", InvalidCgroup::Dashes),
            ("a@b.slice", InvalidCgroup::Instance),
            ("_a.slice", InvalidCgroup::Renamed),
            ("..slice", InvalidCgroup::Renamed),
            ("cpu.slice", InvalidCgroup::Renamed),
            ("cpu-a.slice", InvalidCgroup::Renamed),
            ("cgroup.a.slice", InvalidCgroup::Renamed),
        ] {
            assert_eq!(CgroupPath::of_slice(unit), Err(error), "{unit}");
        }
        for (unit, error) in [
            ("a.socket", InvalidCgroup::Neither(".service or .slice")),
            (".service", InvalidCgroup::Name),
            ("a/b.service", InvalidCgroup::Name),
            ("a@.service", InvalidCgroup::Instance),
            ("a@b.service", InvalidCgroup::Instance),
            ("memory.service", InvalidCgroup::Renamed),
        ] {
            assert_eq!(CgroupPath::of_unit(unit), Err(error), "{unit}");
        }
    }

    #[test]
    fn paths_are_taken_as_they_are_or_refused() {
        let longest = format!("/{}", "a".repeat(255));
        for path in ["/a", "/a/b.service", "/a b", "/ä", "/...", "/a@b", &longest] {
            for read in [CgroupPath::of_slice, CgroupPath::of_unit] {
                assert_eq!(read(path).as_ref().map(CgroupPath::as_str), Ok(path));
            }
        }
        let long = format!("{longest}a");
        for path in [
            "//", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/a\nb", "/\0", &long,
        ] {
            for read in [CgroupPath::of_slice, CgroupPath::of_unit] {
                assert_eq!(read(path), Err(InvalidCgroup::Path), "{path:?}");
            }
        }
        assert_eq!(CgroupPath::of_slice("/"), Err(InvalidCgroup::Root));
        assert_eq!(CgroupPath::of_unit("/"), Err(InvalidCgroup::Root));
    }

    #[test]
    fn a_cgroup_holds_itself_and_what_lies_below() {
        let path = |text| CgroupPath::of_unit(text).unwrap();
        for (outer, inner, holds) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/a/b/c", true),
            ("/a", "/ab", false),
            ("/a", "/a.b", false),
            ("/a/b", "/a", false),
            ("/a", "/b/a", false),
        ] {
            assert_eq!(path(outer).holds(&path(inner)), holds, "{outer} {inner}");
        }
    }

    proptest! {
        #[test]
        fn accepted_paths_are_absolute_normalised_and_not_the_root(
            text in r"(/|[a-c.@_ \\/-]{0,6}|cpu|\.\.|[\x00-\x{ff}]){0,5}(\.slice|\.service|/)?"
        ) {
            for read in [CgroupPath::of_slice, CgroupPath::of_unit] {
                if let Ok(path) = read(&text) {
                    let mut parts = path.as_str().split('/');
                    prop_assert_eq!(parts.next(), Some(""), "not absolute: {}", path);
                    let parts: Vec<&str> = parts.collect();
                    prop_assert!(!parts.is_empty());
                    for part in parts {
                        prop_assert!(!matches!(part, "" | "." | ".."), "{path}");
                    }
                    prop_assert!(path.holds(&path));
                    // Read as a path, it is the same cgroup.
                    prop_assert_eq!(CgroupPath::of_slice(path.as_str()), Ok(path));
                }
            }
        }
    }
}
