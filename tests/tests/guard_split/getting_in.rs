//! On Connect's host: which addresses get in from outside.

use gateway_tests::host::{End, Process};

use crate::attack::{Attack, at};
use crate::split::{Layer, Made, Side, Split};

/// The listed ones are number 0 over IPv4, and the whole network of number 0 and 1 over IPv6.
#[test]
fn only_listed_addresses_get_in() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let near = Near::of(&split);
    let peer = |number| {
        (
            split.net.v4(End::Far, number),
            split.net.v6(End::Far, number),
        )
    };
    let (listed_v4, listed_v6) = peer(0);
    let (unlisted_v4, also_v6) = peer(1);
    let (_, unlisted_v6) = peer(2);
    let mapped = |ip: &str| format!("::ffff:{ip}");
    let listed = [
        Attack::connect(&near.v4).from(&listed_v4),
        Attack::connect(&mapped(&near.v4)).from(&mapped(&listed_v4)),
        Attack::connect(&near.v6).from(&listed_v6),
        Attack::connect(&near.v6).from(&also_v6),
        Attack::connect(&near.v4)
            .from(&listed_v4)
            .with(&["--by", "fast-open-send"]),
    ];
    let unlisted = [
        Attack::connect(&near.v4).from(&unlisted_v4),
        Attack::connect(&mapped(&near.v4)).from(&mapped(&unlisted_v4)),
        Attack::connect(&near.v6).from(&unlisted_v6),
        Attack::connect(&near.other_v6).from(&unlisted_v6),
        Attack::connect(&near.v4)
            .from(&unlisted_v4)
            .with(&["--by", "fast-open-send"]),
        Attack::connect(&near.v6)
            .from(&unlisted_v6)
            .with(&["--by", "fast-open-connect"]),
    ];
    prove(&split, &listed, &unlisted);
}

/// Everybody may put these on an ordinary connection from a host of their own.
#[test]
fn headers_make_no_difference() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let near = Near::of(&split);
    let wrapped = |number| {
        let (v4, v6) = (
            split.net.v4(End::Far, number),
            split.net.v6(End::Far, number),
        );
        [
            Attack::connect(&near.v4)
                .from(&v4)
                .with(&["--header", "options"]),
            Attack::connect(&near.v6)
                .from(&v6)
                .with(&["--header", "destination-options"]),
            Attack::connect(&near.v6)
                .from(&v6)
                .with(&["--header", "hop-by-hop"]),
        ]
        .map(Attack::by_root)
    };
    // Over IPv4 number 2 is no more listed than number 1.
    prove(&split, &wrapped(0), &wrapped(2));
}

#[test]
fn fragments_make_no_difference() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let near = Near::of(&split);
    let shaped = |number| {
        let v4 = Attack::raw(&split.net.v4(End::Far, number), &near.v4);
        let v6 = Attack::raw(&split.net.v6(End::Far, number), &near.v6);
        let shaped = |attack: &Attack, shape| attack.clone().with(&["--shape", shape]);
        [
            v4.clone(),
            v6.clone(),
            shaped(&v4, "fragments"),
            shaped(&v6, "fragments"),
            shaped(&v6, "atomic-fragment"),
        ]
    };
    prove(&split, &shaped(0), &shaped(2));
}

/// More headers than the guard walks: refused, whoever sends them.
#[test]
fn too_many_headers_are_refused() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let near = Near::of(&split);
    let many = |number| {
        let source = split.net.v6(End::Far, number);
        Attack::raw(&source, &near.v6).with(&["--shape", "many-headers"])
    };
    prove(&split, &[], &[many(0), many(2)]);
}

#[test]
fn multipath_tcp_makes_no_difference() {
    if !std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
        eprintln!("skipped: this kernel has no Multipath TCP");
        return;
    }
    let Some(split) = Split::new(Side::Connect, &["--mptcp"]) else {
        return;
    };
    let near = Near::of(&split);
    let from = |number| {
        let (v4, v6) = (
            split.net.v4(End::Far, number),
            split.net.v6(End::Far, number),
        );
        [
            Attack::connect(&near.v4).from(&v4).with(&["--mptcp"]),
            Attack::connect(&near.v6).from(&v6).with(&["--mptcp"]),
        ]
    };
    prove(&split, &from(0), &from(2));
    let accepted = split.host.namespace.counter("MPTcpExt", "MPCapableSYNRX");
    assert!(accepted >= 12, "{accepted}");
}

