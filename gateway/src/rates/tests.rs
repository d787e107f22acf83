use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policy::{Identity, Kept, Stripped, Username};
use wire::h1::parse_request;

use super::*;

#[test]
fn each_key_has_its_own_quota() {
    let alice = [("X", "1")];
    for (key, one, same, other) in [
        (
            RateKey::Address,
            request(Lane::User, "192.0.2.1", "alice", &alice),
            request(Lane::Anonymous, "::ffff:192.0.2.1", "", &alice),
            request(Lane::User, "192.0.2.2", "alice", &alice),
        ),
        (
            RateKey::Address,
            request(Lane::User, "2001:db8::1", "alice", &alice),
            request(Lane::User, "2001:db8::ffff", "bob", &alice),
            request(Lane::User, "2001:db8:0:1::1", "alice", &alice),
        ),
        (
            RateKey::User,
            request(Lane::User, "192.0.2.1", "alice", &alice),
            request(Lane::User, "192.0.2.2", "alice", &alice),
            request(Lane::User, "192.0.2.1", "bob", &alice),
        ),
        (
            RateKey::Lane,
            request(Lane::User, "192.0.2.1", "alice", &alice),
            request(Lane::User, "192.0.2.2", "bob", &alice),
            request(Lane::Anonymous, "192.0.2.1", "", &alice),
        ),
        (
            RateKey::Token,
            request(
                Lane::ApiCredential,
                "192.0.2.1",
                "",
                &[("Authorization", "Key a")],
            ),
            request(
                Lane::ApiCredential,
                "192.0.2.2",
                "",
                &[("Authorization", "Key a")],
            ),
            request(
                Lane::ApiCredential,
                "192.0.2.1",
                "",
                &[("Authorization", "Key b")],
            ),
        ),
        (
            RateKey::Token,
            request(
                Lane::SignedDeploy,
                "192.0.2.1",
                "",
                &[("X-Auth-Token", "Ta")],
            ),
            request(
                Lane::SignedDeploy,
                "192.0.2.2",
                "",
                &[("X-Auth-Token", "Ta")],
            ),
            request(
                Lane::SignedDeploy,
                "192.0.2.1",
                "",
                &[("X-Auth-Token", "Tb")],
            ),
        ),
    ] {
        let rates = rates(&[(key, 1, &ALL)]);
        assert_eq!(charge(&rates, &one, 0), Ok(()), "{key:?}");
        let limited = Limited {
            key,
            retry_after: 60,
        };
        assert_eq!(charge(&rates, &same, 0), Err(limited));
        assert_eq!(charge(&rates, &other, 0), Ok(()), "{key:?}");
        assert_eq!(charge(&rates, &same, 59).map_err(|l| l.retry_after), Err(1));
        assert_eq!(charge(&rates, &same, 60), Ok(()));
    }
}

#[test]
fn a_token_is_one_key_however_it_is_sent() {
    let spellings: [&[(&str, &str)]; 8] = [
        &[("Authorization", "Key a")],
        &[("Authorization", "kEY a")],
        &[("Authorization", "Key   a")],
        &[("Authorization", "Key \t a")],
        &[("X-RSC-Authorization", "Key a")],
        &[("X-RSC-Authorization", "a")],
        &[("Authorization", "Key a"), ("X-RSC-Authorization", "a")],
        &[("X-RSC-Authorization", "key a"), ("Authorization", "Key a")],
    ];
    for first in spellings {
        for second in spellings {
            let rates = rates(&[(RateKey::Token, 2, &ALL)]);
            let request = |fields| request(Lane::ApiCredential, "192.0.2.1", "", fields);
            // Twice in one request it is charged once.
            assert_eq!(charge(&rates, &request(first), 0), Ok(()), "{first:?}");
            assert_eq!(charge(&rates, &request(second), 0), Ok(()), "{second:?}");
            let third = charge(&rates, &request(second), 0);
            assert!(third.is_err(), "{first:?} {second:?}");
            let other = request(&[("Authorization", "Key A")]);
            assert_eq!(charge(&rates, &other, 0), Ok(()));
        }
    }
}

#[test]
fn a_request_without_the_key_does_not_count() {
    for (key, request) in [
        (
            RateKey::User,
            request(Lane::Anonymous, "192.0.2.1", "", &[]),
        ),
        (
            RateKey::Token,
            request(Lane::ApiCredential, "192.0.2.1", "", &[]),
        ),
        // What its lane does not use is no credential.
        (
            RateKey::Token,
            request(
                Lane::User,
                "192.0.2.1",
                "alice",
                &[("Authorization", "Key a")],
            ),
        ),
    ] {
        let rates = rates(&[(key, 1, &ALL)]);
        for _ in 0..3 {
            assert_eq!(charge(&rates, &request, 0), Ok(()), "{key:?}");
        }
    }
}

