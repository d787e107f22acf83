//! What a valid `[guard]` yields.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use gateway_config::{
    Config, ConfigError, Guard, GuardException, GuardLocal, GuardMode, Origin, load_guard,
};

use crate::support::{Directory, MINIMAL};

/// What is mandatory.
const LEAST: &str = r#"[guard]
mode = "enforce"
[[guard.local]]
address = "*:3939"
service = "rstudio-connect.service"
"#;

fn guard(text: &str) -> Guard {
    let directory = Directory::new();
    try_guard(&directory, text).expect(text)
}

fn try_guard(directory: &Directory, text: &str) -> Result<Guard, ConfigError> {
    directory.write("guard.toml", text);
    load_guard(&directory.path("guard.toml"))
}

#[test]
fn a_minimal_guard_has_safe_defaults() {
    let directory = Directory::new();
    let guard = try_guard(&directory, LEAST).unwrap();
    let place = |line, key: &str| Origin {
        file: directory.path("guard.toml"),
        line,
        key: key.to_owned(),
    };
    let local = GuardLocal {
        address: None,
        port: NonZeroU16::new(3939).unwrap(),
        service: guard.locals[0].service.clone(),
        uid: None,
        run_as: Vec::new(),
        namespace: None,
        reserve: true,
        allow_from: Vec::new(),
        origin: place(4, "guard.local[0].address"),
    };
    let expected = Guard {
        mode: GuardMode::Enforce,
        required: true,
        slice: guard.slice.clone(),
        socket: PathBuf::from("/run/connect-gateway/guard.sock"),
        metrics: (
            SocketAddr::from(([127, 0, 0, 1], 9146)),
            place(1, "guard.metrics"),
        ),
        pins: PathBuf::from("/sys/fs/bpf/connect-gateway"),
        override_file: PathBuf::from("/var/lib/connect-gateway/guard-override.json"),
        allow_unproven_kernel: false,
        statistics: false,
        locals: vec![local],
        remotes: Vec::new(),
        exceptions: Vec::new(),
    };
    assert_eq!(guard, expected);
    assert_eq!(guard.slice.as_str(), "/connect.slice/connect-gateway.slice");
    assert_eq!(
        guard.locals[0].service.as_str(),
        "/system.slice/rstudio-connect.service"
    );
}

