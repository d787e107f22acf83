use std::collections::BTreeSet;
use std::thread;

use policy::{Reason, Stripped};

use super::*;
use crate::telemetry::RequestRecord;

const LABELS: Labels<'_> = Labels {
    apps: &["connect", "deployr"],
    auth_causes: &["overloaded", "wrong_password"],
    listeners: &["public"],
    pools: &["connect", "deployr"],
};

/// Names, labels and values after one of everything, over two workers.
#[test]
fn the_text_is_an_api() {
    let telemetry = Telemetry::new(&LABELS);
    one_of_everything(&telemetry);
    telemetry.set_ready(true);
    telemetry.set_guard_up(true);
    telemetry.set_quic_steered(true);
    telemetry.set_sessions(|| 7);
    telemetry.set_password_hashes(|| 9);
    telemetry.access_log_lost(4);

    let text = telemetry.render();
    let expected = include_str!("expected.txt").replace("VERSION", env!("CARGO_PKG_VERSION"));
    let actual = sorted(&text).join("\n");
    assert!(actual == expected.trim_end(), "actual:\n{actual}");
    assert_eq!(
        sorted(&telemetry.render()).join("\n"),
        actual,
        "a second scrape differs"
    );
}

/// What alerts are made of exists before anything happened; nothing else does.
#[test]
fn alerts_need_no_first_failure() {
    let telemetry = Telemetry::new(&LABELS);
    let _cells = telemetry.worker(0);
    let text = telemetry.render();
    let values: Vec<_> = series(&text).collect();
    for name in [
        r#"refusals_total{reason="unauthenticated"}"#,
        r#"refusals_total{reason="upstream_tls"}"#,
        r#"upstream_errors_total{pool="deployr",cause="upstream_connect"}"#,
        r#"auth_failures_total{cause="wrong_password"}"#,
        r#"access_log_dropped_total{cause="queue_full"}"#,
        r#"tls_handshake_failures_total{listener="public"}"#,
        r#"accept_failures_total{listener="public"}"#,
        r#"proxy_protocol_errors_total{listener="public"}"#,
        r#"connections_refused_total{listener="public",reason="total"}"#,
        r#"stripped_headers_total{kind="owned"}"#,
        "ready",
    ] {
        let name = format!("connect_gateway_{name}");
        assert!(values.contains(&(&name, 0.0)), "{name} in\n{text}");
    }
    for absent in [
        "requests_total",
        "_bucket",
        "bytes_total",
        "sessions",
        "password_hashes",
        "guard_up",
        "http3",
        "quic",
        "udp",
    ] {
        let present = values.iter().any(|(name, _)| name.contains(absent));
        assert!(!present, "{absent} in\n{text}");
    }
    let running: Vec<_> = values.iter().filter(|(_, value)| *value != 0.0).collect();
    assert_eq!(running.len(), 1, "only build_info is not 0: {running:?}");
}

/// A worker's successor goes on with its cells; counters never go back.
#[test]
fn an_index_has_one_set_of_cells() {
    let telemetry = Telemetry::new(&LABELS);
    telemetry.worker(0).tunnel_opened();
    telemetry.worker(0).tunnel_opened();
    telemetry.worker(1).tunnel_opened();
    telemetry.worker(1).tunnel_ended(TunnelEnd::Closed);
    let text = telemetry.render();
    let values: Vec<_> = series(&text).collect();
    assert!(
        values.contains(&("connect_gateway_tunnels_total", 3.0)),
        "{text}"
    );
    assert!(
        values.contains(&("connect_gateway_tunnels_open", 2.0)),
        "{text}"
    );
}