#[test]
fn only_listed_lanes_count() {
    let rates = rates(&[(RateKey::Address, 1, &[Lane::User])]);
    let counted = request(Lane::User, "192.0.2.1", "alice", &[]);
    let free = request(Lane::Anonymous, "192.0.2.1", "", &[]);
    assert_eq!(charge(&rates, &counted, 0), Ok(()));
    for _ in 0..3 {
        assert_eq!(charge(&rates, &free, 0), Ok(()));
    }
    assert!(charge(&rates, &counted, 0).is_err());
}

#[test]
fn a_worthless_credential_hides_none() {
    let rates = rates(&[(RateKey::Token, 1, &ALL)]);
    let with = |junk| {
        let lines = [("Authorization", junk), ("X-RSC-Authorization", "Key real")];
        request(Lane::ApiCredential, "192.0.2.1", "", &lines)
    };
    assert_eq!(charge(&rates, &with("Key junk1"), 0), Ok(()));
    assert!(charge(&rates, &with("Key junk2"), 0).is_err());
}

#[test]
fn what_one_rate_refuses_costs_nothing_at_the_others() {
    let rates = rates(&[(RateKey::Address, 2, &ALL), (RateKey::User, 1, &ALL)]);
    let alice = request(Lane::User, "192.0.2.1", "alice", &[]);
    let bob = request(Lane::User, "192.0.2.1", "bob", &[]);
    let carol = request(Lane::User, "192.0.2.1", "carol", &[]);
    assert_eq!(charge(&rates, &alice, 0), Ok(()));
    for _ in 0..5 {
        assert_eq!(charge(&rates, &alice, 0).unwrap_err().key, RateKey::User);
    }
    assert_eq!(charge(&rates, &bob, 0), Ok(()));
    assert_eq!(charge(&rates, &carol, 0).unwrap_err().key, RateKey::Address);
}

#[test]
fn a_burst_is_what_may_come_at_once() {
    let config = config::Rate {
        key: RateKey::Lane,
        per_minute: 60,
        burst: 2,
        lanes: ALL.to_vec(),
    };
    let rates = Rates::new(&[config]);
    let one = request(Lane::User, "192.0.2.1", "alice", &[]);
    assert_eq!(charge(&rates, &one, 0), Ok(()));
    assert_eq!(charge(&rates, &one, 0), Ok(()));
    assert_eq!(charge(&rates, &one, 0).unwrap_err().retry_after, 1);
    assert_eq!(charge(&rates, &one, 1), Ok(()));
    assert!(charge(&rates, &one, 1).is_err());
}

#[test]
fn no_secret_is_kept() {
    let rates = rates(&[(RateKey::Token, 5, &ALL), (RateKey::User, 5, &ALL)]);
    let lines = [("Authorization", "Key topsecret")];
    let one = request(Lane::ApiCredential, "192.0.2.1", "", &lines);
    assert_eq!(charge(&rates, &one, 0), Ok(()));
    assert!(!format!("{rates:?}").contains("topsecret"));
}

fn rates(rates: &[(RateKey, u32, &[Lane])]) -> Rates {
    let rates: Vec<_> = rates
        .iter()
        .map(|(key, per_minute, lanes)| config::Rate {
            key: *key,
            per_minute: *per_minute,
            burst: *per_minute,
            lanes: lanes.to_vec(),
        })
        .collect();
    Rates::new(&rates)
}

fn charge(rates: &Rates, request: &(Forward, Head), seconds: u64) -> Result<(), Limited> {
    let now = Moment::default().plus(Duration::from_secs(seconds));
    rates.charge_at(&request.0, &request.1, now)
}

/// A request that policy lets through with all its fields; nobody's if `user` is empty.
fn request(lane: Lane, client: &str, user: &str, lines: &[(&str, &str)]) -> (Forward, Head) {
    let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    for (name, value) in lines {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let head = parse_request(Bytes::from(head), Vec::new()).unwrap().head;
    let mut kept = Kept::default();
    (0..head.fields().len()).for_each(|index| kept.insert(index));
    let identity = (!user.is_empty()).then(|| {
        Arc::new(Identity {
            username: Username::new(user).unwrap(),
        })
    });
    let forward = Forward {
        app: 0,
        lane,
        identity,
        client: client.parse().unwrap(),
        kept,
        cookie: None,
        websocket: false,
        body_limit: None,
        session: None,
        set_session: None,
        stripped: Stripped::default(),
    };
    (forward, head)
}

const ALL: [Lane; 7] = Lane::ALL;
