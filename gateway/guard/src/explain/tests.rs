use super::*;
use crate::rules::{Exception, Local, Network};

const SLICE: &str = "/connect.slice/connect-gateway.slice";
const SERVICE: &str = "/system.slice/rstudio-connect.service";

#[test]
fn the_gateway_passes_and_is_not_the_service() {
    let judge = judge();
    let gateway = process(
        "/connect.slice/connect-gateway.slice/connect-gateway.service",
        990,
    );
    assert_eq!(
        table(&judge.process(&gateway, &[Some(1)])),
        [
            "connect *:3939: passed gateway by connect4 connect6 ingress",
            "listen *:3939: refused not_service by bind4 bind6 ingress",
            "connect 192.0.2.10:443: passed gateway by connect4 connect6 egress",
        ]
    );
}

#[test]
fn hosted_content_is_refused_though_it_is_in_the_services_cgroup() {
    let judge = judge();
    let content = process("/system.slice/rstudio-connect.service", 997);
    let rulings = judge.process(&content, &[Some(1)]);
    assert_eq!(
        table(&rulings),
        [
            "connect *:3939: refused not_gateway by connect4 connect6 ingress",
            "listen *:3939: refused not_service by bind4 bind6 ingress",
            "connect 192.0.2.10:443: refused not_gateway by connect4 connect6 egress",
        ]
    );
    assert!(rulings[0].message.contains("hosted content"), "{rulings:?}");
    assert!(
        rulings[1].message.contains("user is 0, not 997"),
        "{rulings:?}"
    );

    let connect = process("/system.slice/rstudio-connect.service", 0);
    let rulings = table(&judge.process(&connect, &[Some(1)]));
    assert_eq!(
        rulings[1],
        "listen *:3939: passed service by bind4 bind6 ingress"
    );
}

/// `/connect.slice/connect-gateway.slice2` begins like the slice, and is another cgroup.
#[test]
fn a_neighbour_of_the_slice_is_not_in_it() {
    let judge = judge();
    for cgroup in [
        "/connect.slice/connect-gateway.slice2",
        "/connect.slice",
        "/",
    ] {
        let rulings = table(&judge.process(&process(cgroup, 0), &[Some(1)]));
        assert!(
            rulings[0].contains("refused not_gateway"),
            "{cgroup}: {rulings:?}"
        );
    }
}

#[test]
fn exceptions_pass_by_cgroup_and_by_user() {
    let rules = Rules {
        exceptions: vec![
            Exception::Cgroup("/monitoring.slice".into()),
            Exception::Uid(1234),
        ],
        ..rules()
    };
    let judge = Judge {
        rules: &rules,
        mode: Mode::Enforce,
    };
    for (cgroup, uid, passes) in [
        ("/monitoring.slice/probe.service", 0, true),
        ("/user.slice", 1234, true),
        ("/user.slice", 1235, false),
    ] {
        let rulings = table(&judge.process(&process(cgroup, uid), &[Some(1)]));
        for ruling in rulings
            .iter()
            .filter(|ruling| ruling.starts_with("connect"))
        {
            assert_eq!(ruling.contains("passed exception"), passes, "{ruling}");
        }
    }
}

/// The slice is worth nothing in another namespace: the packets do not come over lo.
#[test]
fn another_namespace_is_outside() {
    let listed = rules();
    let closed = Rules {
        locals: vec![Local {
            allow_from: Vec::new(),
            ..listed.locals[0].clone()
        }],
        ..rules()
    };
    for (rules, expected) in [
        (&listed, "connect *:3939: depends"),
        (&closed, "connect *:3939: refused not_listed by ingress"),
    ] {
        let judge = Judge {
            rules,
            mode: Mode::Enforce,
        };
        let gateway = process(SLICE, 990);
        let rulings = table(&judge.process(&gateway, &[Some(2)]));
        assert_eq!(rulings[0], expected);
        assert!(rulings[1].starts_with("connect 192.0.2.10:443: passed"));
        let unknown = table(&judge.process(&gateway, &[None]));
        assert!(unknown[0].contains("passed gateway"), "{unknown:?}");
    }
}

