//! No spelling of an owned name goes through, on any lane.

use gateway_tests::harness::{ALICE, Backend, GENERIC, Request, Setup};

use crate::site::{EVIL, OWNED, Site};

#[test]
fn strip_folded_aliases() {
    let site = Site::start();
    for lane in &site.lanes() {
        for (spelling, spell) in SPELLINGS {
            let mut request = lane.request.clone();
            for name in OWNED {
                request = request.field(&spell(name), EVIL);
            }
            site.forwards_clean(lane, &request, spelling);
        }
        site.forwards_clean(lane, &lane.request, "the control");
    }
    let stripped = site.gateway.metrics().sum(
        "connect_gateway_stripped_headers_total",
        &[("kind", "owned")],
    );
    let expected = site.lanes().len() * SPELLINGS.len() * OWNED.len();
    assert_eq!(stripped, expected as f64);
}

#[test]
fn each_owned_name_alone() {
    // A table of many fields could hide a name behind another one's fate.
    let site = Site::start();
    for lane in &site.lanes() {
        let mut client = site.gateway.client_for(lane.host);
        for name in OWNED {
            for value in ["admin", "", EVIL] {
                let request = lane.request.clone().field(name, value);
                let answer = client.ask(&request).expect(200);
                lane.check(&site.backend.one(), name);
                if answer.field("connection") == Some("close") {
                    client = site.gateway.client_for(lane.host);
                }
            }
        }
    }
}

#[test]
fn duplicate_identity_emitted_once() {
    let site = Site::start();
    for lane in &site.lanes() {
        let request = lane
            .request
            .clone()
            .field("X-Auth-Username", EVIL)
            .field("x-auth-username", EVIL)
            .field("X-Auth-Username", ALICE.name)
            .field("X_Auth_Username", EVIL)
            .field("X-Auth-Username", "");
        site.forwards_clean(lane, &request, "five of them");
        // Also in front of the credential, where a reader that stops at the first would stop.
        let bytes = lane.request.bytes();
        let text = String::from_utf8(bytes).unwrap();
        let first = text.replacen("\r\n", &format!("\r\nX-Auth-Username: {EVIL}\r\n"), 1);
        let mut client = site.gateway.client_for(lane.host);
        client.send(first.as_bytes()).answer().expect(200);
        lane.check(&site.backend.one(), "as the first field");
    }
}

#[test]
fn strip_even_when_auth_omits_it() {
    // Identity fields that the gateway has nothing to say for are removed all the same.
    let site = Site::start();
    let request = Request::get("/content/1/")
        .by(&ALICE)
        .field("X-Auth-Email", EVIL)
        .field("X-Auth-Groups", EVIL)
        .field("X-Auth-RSC-Role", "administrator");
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));
    for name in ["X-Auth-Email", "X-Auth-Groups", "X-Auth-RSC-Role"] {
        assert!(received.folded(name).is_empty(), "{received:#?}");
    }
}

#[test]
fn names_of_other_apps_are_owned_too() {
    let site = Site::start();
    let sent = Request::get("/content/1/").by(&ALICE);
    let request = sent
        .field("X-Secret-User", EVIL)
        .field("x_secret_user", EVIL);
    site.gateway.ask(&request).expect(200);
    let received = site.backend.one();
    assert!(received.folded("X-Secret-User").is_empty(), "{received:#?}");
    assert_eq!(received.field("x-auth-username"), Some(ALICE.name));

    // The app whose name it is gets it, and no X-Auth-Username from anybody.
    let request = Request::get("/").by(&ALICE).field("X-Auth-Username", EVIL);
    site.gateway.ask_on(GENERIC, request).expect(200);
    let received = site.backend.one();
    assert_eq!(received.field("x-secret-user"), Some(ALICE.name));
    assert!(
        received.folded("X-Auth-Username").is_empty(),
        "{received:#?}"
    );
}

#[test]
fn spoofed_headers_can_be_refused() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "spoofed_headers = \"reject\"")
        .start();
    for name in [
        "X-Auth-Username",
        "x_auth.username",
        "X-RSC-Request",
        "X-Forwarded-Host",
    ] {
        let request = Request::get("/content/1/").by(&ALICE).field(name, EVIL);
        gateway.ask(&request).expect_json(400);
    }
    assert_eq!(backend.requests(), []);
    gateway
        .ask(&Request::get("/content/1/").by(&ALICE))
        .expect(200);
    assert_eq!(backend.one().field("x-auth-username"), Some(ALICE.name));
}

type Spell = fn(&str) -> String;

/// Spellings that some back-end takes for the name itself.
const SPELLINGS: &[(&str, Spell)] = &[
    ("as documented", str::to_owned),
    ("lower case", str::to_lowercase),
    ("upper case", str::to_uppercase),
    ("mixed case", |name| {
        let flip = |(at, c): (usize, char)| {
            if at % 2 == 0 {
                c.to_ascii_lowercase()
            } else {
                c.to_ascii_uppercase()
            }
        };
        name.chars().enumerate().map(flip).collect()
    }),
    ("underscores", |name| name.replace('-', "_")),
    ("dots", |name| name.replace('-', ".")),
    ("one underscore", |name| name.replacen('-', "_", 1)),
    ("an underscore and a dot", |name| {
        name.replacen('-', "_", 1).replacen('-', ".", 1)
    }),
    ("two dashes", |name| name.replace('-', "--")),
    ("dash and underscore", |name| name.replace('-', "-_")),
    ("other token characters", |name| name.replace('-', "'")),
    ("every token character", |name| {
        name.replace('-', "!#$%&'*+-.^_`|~")
    }),
    ("a dash in front", |name| format!("-{name}")),
    ("a dash behind", |name| format!("{name}-")),
    ("wrapped", |name| format!("~_{}_.", name.to_uppercase())),
];
