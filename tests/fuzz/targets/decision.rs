//! Whatever a client sends: the back-end's head is strict HTTP, holds no value for an owned header
//! that the client chose, the identity exactly once if there is one, and one kind of credential.
//!
//! Input: one byte for the policy and the peer, one for the outcomes of questions; then the head.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use gateway_fuzz::fixture::{self, FORGED, USER};
use gateway_fuzz::{is_own_cookie, parse_own, same_fields};
use libfuzzer_sys::fuzz_target;
use policy::{
    Decision, Forward, Identity, Kind, Lane, Outcome, OwnedNames, Policy, Reason, Request,
    RequestId, SessionToken, Spoofed, Step, Username, WebOrigin,
};
use wire::h1::parse_request;
use wire::{Fields, Folded, Name, cookie};

fuzz_target!(|data: &[u8]| {
    let [choice, outcomes, bytes @ ..] = data else {
        return;
    };
    let Ok(parsed) = parse_request(Bytes::copy_from_slice(bytes), Vec::new()) else {
        return;
    };
    if parsed.head.fields().len() > Fields::MAX - ADDED {
        // With the gateway's own there would be more than this parser reads back.
        return;
    }
    for value in parsed.head.fields().all(Name::Origin) {
        check_origin(value);
    }
    let policy: &Policy = if choice & 1 == 0 { &STRIP } else { &REJECT };
    let request = Request {
        head: &parsed.head,
        websocket: parsed.websocket,
        listener: 0,
        peer: PEERS[usize::from(choice >> 1) % PEERS.len()],
        sni: None,
    };
    let (decision, known) = decide(policy, &request, *outcomes);
    match decision {
        Decision::Forward(forward) => {
            let mut out = BytesMut::new();
            let id = RequestId::choose(request.head, "fresh-id");
            forward.write_head(policy, &request, parsed.body, id, &mut out);
            let received = parse_own(&out);
            assert_eq!(received.body, parsed.body);
            assert_eq!(received.websocket, parsed.websocket && forward.websocket);
            check_forward(policy, &request, &forward, known, &received.head);
        }
        Decision::Respond(refusal) => {
            let reply = policy.reply(&refusal, request.head.query());
            assert!((300..600).contains(&reply.status), "{reply:?}");
            assert_eq!(
                refusal.reason == Reason::MountWithoutSlash,
                reply.status < 400
            );
            for (name, value) in &reply.fields {
                assert!(!value.chars().any(char::is_control), "{name}: {value:?}");
            }
        }
    }
});

/// Answers every question as `outcomes` says, two bits each; also whether one was answered by
/// [`Outcome::Known`].
fn decide(policy: &Policy, request: &Request<'_>, mut outcomes: u8) -> (Decision, bool) {
    let mut step = policy.decide(request);
    let mut known = false;
    for _ in 0..4 {
        let pending = match step {
            Step::Ask(_, pending) => pending,
            Step::Decided(decision) => return (decision, known),
        };
        let outcome = match outcomes & 3 {
            0 => Outcome::Known {
                identity: Arc::clone(&IDENTITY),
                session: SessionToken::new([7; 32]),
            },
            1 => Outcome::Unknown,
            2 => Outcome::Limited { retry_after: 1 },
            _ => Outcome::Unavailable,
        };
        known |= matches!(outcome, Outcome::Known { .. });
        outcomes >>= 2;
        step = pending.resume(policy, request, outcome);
    }
    panic!("more questions than there are credentials");
}

