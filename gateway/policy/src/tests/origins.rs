//! Who may open a WebSocket: protocol × lane × origin.

use wire::Authority;

use crate::testing::{app, basic, policy, send, session_cookie};
use crate::{App, Lane, LaneRules, PathPrefix, Reason, Spoofed, WebOrigin, WebsocketOrigins};

/// What `Origin` says, and whether it is one of the app's.
const ORIGINS: &[(&[&str], bool)] = &[
    (&["https://a.example"], true),
    (&["https://a.example:443"], true),
    (&["HTTPS://A.EXAMPLE"], true),
    (&["https://a.example."], true),
    (&["https://alias.example:8443"], true),
    (&["https://[2001:db8::1]"], true),
    (&["https://[2001:DB8:0::1]:443"], true),
    (&["http://a.example"], false),
    (&["http://a.example:443"], false),
    (&["wss://a.example"], false),
    (&["https://a.example:8443"], false),
    (&["https://a.example:80"], false),
    (&["https://alias.example"], false),
    (&["https://[2001:db8::2]"], false),
    (&["https://evil.example"], false),
    (&["https://a.example.evil.example"], false),
    (&["https://evila.example"], false),
    (&["https://sub.a.example"], false),
    (&["https://a.example/"], false),
    (&["https://a.example/path"], false),
    (&["https://a.example@evil.example"], false),
    (&["https://a.example, https://evil.example"], false),
    (&["https://a.example https://evil.example"], false),
    (&["null"], false),
    (&[""], false),
    (&["a.example"], false),
    (&["file://"], false),
    (&["https://a.example", "https://evil.example"], false),
    (&["https://a.example", "https://a.example"], false),
];

const HANDSHAKE: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const REFUSED: Result<Lane, Reason> = Err(Reason::OriginRefused);

fn guarded(origins: WebsocketOrigins) -> App {
    let mut app = app("a", "https://a.example/");
    app.aliases = ["alias.example:8443", "[2001:db8::1]"]
        .map(|alias| Authority::parse(alias.as_bytes()).unwrap())
        .into();
    app.lanes = LaneRules {
        anonymous: Box::new([PathPrefix::new("/public").unwrap()]),
        ..LaneRules::default()
    };
    app.websocket_origins = origins;
    app
}

/// The decision about a request with a credential and these origins.
fn ask(
    app: App,
    upgrade: bool,
    path: &str,
    credential: &str,
    origins: &[&str],
) -> Result<Lane, Reason> {
    let mut fields: Vec<String> = if upgrade { HANDSHAKE } else { &[] }
        .iter()
        .map(|line| (*line).to_owned())
        .collect();
    fields.push(credential.to_owned());
    fields.extend(origins.iter().map(|origin| format!("Origin: {origin}")));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let policy = policy(vec![app], Spoofed::Strip);
    send(&policy, "a.example", &format!("GET {path}"), &fields).lane()
}

#[test]
fn only_the_apps_own_pages_open_websockets_with_a_login() {
    let (cookie, password) = (session_cookie("staff"), basic("alice", "right"));
    for &(origins, own) in ORIGINS {
        let expected = if own { Ok(Lane::User) } else { REFUSED };
        for credential in [&cookie, &password] {
            let ask = |upgrade, path, credential: &str| {
                let app = guarded(WebsocketOrigins::default());
                ask(app, upgrade, path, credential, origins)
            };
            assert_eq!(ask(true, "/ws", credential), expected, "{origins:?}");
            // What is no handshake is CORS's business; what carries no login of a visitor's, and
            // what goes on without one, nobody's.
            assert_eq!(ask(false, "/ws", credential), Ok(Lane::User));
            assert_eq!(
                ask(true, "/ws", "Authorization: Key k"),
                Ok(Lane::ApiCredential)
            );
            assert_eq!(ask(true, "/public/ws", "X: y"), Ok(Lane::Anonymous));
            assert_eq!(ask(true, "/ws", "X: y"), Err(Reason::Unauthenticated));
        }
    }
}

#[test]
fn without_an_origin_a_password_will_do_and_a_cookie_will_not() {
    let (cookie, password) = (session_cookie("staff"), basic("alice", "right"));
    let ask = |credential| {
        let app = guarded(WebsocketOrigins::default());
        ask(app, true, "/ws", credential, &[])
    };
    assert_eq!(ask(&password), Ok(Lane::User));
    assert_eq!(ask(&cookie), REFUSED);
}

#[test]
fn any_origin_may_be_let_in() {
    let cookie = session_cookie("staff");
    for origins in ORIGINS.iter().map(|(origins, _)| *origins).chain([&[][..]]) {
        let app = guarded(WebsocketOrigins::Any);
        let lane = ask(app, true, "/ws", &cookie, origins);
        assert_eq!(lane, Ok(Lane::User), "{origins:?}");
    }
}

#[test]
fn listed_origins_are_let_in_beside_the_apps_own() {
    let cookie = session_cookie("staff");
    let and = ["https://portal.example", "http://localhost:3000"];
    for (origin, expected) in [
        ("https://portal.example", Ok(Lane::User)),
        ("https://PORTAL.example:443", Ok(Lane::User)),
        ("http://localhost:3000", Ok(Lane::User)),
        ("https://a.example", Ok(Lane::User)),
        ("http://portal.example", REFUSED),
        ("http://portal.example:443", REFUSED),
        ("https://localhost:3000", REFUSED),
        ("http://localhost", REFUSED),
        ("https://evil.example", REFUSED),
        ("null", REFUSED),
    ] {
        let and = and.map(|origin| WebOrigin::parse(origin).unwrap()).into();
        let app = guarded(WebsocketOrigins::Own { and });
        assert_eq!(
            ask(app, true, "/ws", &cookie, &[origin]),
            expected,
            "{origin}"
        );
    }
}

#[test]
fn a_refused_origin_is_told_to_a_script() {
    let (cookie, policy) = (
        session_cookie("staff"),
        policy(vec![guarded(WebsocketOrigins::default())], Spoofed::Strip),
    );
    let fields = [HANDSHAKE, &[&*cookie, "Origin: https://evil.example"]].concat();
    let seen = send(&policy, "a.example", "GET /ws", &fields);
    let refusal = seen.refusal();
    assert_eq!((refusal.lane, refusal.app), (Lane::Denied, Some(0)));
    assert_eq!(refusal.form, crate::Form::Json);
    assert_eq!(policy.reply(refusal, None).status, 403);
}