/// A listed address counts only for what comes from outside.
#[test]
fn listed_sources_over_lo_are_refused() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let near = Near::of(&split);
    let (v4, v6) = (split.net.v4(End::Far, 0), split.net.v6(End::Far, 0));
    let attacks = [
        Attack::raw(&v4, &near.v4),
        Attack::raw(&v4, "127.0.0.1"),
        Attack::raw(&v6, &near.v6),
        Attack::raw(&v6, "::1"),
    ];
    let here = &split.host.namespace;
    // The answers must leave over the wire, so that the controls see them: those of 127.0.0.1 and
    // ::1 as well, which cannot ask for their neighbour.
    here.set("ipv4/conf/all/route_localnet", "1");
    let known = [
        Attack::connect(&near.v4).from(&v4),
        Attack::connect(&near.v6).from(&v6),
    ];
    split.all_reached(&split.run(&known.each_ref(), &split.far));
    let attacks: Vec<_> = attacks.iter().collect();
    split.all_reached(&split.run(&attacks, here));
    for layer in [Layer::All, Layer::Ingress] {
        let guard = split.guard(layer, &listed(&split));
        split.none_reached(layer, &split.run(&attacks, here));
        assert!(guard.count("ingress", "no_sender", "refused") >= 4);
        guard.stop();
    }
}

/// Hosted content, and everybody else on Connect's own host, though its addresses are listed.
#[test]
fn the_hosts_own_address_is_no_pass() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let host = &split.host;
    let near = Near::of(&split);
    let own = [
        near.v4.clone(),
        near.v6.clone(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    let attempts = || {
        let mut running = Vec::new();
        for ip in &own {
            for who in [host.hosted(), host.outsider()] {
                running.push(host.spawn(&who, &["connect", &at(ip, 3939)]));
            }
        }
        running
            .into_iter()
            .map(Process::outcome)
            .collect::<Vec<_>>()
    };
    assert!(
        attempts()
            .iter()
            .all(|outcome| outcome.answered_by("service"))
    );
    for layer in [Layer::All, Layer::Ingress] {
        let guard = split.guard(layer, &own);
        let accepted = split.service.count("accepted");
        for outcome in attempts() {
            assert!(!outcome.reached(), "{layer:?}: {outcome:?}");
        }
        let outcome = host.attempt(&host.gateway(), &["connect", &at(&near.v4, 3939)]);
        assert!(outcome.answered_by("service"), "{outcome:?}");
        assert_eq!(split.service.count("accepted"), accepted + 1, "{layer:?}");
        guard.stop();
    }
}

/// What was open before the guard came is ended, but what comes from listed addresses goes on.
#[test]
fn connections_from_before_are_cut() {
    let Some(split) = Split::new(Side::Connect, &[]) else {
        return;
    };
    let host = &split.host;
    let near = Near::of(&split);
    let hold = ["hold", &at(&near.v4, 3939)];
    let mut from_far = host.spawn_in(&split.far, &host.outsider(), &hold);
    let here = host.spawn(&host.outsider(), &hold);
    for process in [&from_far, &here] {
        process.event("connected");
    }
    let guard = split.guard(Layer::All, &listed(&split));
    here.event("ended");
    assert_eq!(from_far.ask("talk")["outcome"], "connected");
    guard.stop();
    let guard = split.guard(Layer::All, &[]);
    from_far.event("ended");
    guard.stop();
}

/// Shows that without a guard everybody gets in, that with one the listed do and the others do
/// not, and that `ingress` alone sees to that.
#[track_caller]
fn prove(split: &Split, listed: &[Attack], unlisted: &[Attack]) {
    let all: Vec<_> = listed.iter().chain(unlisted).collect();
    let (listed, unlisted): (Vec<_>, Vec<_>) = (listed.iter().collect(), unlisted.iter().collect());
    split.all_reached(&split.run(&all, &split.far));
    for layer in [Layer::All, Layer::Ingress] {
        let guard = split.guard(layer, &self::listed(split));
        let accepted = split.service.count("accepted");
        let made = split.run(&unlisted, &split.far);
        none_reached(split, layer, &made);
        split.all_reached(&split.run(&listed, &split.far));
        // They are sorted out before the handshake: the listed alone were accepted.
        let accepted = split.service.count("accepted") - accepted;
        assert_eq!(accepted, listed.len(), "{layer:?}");
        let refused = guard.refused();
        assert!(
            refused >= made.len() as u64,
            "{layer:?}: {refused} refusals"
        );
        guard.stop();
    }
    split.all_reached(&split.run(&all, &split.far));
}

/// What decides is what comes in: nobody is told by connect(2).
#[track_caller]
fn none_reached(split: &Split, layer: Layer, made: &[Made<'_>]) {
    split.none_reached(
        match layer {
            Layer::All => Layer::Ingress,
            other => other,
        },
        made,
    );
}

fn listed(split: &Split) -> [String; 2] {
    [split.net.v4(End::Far, 0), split.net.network_v6()]
}

/// The addresses of Connect's host.
struct Near {
    v4: String,
    v6: String,
    /// In the other network over IPv6.
    other_v6: String,
}

impl Near {
    fn of(split: &Split) -> Self {
        Self {
            v4: split.service_v4(),
            v6: split.service_v6(),
            other_v6: split.net.v6(End::Near, 2),
        }
    }
}