fn check_forward(
    policy: &Policy,
    request: &Request<'_>,
    forward: &Forward,
    known: bool,
    received: &wire::Head,
) {
    let app = &policy.apps()[forward.app];
    let fields = received.fields();

    // The target arrives as it came, but for a mount that is removed.
    let (head, mount) = (request.head, app.public_url.mount().as_str().as_bytes());
    let path = match app.strip_mount {
        true => head
            .path()
            .strip_prefix(mount)
            .expect("the app was chosen by its mount"),
        false => head.path(),
    };
    assert_eq!(received.path(), path);
    assert_eq!(received.query(), head.query());
    assert_eq!(received.method_bytes(), head.method_bytes());

    // P1 and P2: each owned name once, and none with a value that the client chose.
    let owned = OwnedNames::new(policy.apps());
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for line in fields.iter() {
        let folded = Folded::of(line.name);
        if !owned.owns(&folded) {
            continue;
        }
        let name = folded
            .whole()
            .expect("the gateway writes no such name")
            .to_vec();
        assert!(!seen.contains(&name), "{} twice", name.escape_ascii());
        seen.push(name);
        // It repeats the target, on purpose.
        if !folded.is(b"x-rsc-request") {
            assert!(!holds(line.value, FORGED), "{}", line.value.escape_ascii());
        }
    }
    assert_eq!(forward.identity.is_some(), forward.lane == Lane::User);
    assert!(
        known || forward.identity.is_none(),
        "an identity that nobody proved"
    );
    for app in policy.apps() {
        let name = app.identity.username.as_str();
        let own = name == policy.apps()[forward.app].identity.username.as_str();
        let values = folded_values(fields, name.as_bytes());
        match own && forward.identity.is_some() {
            true => assert_eq!(values, [USER.as_bytes()]),
            false => assert!(values.is_empty(), "{name}"),
        }
    }
    let told = folded_values(fields, b"x-rsc-request");
    match app.kind {
        Kind::Connect => {
            assert_eq!(told.len(), 1);
            assert!(told[0].starts_with(app.public_url.origin().as_bytes()));
        }
        Kind::Deployr | Kind::Generic => assert!(told.is_empty()),
    }

    // One kind of credential; the gateway's own stay here.
    if forward.identity.is_some() {
        for name in CREDENTIALS {
            assert!(
                folded_values(fields, name).is_empty(),
                "{}",
                name.escape_ascii()
            );
        }
    }
    for value in fields.all(Name::Cookie) {
        assert!(cookie::pairs(value).all(|(name, _)| !is_own_cookie(name)));
    }
    assert!(forward.set_session.is_none() || forward.lane == Lane::User);
    if app.kind == Kind::Generic {
        assert!(matches!(
            forward.lane,
            Lane::Anonymous | Lane::Health | Lane::User
        ));
    }

    // A page of another origin opens no WebSocket with a visitor's login.
    if request.websocket && forward.lane == Lane::User && head.fields().contains(Name::Origin) {
        let origin = head.fields().only(Name::Origin).and_then(origin);
        let origin = origin.expect("an origin that cannot be read").to_string();
        let without_port = origin.strip_suffix(":443").unwrap_or(&origin);
        assert_eq!(without_port, app.public_url.origin());
    }

    // P3: what a signature covers arrives unchanged.
    if forward.lane == Lane::SignedDeploy {
        for name in [
            Name::XAuthToken,
            Name::XAuthSignature,
            Name::XContentChecksum,
            Name::Date,
        ] {
            assert!(fields.only(name).is_some());
            assert_eq!(fields.only(name), head.fields().only(name));
        }
    }

    // The same decision writes the same head.
    let mut again = BytesMut::new();
    let body = parse_request(head_bytes(head), Vec::new()).map(|parsed| parsed.body);
    let id = RequestId::choose(head, "fresh-id");
    forward.write_head(
        policy,
        request,
        body.expect("it was parsed before"),
        id,
        &mut again,
    );
    assert!(same_fields(parse_own(&again).head.fields(), fields));
}

/// What is accepted is the same origin once written.
fn check_origin(value: &[u8]) {
    if let Some(origin) = origin(value) {
        assert_eq!(WebOrigin::parse(&origin.to_string()), Ok(origin));
    }
}

fn origin(value: &[u8]) -> Option<WebOrigin> {
    WebOrigin::parse(str::from_utf8(value).ok()?).ok()
}

fn head_bytes(head: &wire::Head) -> Bytes {
    gateway_fuzz::emit_request(head).into()
}

/// The values of all fields whose name folds to what `name` folds to.
fn folded_values<'a>(fields: &'a Fields, name: &[u8]) -> Vec<&'a [u8]> {
    let name = Folded::of(name);
    let name = name.whole().expect("a short name");
    let lines = fields.iter().filter(|line| Folded::of(line.name).is(name));
    lines.map(|line| line.value).collect()
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    value
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

static STRIP: LazyLock<Policy> = LazyLock::new(|| fixture::policy(Spoofed::Strip));
static REJECT: LazyLock<Policy> = LazyLock::new(|| fixture::policy(Spoofed::Reject));
static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    let username = Username::new(USER).expect("a valid name");
    Arc::new(Identity { username })
});

/// A stranger, one who may ask for health, a trusted proxy.
const PEERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
    IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
];

/// At least as many fields as the gateway adds.
const ADDED: usize = 16;

const CREDENTIALS: [&[u8]; 5] = [
    b"authorization",
    b"x-auth-signature",
    b"x-auth-token",
    b"x-content-checksum",
    b"x-rsc-authorization",
];