#[test]
fn addresses_are_listed_by_an_entry_or_not() {
    let judge = judge();
    let rulings = judge.address("2001:db8::7".parse().unwrap(), false);
    assert_eq!(
        table(&rulings),
        ["connect *:3939: passed listed by ingress"]
    );
    assert!(rulings[0].message.contains("2001:db8::/64"), "{rulings:?}");

    let mapped = judge.address("::ffff:192.0.2.7".parse().unwrap(), false);
    assert_eq!(table(&mapped), ["connect *:3939: passed listed by ingress"]);

    let stranger = judge.address("198.51.100.1".parse().unwrap(), false);
    assert_eq!(
        table(&stranger),
        ["connect *:3939: refused not_listed by ingress"]
    );

    let own = judge.address("192.0.2.7".parse().unwrap(), true);
    assert_eq!(table(&own), ["connect *:3939: depends"]);

    let remote = judge.address("192.0.2.10".parse().unwrap(), false);
    assert_eq!(
        table(&remote),
        [
            "connect *:3939: refused not_listed by ingress",
            "connect 192.0.2.10:443: depends"
        ]
    );
}

#[test]
fn endpoints_say_who_may_connect() {
    let judge = judge();
    let local = judge.endpoint("10.0.0.1:3939".parse().unwrap());
    assert_eq!(
        local[0].message,
        "from this host only /connect.slice/connect-gateway.slice; from outside 192.0.2.7, \
         2001:db8::/64; received only by /system.slice/rstudio-connect.service"
    );
    let remote = judge.endpoint("192.0.2.10:443".parse().unwrap());
    assert_eq!(remote[0].kind, EndpointKind::Remote);
    assert_eq!(
        remote[0].message,
        "from this host only /connect.slice/connect-gateway.slice"
    );
    assert_eq!(judge.endpoint("127.0.0.1:22".parse().unwrap()), []);
}

#[test]
fn the_mode_decides_what_a_refusal_is() {
    let rules = rules();
    for (mode, expected) in [
        (Mode::Audit, "would_refuse not_listed"),
        (Mode::Detach, "passed not_listed"),
        (Mode::Enforce, "refused not_listed"),
    ] {
        let judge = Judge {
            rules: &rules,
            mode,
        };
        let rulings = table(&judge.address("198.51.100.1".parse().unwrap(), false));
        assert!(rulings[0].contains(expected), "{rulings:?}");
    }
}

#[test]
fn what_can_be_asked_about() {
    for (text, subject) in [
        ("1", Subject::Process(1)),
        ("::1", Subject::Address("::1".parse().unwrap())),
        ("10.0.0.1", Subject::Address("10.0.0.1".parse().unwrap())),
        ("[::1]:80", Subject::Endpoint("[::1]:80".parse().unwrap())),
    ] {
        assert_eq!(text.parse(), Ok(subject));
        assert_eq!(subject.to_string(), text);
    }
    for text in [
        "",
        "-1",
        "1.2.3",
        "::1:99999:",
        "*:3939",
        "localhost",
        "99999999999",
    ] {
        assert_eq!(text.parse::<Subject>(), Err(NoSubject), "{text}");
    }
}

