use super::*;

/// Fields, their order and their spelling.
#[test]
fn the_json_is_an_api() {
    let expected = include_str!("expected.json");
    let actual = serde_json::to_string_pretty(&status()).unwrap();
    assert!(actual == expected.trim_end(), "actual:\n{actual}");
    assert_eq!(serde_json::from_str::<Status>(expected).unwrap(), status());
}

#[test]
fn the_text_names_everything_that_is_not_as_it_should_be() {
    let expected = include_str!("expected.txt");
    let actual = status().to_string();
    assert!(actual == expected.trim_end(), "actual:\n{actual}");
}

#[test]
fn what_is_whole_is_said_in_few_lines() {
    let text = Status {
        state: State::Enforcing,
        r#override: None,
        mode: Mode::Enforce,
        slice: Slice {
            present: true,
            ..status().slice
        },
        endpoints: status().endpoints.into_iter().skip(1).collect(),
        links: Vec::new(),
        findings: Vec::new(),
        verdicts: Vec::new(),
        events_lost: 0,
        suppressed_log_lines: 0,
        reattached: 0,
        destroyed_sockets: 0,
        steering: None,
        ..status()
    }
    .to_string();
    assert_eq!(
        text,
        "enforcing: mode enforce, as configured\n\
         version 0.1.0, process 4242, kernel 6.18.0, object sha256 abc\n\
         slice /connect.slice/connect-gateway.slice\n\
         remote 192.0.2.10:443"
    );
}

/// Whoever reads no further than the first line must see it.
#[test]
fn a_part_of_the_programs_is_no_whole() {
    let status = Status {
        findings: vec![Found {
            name: "incomplete".into(),
            severity: Severity::Warning,
            message: "only connect4".into(),
        }],
        ..status()
    };
    let text = status.to_string();
    let first = text.lines().next().unwrap();
    assert!(first.ends_with("; NOT WITH ALL PROGRAMS"), "{first}");
}

#[test]
fn the_state_follows_from_mode_links_slice_and_faults() {
    let whole = Facts {
        mode: Mode::Enforce,
        attached: true,
        slice_present: true,
        fault: false,
    };
    for (facts, state) in [
        (whole, State::Enforcing),
        (
            Facts {
                mode: Mode::Audit,
                ..whole
            },
            State::Auditing,
        ),
        (
            Facts {
                attached: false,
                ..whole
            },
            State::Degraded,
        ),
        (
            Facts {
                slice_present: false,
                ..whole
            },
            State::Degraded,
        ),
        (
            Facts {
                fault: true,
                mode: Mode::Audit,
                ..whole
            },
            State::Degraded,
        ),
        (
            Facts {
                mode: Mode::Detach,
                attached: false,
                slice_present: false,
                fault: false,
            },
            State::Detached,
        ),
        // It should be detached, and something is in the way of that.
        (
            Facts {
                mode: Mode::Detach,
                fault: true,
                ..whole
            },
            State::Degraded,
        ),
    ] {
        assert_eq!(State::of(&facts), state, "{facts:?}");
    }
}

/// A status with something of everything.
pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        object_sha256: Some("abc".into()),
        pid: 4242,
        kernel: "6.18.0".into(),
        state: State::Degraded,
        mode: Mode::Audit,
        configured_mode: Mode::Enforce,
        r#override: Some(Override {
            mode: Mode::Audit,
            since_unix: 1_795_000_000,
        }),
        slice: Slice {
            path: "/connect.slice/connect-gateway.slice".into(),
            present: false,
        },
        endpoints: vec![
            Endpoint {
                kind: EndpointKind::Local,
                address: "*:3939".into(),
                service: Some("/system.slice/rstudio-connect.service".into()),
                service_present: Some(false),
                uid: Some(0),
                allow_from: vec!["192.0.2.7".into(), "2001:db8::/64".into()],
            },
            Endpoint {
                kind: EndpointKind::Remote,
                address: "192.0.2.10:443".into(),
                service: None,
                service_present: None,
                uid: None,
                allow_from: Vec::new(),
            },
        ],
        links: vec![
            Link {
                program: "connect4".into(),
                attached: true,
                program_id: 101,
                runs: 7,
                run_time_ns: 1_500_000_000,
            },
            Link {
                program: "ingress".into(),
                attached: false,
                program_id: 102,
                runs: 0,
                run_time_ns: 0,
            },
        ],
        findings: vec![Found {
            name: "override_unreadable".into(),
            severity: Severity::Warning,
            message: "somebody else could have written it".into(),
        }],
        verdicts: vec![
            Verdict {
                program: "connect4".into(),
                reason: "gateway".into(),
                action: Action::Passed,
                count: 5,
            },
            Verdict {
                program: "ingress".into(),
                reason: "not_gateway".into(),
                action: Action::WouldRefuse,
                count: 3,
            },
        ],
        events_lost: 1,
        suppressed_log_lines: 2,
        reattached: 3,
        destroyed_sockets: 4,
        steering: Some(Steering {
            addresses: vec![SteeredAddress {
                address: "[::]:443".into(),
                newest: 8,
                generations: vec![
                    SteeredGeneration {
                        generation: 8,
                        workers: 4,
                        open: 4,
                    },
                    SteeredGeneration {
                        generation: 7,
                        workers: 2,
                        open: 1,
                    },
                ],
            }],
            datagrams: vec![
                Datagrams {
                    to: "home".into(),
                    count: 1000,
                },
                Datagrams {
                    to: "spread".into(),
                    count: 0,
                },
            ],
            program_id: 103,
            runs: 10,
            run_time_ns: 1000,
        }),
    }
}

/// A service that knows nothing of steering can be understood.
#[test]
fn an_older_services_status_is_read() {
    let mut json = serde_json::to_value(status()).unwrap();
    json.as_object_mut().unwrap().remove("steering").unwrap();
    let read: Status = serde_json::from_value(json).unwrap();
    let expected = Status {
        steering: None,
        ..status()
    };
    assert_eq!(read, expected);
}