/// Sums are exact when workers count and others scrape at the same time.
#[test]
fn nothing_is_lost_between_threads() {
    const EACH: u64 = 20_000;
    let telemetry = Telemetry::new(&LABELS);
    thread::scope(|scope| {
        for index in 0..4 {
            let cells = telemetry.worker(index);
            scope.spawn(move || {
                for _ in 0..EACH {
                    cells.connection_opened(0);
                    cells.request(record(Some(0), Lane::User, 200));
                    cells.connection_closed(0);
                }
            });
        }
        for _ in 0..2 {
            let telemetry = &telemetry;
            scope.spawn(move || {
                let mut last = 0.0;
                for _ in 0..50 {
                    let text = telemetry.render();
                    let count = value(&text, "connect_gateway_request_duration_seconds_count");
                    let all = value(&text, r#"user",le="+Inf"}"#);
                    assert_eq!(count, all, "{text}");
                    assert!(count.unwrap_or_default() >= last, "{text}");
                    last = count.unwrap_or_default();
                }
            });
        }
    });
    let text = telemetry.render();
    let all = (4 * EACH) as f64;
    assert_eq!(
        value(&text, r#"connections_total{listener="public"}"#),
        Some(all)
    );
    assert_eq!(
        value(&text, r#"connections_open{listener="public"}"#),
        Some(0.0)
    );
    assert_eq!(
        value(&text, r#"lane="user",status="2xx",protocol="h1"}"#),
        Some(all)
    );
    assert_eq!(
        value(&text, "connect_gateway_request_duration_seconds_count"),
        Some(all)
    );
    assert_eq!(
        value(&text, "connect_gateway_request_duration_seconds_sum"),
        Some(all / 500.0)
    );
}

/// `docs/metrics.md` lists every metric and label value, and none that does not exist.
#[test]
fn documented() {
    let docs = include_str!("../../../../docs/metrics.md");
    let metrics = names::COUNTERS
        .iter()
        .chain(names::GAUGES)
        .chain([&names::REQUEST_DURATION]);
    let guards = crate::guard_cli::metric_names();
    let real: BTreeSet<_> = metrics
        .map(|metric| metric.name)
        .chain(guards.iter().map(String::as_str))
        .collect();
    let words = docs.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let listed: BTreeSet<_> = words
        .filter(|word| word.starts_with("connect_gateway_"))
        .collect();
    assert_eq!(listed, real);

    let reasons = labels::REASONS.map(|reason| reason.as_str());
    let lanes = Lane::ALL.map(Lane::as_str);
    let kinds = StrippedKind::ALL.map(StrippedKind::as_str);
    let values = reasons
        .iter()
        .chain(&lanes)
        .chain(&kinds)
        .chain(&labels::STATUS_CLASSES);
    for value in values {
        assert!(
            docs.contains(&format!("`{value}`")),
            "docs/metrics.md lacks `{value}`"
        );
    }
}

fn one_of_everything(telemetry: &Telemetry) {
    let (first, second) = (telemetry.worker(0), telemetry.worker(1));
    first.connection_opened(0);
    second.connection_opened(0);
    second.connection_opened(0);
    second.connection_closed(0);
    second.handshake_failed(0);
    first.connection_refused(0, Full::Total);
    second.connection_refused(0, Full::Total);
    second.connection_refused(0, Full::Address);
    first.accept_failed(0);
    first.proxy_protocol_failed(0);
    second.proxy_protocol_failed(0);

    for cells in [&first, &second] {
        let http3 = cells.http3(0).expect("the listener's");
        http3.handshake();
        http3.lost(2);
        http3.retry();
        http3.stray();
        http3.stream();
        http3.reset_by_client(0x10c);
        http3.reset_by_client(0x42);
        http3.reset_by_gateway(wire::h3::Code::ExcessiveLoad);
        http3.received(3);
        http3.sent(4);
    }

    first.request(record(None, Lane::Denied, 400));
    first.request(RequestRecord {
        protocol: Protocol::H3,
        ..record(Some(0), Lane::User, 200)
    });
    first.request(record(Some(0), Lane::User, 200));
    second.request(record(Some(0), Lane::User, 204));
    second.request(record(Some(0), Lane::User, 101));
    second.request(record(Some(1), Lane::SignedDeploy, 502));
    second.request(RequestRecord {
        duration_micros: 61_000_000,
        ..record(Some(1), Lane::SignedDeploy, 0)
    });

    first.refusal(Reason::BadHead(wire::h1::HeadError::LineFold));
    first.refusal(Reason::TooManyFailures { retry_after: 60 });
    second.refusal(Reason::Upstream(Fault::Tls));
    second.upstream_fault(1, Fault::Tls);
    first.auth_failure(1);
    first.stripped(Stripped {
        owned: 3,
        aliases: 2,
        credentials: 1,
    });
    second.answer_stripped(5);
    first.upstream_connection_opened(0);
    first.upstream_connection_reused(0);
    second.upstream_connection_reused(0);
    first.upstream_entered(0);
    second.upstream_entered(0);
    second.upstream_left(0);
    first.upstream_queued(1);
    first.session_cut();
    second.session_cut();
    first.slow_client(true);
    second.slow_client(false);
    second.slow_client(false);
    first.tunnel_opened();
    second.tunnel_opened();
    second.tunnel_ended(TunnelEnd::Session);
    second.access_log_dropped(6);
}

fn record(app: Option<usize>, lane: Lane, status: u16) -> RequestRecord {
    RequestRecord {
        app,
        lane,
        protocol: Protocol::H1,
        status,
        duration_micros: 2_000,
        bytes_in: 10,
        bytes_out: 100,
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn series(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name, value.parse().expect("a number"))
    })
}

fn value(text: &str, part: &str) -> Option<f64> {
    series(text)
        .find(|(name, _)| name.contains(part))
        .map(|(_, value)| value)
}