/// This process, looked at for real.
#[test]
fn a_process_is_looked_at() {
    let own = std::process::id();
    let found = match explain(&rules(), Mode::Audit, &Subject::Process(own)) {
        Ok(explanation) => explanation,
        Err(ExplainError::NoCgroups) => {
            eprintln!("skipped: cgroup v2 is not mounted");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let process = found.process.unwrap();
    assert_eq!(process.uid, rustix::process::getuid().as_raw());
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(
        cgroups.contains(&format!("0::{}\n", process.cgroup)),
        "{process:?}"
    );
    assert!(process.namespace.is_some());
    assert!(table(&found.rulings)[0].contains("would_refuse not_gateway"));

    // Beyond the largest process id that Linux gives (proc_sys_kernel(5)).
    let none = explain(&rules(), Mode::Audit, &Subject::Process(4_194_305));
    assert!(
        matches!(none, Err(ExplainError::Process { pid: 4_194_305, .. })),
        "{none:?}"
    );
}

#[test]
fn the_text_is_one_line_for_each_ruling() {
    let rules = rules();
    let explained = explain(&rules, Mode::Enforce, &"203.0.113.77".parse().unwrap()).unwrap();
    assert_eq!(
        explained.to_string(),
        "203.0.113.77 (mode enforce)\n\
         connect to local *:3939: refused by ingress: not_listed: no entry in allow_from holds it"
    );
    let elsewhere = explain(&rules, Mode::Detach, &"10.1.1.1:80".parse().unwrap()).unwrap();
    assert_eq!(
        elsewhere.to_string(),
        "10.1.1.1:80 (mode detach)\n\
         nothing is attached: everything passes\n\
         not protected: no endpoint is concerned"
    );
    assert_eq!(
        serde_json::to_string(&elsewhere).unwrap(),
        r#"{"what":"10.1.1.1:80","mode":"detach","process":null,"rulings":[]}"#
    );
}

#[test]
fn the_json_is_an_api() {
    let judge = judge();
    let process = process("/monitoring.slice", 3);
    let explanation = Explanation {
        what: "4242".into(),
        mode: Mode::Enforce,
        rulings: judge.process(&process, &[Some(1)]).drain(..1).collect(),
        process: Some(process),
    };
    assert_eq!(
        serde_json::to_string(&explanation).unwrap(),
        concat!(
            r#"{"what":"4242","mode":"enforce","#,
            r#""process":{"pid":4242,"uid":3,"cgroup":"/monitoring.slice","namespace":1},"#,
            r#""rulings":[{"kind":"local","endpoint":"*:3939","role":"connect","#,
            r#""action":"refused","reason":"not_gateway","#,
            r#""programs":["connect4","connect6","ingress"],"#,
            r#""message":"/monitoring.slice is not in /connect.slice/connect-gateway.slice"}]}"#,
        )
    );
}

#[test]
fn loopback_is_always_this_host() {
    assert!(is_own("127.99.0.1".parse().unwrap()));
    assert!(is_own("::1".parse().unwrap()));
    // RFC 5737: documentation only.
    assert!(!is_own("203.0.113.77".parse().unwrap()));
}

fn judge() -> Judge<'static> {
    Judge {
        rules: Box::leak(Box::new(rules())),
        mode: Mode::Enforce,
    }
}

fn rules() -> Rules {
    let network = |address: &str, prefix| Network {
        address: address.parse().unwrap(),
        prefix,
    };
    Rules {
        slice: SLICE.into(),
        locals: vec![Local {
            address: None,
            port: 3939,
            service: SERVICE.into(),
            uid: Some(0),
            namespace: None,
            reserve: true,
            allow_from: vec![network("192.0.2.7", 32), network("2001:db8::", 64)],
        }],
        remotes: vec!["192.0.2.10:443".parse().unwrap()],
        exceptions: Vec::new(),
    }
}

fn process(cgroup: &str, uid: u32) -> Process {
    Process {
        pid: 4242,
        uid,
        cgroup: cgroup.into(),
        namespace: Some(1),
    }
}

fn table(rulings: &[Ruling]) -> Vec<String> {
    rulings
        .iter()
        .map(|ruling| {
            let role = match ruling.role {
                Role::Connect => "connect",
                Role::Listen => "listen",
            };
            let decided = match (ruling.action, &ruling.reason) {
                (Some(action), Some(reason)) => format!(
                    "{} {reason} by {}",
                    action.as_str(),
                    ruling.programs.join(" ")
                ),
                _ => "depends".into(),
            };
            format!("{role} {}: {decided}", ruling.endpoint)
        })
        .collect()
}
