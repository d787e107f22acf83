//! What runs inside the machines.

/// The first process of a machine that only shows that machines boot.
pub(super) const PROBE: &str = include_str!("guest/probe.sh");
/// What that one says.
pub(super) const PROBE_SAYS: &str = "vm: here";
/// The first process of a machine for tests: runs [`TESTS_AT`] and ends the machine.
pub(super) const TESTS: &str = include_str!("guest/tests.sh");
/// Where the script that starts the tests stands.
pub(super) const TESTS_AT: &str = "/run-tests";
/// The first process of a machine with a disk: puts [`PAYLOAD_AT`] there, and starts systemd.
pub(super) const SYSTEMD: &str = include_str!("guest/systemd.sh");
/// What is copied to the disk at the first boot, below its root.
pub(super) const PAYLOAD_AT: &str = "/payload";

/// Files of the payload, with their places on the disk and whether they are programs.
pub(super) const FILES: &[(&str, &str, bool)] = &[
    (
        "usr/local/bin/vm-checks",
        include_str!("guest/checks.sh"),
        true,
    ),
    (
        "usr/local/bin/vm-attacker",
        include_str!("guest/attacker.pl"),
        true,
    ),
    (
        "usr/lib/sysusers.d/vm.conf",
        "u vm-attacker - \"Whoever tries to reach Connect around the gateway\"\n",
        false,
    ),
    (
        "etc/systemd/system/vm-checks.service",
        include_str!("guest/vm-checks.service"),
        false,
    ),
    (
        "etc/systemd/system/vm-attacker.service",
        include_str!("guest/vm-attacker.service"),
        false,
    ),
    (
        "etc/systemd/system/rstudio-connect.service",
        include_str!("guest/rstudio-connect.service"),
        false,
    ),
    (
        "etc/connect-gateway/connect-gateway.toml",
        include_str!("guest/connect-gateway.toml"),
        false,
    ),
];
