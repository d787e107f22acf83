//! Promises P1 and P2 for arbitrary requests.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::spoofing::assert_clean;
use crate::testing::{
    CLIENT, MONITOR, PROXY, TRIPLE, basic, head, knows_alice, run, session_cookie, usual,
};
use crate::{Decision, Lane, Outcome, Question};

/// Field lines of which requests are made up. Client-chosen values of owned names are `evil`.
fn pool() -> Vec<String> {
    let fixed = [
        "Authorization: Key k",
        "Authorization: Bearer t",
        "Authorization: Connect-Bootstrap t",
        "Authorization: Negotiate t",
        "Authorization: Basic !",
        "X-RSC-Authorization: Key k",
        "X-RSC-Authorization:",
        "X_RSC_Authorization: evil",
        "X-Auth-Token: anonymous-access",
        "X-Auth-Token: Tshort",
        "X_Auth_Token: evil",
        "X-Auth-Username: evil",
        "x_auth.username: evil",
        "X-Secret-User: evil",
        "Remote-User: evil",
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-User: evil",
        "X-RSC-Request: https://evil/",
        "Forwarded: for=evil",
        "X-Real-IP: evil",
        "X-Correlation-Id: id-1",
        "X.Correlation.Id: evil",
        "Connection: X-Auth-Username, X-Forwarded-For, Authorization, X-Auth-Token, Cookie",
        "Cookie: a=1; __Host-gateway-staff=evil",
        "Cookie: __HOST-gateway-guests=evil; b=2",
        "Cookie: =__Host-gateway-staff=evil; c=3",
        "Date_: evil",
        "Transfer_Encoding: evil",
        "Accept: text/html",
        "User-Agent: x",
        "Trailer: X-Auth-Username",
    ];
    let mut pool: Vec<String> = fixed.map(str::to_owned).into();
    pool.extend(TRIPLE.map(str::to_owned));
    pool.extend(TRIPLE.map(str::to_owned));
    pool.extend([
        basic("alice", "right"),
        basic("alice", "wrong"),
        session_cookie("staff"),
        session_cookie("guests"),
    ]);
    pool
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_back_end_gets_one_kind_of_credential_and_no_client_chosen_name(
        fields in subsequence(pool(), 0..=9).prop_shuffle(),
        method in select(&["GET", "HEAD", "POST", "DELETE", "PUT"][..]),
        path in select(&PATHS[..]),
        host in select(&HOSTS[..]),
        peer in select(&[CLIENT, MONITOR, PROXY][..]),
        process in 0..4_u8,
    ) {
        let policy = usual();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let text = head(host, &format!("{method} {path}"), &fields);
        let mut known = false;
        let seen = run(&policy, peer.parse().unwrap(), &text, |question: &Question| {
            let outcome = match process {
                0 => Outcome::Unknown,
                1 => Outcome::Unavailable,
                2 => Outcome::Limited { retry_after: 1 },
                _ => knows_alice(question),
            };
            known |= matches!(outcome, Outcome::Known { .. });
            outcome
        });
        prop_assert!(seen.questions.len() <= 1);
        let forward = match &seen.decision {
            Decision::Forward(forward) => forward,
            Decision::Respond(refusal) => {
                let reply = policy.reply(refusal, None);
                prop_assert!(reply.status >= 300);
                prop_assert_eq!(refusal.lane, Lane::Denied);
                prop_assert!(!reply.body.contains("evil"));
                return Ok(());
            }
        };
        assert_clean(&seen, host, &text);
        prop_assert!(forward.identity.is_none() || known);
        prop_assert!(forward.lane != Lane::Denied);

        let credentials = ["Authorization", "X-RSC-Authorization", "X-Auth-Token", "X-Auth-Signature", "X-Content-Checksum"];
        let sent: Vec<&str> = credentials.iter().flat_map(|name| seen.sent(name)).collect();
        match forward.lane {
            Lane::SignedDeploy => prop_assert_eq!(sent.len(), 3),
            Lane::ApiCredential => prop_assert!(!sent.is_empty()),
            Lane::Discovery => prop_assert!(sent.iter().all(|value| *value == "anonymous-access")),
            _ => prop_assert!(sent.is_empty(), "{:?}", sent),
        }
        prop_assert!(!sent.iter().any(|value| value.starts_with("Basic")));
        prop_assert!(host != "generic.example" || sent.is_empty());
        for cookie in seen.sent("Cookie") {
            prop_assert!(!cookie.to_ascii_lowercase().contains("__host-gateway-"), "{}", cookie);
        }

        let target = if host == "deployr.example" { &path["/app".len()..] } else { path };
        let line = seen.sent.as_ref().unwrap();
        let (raw_path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        prop_assert_eq!(line.head.path(), raw_path.as_bytes());
        prop_assert_eq!(line.head.query(), query);
        prop_assert_eq!(line.head.method_bytes(), method.as_bytes());
        prop_assert_eq!(line.head.authority(), host.as_bytes());
    }
}

const PATHS: [&str; 24] = [
    "/app/",
    "/app",
    "/",
    "/app/x",
    "/app/x?y=/app/public/",
    "/app/__ping__",
    "/app/__api__/server_settings",
    "/app/__api__/tokens",
    "/app/__api__/x?filter=a:1",
    "/app/__api__/v1/experimental/bootstrap",
    "/app/__api__//x",
    "/app/%5f_api__/x",
    "/app/.well-known/oauth-authorization-server",
    "/app/oauth/v1/token",
    "/app/oauth/v1/device/code",
    "/app/login",
    "/app/login/refreshToken",
    "/app/public",
    "/app/public/x",
    "/app/public/%2e%2e/x",
    "/app/public/a%2fb",
    "/app/content/a;b//c",
    "/app/content/../__api__/x",
    "/app/x%00",
];

const HOSTS: [&str; 4] = [
    "connect.example",
    "deployr.example",
    "generic.example",
    "closed.example",
];