#[test]
fn every_value_is_taken() {
    let directory = Directory::new();
    let guard = try_guard(
        &directory,
        r#"[guard]
mode = "audit"
required = false
slice = "/edge"
socket = "guard.sock"
metrics = "[::1]:0"
pins = "/sys/fs/bpf/x"
override_file = "state/override.json"
allow_unproven_kernel = true
statistics = true
[[guard.local]]
address = "192.0.2.7:3939"
service = "/pods/connect"
uid = 0
run_as = [997, 4294967294]
namespace = "/run/netns/connect"
reserve = false
allow_from = ["192.0.2.9", "2001:db8::/64", "::ffff:10.0.0.0/104"]
[[guard.remote]]
address = "192.0.2.10:3939"
[[guard.remote]]
address = "[::ffff:192.0.2.11]:3940"
[[guard.remote]]
address = "[2001:db8::1]:3939"
[[guard.exception]]
cgroup = "monitoring.service"
[[guard.exception]]
uid = 4294967293
"#,
    )
    .unwrap();
    assert_eq!(guard.mode, GuardMode::Audit);
    assert!(!guard.required && guard.allow_unproven_kernel && guard.statistics);
    assert_eq!(guard.slice.as_str(), "/edge");
    assert_eq!(guard.socket, directory.path("guard.sock"));
    assert_eq!(guard.metrics.0, "[::1]:0".parse().unwrap());
    assert_eq!(
        (guard.metrics.1.line, guard.metrics.1.key.as_str()),
        (6, "guard.metrics")
    );
    assert_eq!(guard.pins, Path::new("/sys/fs/bpf/x"));
    assert_eq!(guard.override_file, directory.path("state/override.json"));
    let [local] = guard.locals.as_slice() else {
        panic!("{:?}", guard.locals);
    };
    assert_eq!(local.address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(local.port.get(), 3939);
    assert_eq!(local.service.as_str(), "/pods/connect");
    assert_eq!(local.uid, Some(0));
    assert_eq!(local.run_as, [997, 4_294_967_294]);
    assert_eq!(
        local.namespace.as_deref(),
        Some(Path::new("/run/netns/connect"))
    );
    assert!(!local.reserve);
    let sources: Vec<String> = local
        .allow_from
        .iter()
        .map(|net| format!("{}/{}", net.address(), net.prefix()))
        .collect();
    assert_eq!(sources, ["192.0.2.9/32", "2001:db8::/64", "10.0.0.0/8"]);
    let remotes = ["192.0.2.10:3939", "192.0.2.11:3940", "[2001:db8::1]:3939"];
    assert_eq!(guard.remotes, remotes.map(|text| text.parse().unwrap()));
    let [GuardException::Cgroup(cgroup), GuardException::Uid(uid)] = guard.exceptions.as_slice()
    else {
        panic!("{:?}", guard.exceptions);
    };
    assert_eq!(cgroup.as_str(), "/system.slice/monitoring.service");
    assert_eq!(*uid, 4_294_967_293);
}

#[test]
fn addresses_are_of_one_form() {
    for (text, address) in [
        ("*:3939", None),
        ("0.0.0.0:3939", None),
        ("[::]:3939", None),
        ("[::ffff:0.0.0.0]:3939", None),
        ("127.0.0.1:3939", Some("127.0.0.1")),
        ("[::ffff:127.0.0.1]:3939", Some("127.0.0.1")),
        ("[::1]:3939", Some("::1")),
        ("[fe80::1]:3939", Some("fe80::1")),
    ] {
        let guard = guard(&LEAST.replace("*:3939", text));
        let expected = address.map(|address| address.parse().unwrap());
        assert_eq!(guard.locals[0].address, expected, "{text}");
        assert_eq!(guard.locals[0].port.get(), 3939, "{text}");
    }
}

#[test]
fn one_port_may_have_several_addresses() {
    let keys = "service = \"a.service\"\nuid = 0\nnamespace = \"/n\"\nreserve = false\n\
                allow_from = [\"192.0.2.7\"]\n";
    let text = format!(
        "[guard]\nmode = \"audit\"\n\
         [[guard.local]]\naddress = \"*:3939\"\n{keys}run_as = [1]\n\
         [[guard.local]]\naddress = \"127.0.0.1:3939\"\n{keys}run_as = [2]\n\
         [[guard.local]]\naddress = \"*:3940\"\nservice = \"b.service\"\n"
    );
    let guard = guard(&text);
    assert_eq!(guard.locals.len(), 3);
    assert_eq!(guard.locals[1].run_as, [2]);
}

#[test]
fn as_many_are_taken_as_the_kernel_has_places_for() {
    let mut text = "[guard]\nmode = \"audit\"\n".to_owned();
    for number in 1..=64 {
        text += &format!(
            "[[guard.local]]\naddress = \"*:{number}\"\nservice = \"a.service\"\n\
             allow_from = [{}]\n[[guard.remote]]\naddress = \"192.0.2.1:{number}\"\n",
            vec!["\"192.0.2.7\""; 16].join(", ")
        );
    }
    text += &"[[guard.exception]]\ncgroup = \"/a\"\n".repeat(8);
    let guard = guard(&text);
    assert_eq!((guard.locals.len(), guard.remotes.len()), (64, 64));
    assert_eq!(guard.exceptions.len(), 8);
    let sources = guard.locals.iter().map(|local| local.allow_from.len());
    assert_eq!(sources.sum::<usize>(), 1024);
}

#[test]
fn cgroups_beside_and_below_are_no_conflict() {
    let guard = guard(
        r#"[guard]
mode = "audit"
slice = "/connect"
[[guard.local]]
address = "*:3939"
service = "/connect-service"
[[guard.exception]]
cgroup = "/connect-service/agent"
[[guard.exception]]
cgroup = "/connect-s"
"#,
    );
    assert_eq!(guard.exceptions.len(), 2);
}

#[test]
fn remote_endpoints_alone_are_enough() {
    let text = "[guard]\nmode = \"audit\"\n[[guard.remote]]\naddress = \"192.0.2.1:1\"\n\
                [[guard.exception]]\nuid = 0\n";
    let guard = guard(text);
    assert!(guard.locals.is_empty());
    assert_eq!(guard.exceptions, [GuardException::Uid(0)]);
}

#[test]
fn the_gateway_reads_the_same_guard() {
    let directory = Directory::new();
    assert_eq!(directory.load(MINIMAL).unwrap().guard, None);
    let text = format!("{MINIMAL}{LEAST}");
    let guard = try_guard(&directory, &text).unwrap();
    assert_eq!(
        Config::load(&directory.path("guard.toml")).unwrap().guard,
        Some(guard)
    );
}

#[test]
fn the_guard_depends_on_nothing_but_its_table() {
    let directory = Directory::new();
    let broken = MINIMAL
        .replace("chain.pem", "absent.pem")
        .replace("realm", "reaml");
    let text = format!("{broken}{LEAST}");
    assert!(directory.load(&text).is_err());
    assert_eq!(try_guard(&directory, &text).unwrap().locals.len(), 1);
    // But the file must be there, be TOML, and have the table.
    let fault = |text| try_guard(&directory, text).unwrap_err().to_string();
    let file = directory.path("guard.toml").display().to_string();
    assert_eq!(
        fault(MINIMAL),
        format!("{file}: guard: missing: expected the table [guard]")
    );
    assert_eq!(
        fault("guard = 1"),
        format!("{file}:1: guard: expected a table")
    );
    let unclosed = fault("[guard]\nmode = \"audit");
    assert!(
        unclosed.starts_with(&format!("{file}:2: guard.mode: not TOML: ")),
        "{unclosed}"
    );
    let absent = directory.path("absent.toml");
    let error = load_guard(&absent).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: cannot read: ", absent.display())),
        "{error}"
    );
}
