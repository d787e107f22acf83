//! What the tests of this crate share: apps, requests, and a process that knows one user.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use wire::h1;

use crate::{
    ApiCredentials, App, Decision, Discovery, Forward, HeaderName, Identity, IdentityHeaders,
    IpNet, Kind, Lane, LaneRules, Outcome, PathPrefix, Policy, PublicUrl, Question, Realm, Reason,
    Refusal, Request, RequestId, SessionToken, Spoofed, Step, Username, WebsocketOrigins,
};

/// Parses a request head as the server would.
pub(crate) fn parse(text: &str) -> h1::Request {
    parse_bytes(text.as_bytes())
}

fn parse_bytes(bytes: &[u8]) -> h1::Request {
    match h1::parse_request(Bytes::copy_from_slice(bytes), Vec::new()) {
        Ok(request) => request,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(bytes)),
    }
}

/// An app of kind connect on listener 0 and in realm 0, with default lanes.
pub(crate) fn app(name: &str, public_url: &str) -> App {
    App {
        name: name.into(),
        kind: Kind::Connect,
        public_url: PublicUrl::parse(public_url).unwrap(),
        aliases: Box::new([]),
        listeners: Box::new([0]),
        realm: 0,
        strip_mount: false,
        max_body: None,
        identity: IdentityHeaders {
            username: HeaderName::new("X-Auth-Username").unwrap(),
        },
        lanes: LaneRules::default(),
        websocket_origins: WebsocketOrigins::default(),
    }
}

/// Every lane of every kind.
pub(crate) fn all_lanes() -> LaneRules {
    LaneRules {
        health_from: Box::new([MONITOR.parse().unwrap()]),
        api_credentials: ApiCredentials {
            bearer: true,
            bootstrap: true,
        },
        discovery: Discovery {
            deployr_login: true,
            oauth: true,
        },
        anonymous: Box::new([PathPrefix::new("/public").unwrap()]),
        strict_deploy: false,
    }
}

/// `connect.example`, `deployr.example` and `generic.example` with every lane open, mounted under
/// `/app`, and `closed.example` (connect) with the defaults; `generic.example` is in realm 1, the
/// others in realm 0.
pub(crate) fn apps() -> Vec<App> {
    let mut connect = app("connect", "https://connect.example/app/");
    connect.lanes = all_lanes();
    let mut deployr = app("deployr", "https://deployr.example/app/");
    deployr.kind = Kind::Deployr;
    deployr.strip_mount = true;
    deployr.lanes = all_lanes();
    deployr.identity.username = HeaderName::new("X-Secret-User").unwrap();
    let mut generic = app("generic", "https://generic.example/app/");
    generic.kind = Kind::Generic;
    generic.lanes = all_lanes();
    generic.realm = 1;
    let closed = app("closed", "https://closed.example/app/");
    vec![connect, deployr, generic, closed]
}

pub(crate) fn policy(apps: Vec<App>, spoofed: Spoofed) -> Policy {
    let realms = ["staff", "guests"].map(|name| Realm::new(name).unwrap());
    let proxies: Vec<IpNet> = vec![PROXY.parse().unwrap()];
    Policy::new(apps, realms.into(), spoofed, proxies)
}

/// The policy of [`apps`].
pub(crate) fn usual() -> Policy {
    policy(apps(), Spoofed::Strip)
}

/// `Authorization: Basic …`
pub(crate) fn basic(user: &str, password: &str) -> String {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}")
}

/// `Cookie: …` with the live session, under the name of a realm.
pub(crate) fn session_cookie(realm: &str) -> String {
    format!("Cookie: __Host-gateway-{realm}={}", session_text(SESSION))
}

pub(crate) fn session_text(bytes: [u8; 32]) -> String {
    String::from_utf8(SessionToken::new(bytes).encode().to_vec()).unwrap()
}

/// A process that knows `alice` with the password `right`, in every realm, and [`SESSION`] in
/// realm 0.
pub(crate) fn knows_alice(question: &Question) -> Outcome {
    let known = |session| Outcome::Known {
        identity: Arc::new(Identity {
            username: Username::new("alice").unwrap(),
        }),
        session: SessionToken::new(session),
    };
    match question {
        Question::Password { user, password, .. } if &**user == "alice" && password == "right" => {
            known([9; 32])
        }
        Question::Session { realm: 0, token } if *token == SessionToken::new(SESSION) => {
            known(SESSION)
        }
        _ => Outcome::Unknown,
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) decision: Decision,
    pub(crate) questions: Vec<Question>,
    /// The head for the back-end, parsed again, if the request was forwarded.
    pub(crate) sent: Option<h1::Request>,
}

impl Seen {
    pub(crate) fn forward(&self) -> &Forward {
        match &self.decision {
            Decision::Forward(forward) => forward,
            Decision::Respond(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) fn refusal(&self) -> &Refusal {
        match &self.decision {
            Decision::Forward(forward) => panic!("forwarded: {forward:?}"),
            Decision::Respond(refusal) => refusal,
        }
    }

    /// The lane, or why there is none.
    pub(crate) fn lane(&self) -> Result<Lane, Reason> {
        match &self.decision {
            Decision::Forward(forward) => Ok(forward.lane),
            Decision::Respond(refusal) => Err(refusal.reason),
        }
    }

    /// The values of a field that the back-end receives, whatever the case of its name.
    pub(crate) fn sent(&self, name: &str) -> Vec<&str> {
        let Some(sent) = &self.sent else {
            panic!("refused: {:?}", self.decision);
        };
        sent.head
            .fields()
            .iter()
            .filter(|line| line.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| std::str::from_utf8(line.value).unwrap())
            .collect()
    }
}

/// Sends `METHOD target` with these field lines to `host` from [`CLIENT`].
pub(crate) fn send(policy: &Policy, host: &str, line: &str, fields: &[&str]) -> Seen {
    send_from(policy, CLIENT, host, line, fields)
}

/// Likewise from a given address.
pub(crate) fn send_from(
    policy: &Policy,
    peer: &str,
    host: &str,
    line: &str,
    fields: &[&str],
) -> Seen {
    let head = head(host, line, fields);
    run(policy, peer.parse().unwrap(), &head, knows_alice)
}

/// The text of a request head.
pub(crate) fn head(host: &str, line: &str, fields: &[&str]) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n");
    for field in fields {
        text += field;
        text += "\r\n";
    }
    text + "\r\n"
}

/// Decides about a request, answers the questions, and writes what goes to the back-end.
pub(crate) fn run(
    policy: &Policy,
    peer: IpAddr,
    text: &str,
    mut process: impl FnMut(&Question) -> Outcome,
) -> Seen {
    let parsed = parse(text);
    let request = Request {
        head: &parsed.head,
        websocket: parsed.websocket,
        listener: 0,
        peer,
        sni: None,
    };
    let mut questions = Vec::new();
    let mut step = policy.decide(&request);
    let decision = loop {
        match step {
            Step::Ask(question, pending) => {
                let outcome = process(&question);
                questions.push(question);
                step = pending.resume(policy, &request, outcome);
            }
            Step::Decided(decision) => break decision,
        }
    };
    let sent = match &decision {
        Decision::Forward(forward) => {
            let mut out = BytesMut::new();
            let id = RequestId::choose(&parsed.head, "fresh-id");
            forward.write_head(policy, &request, parsed.body, id, &mut out);
            Some(parse_bytes(&out))
        }
        Decision::Respond(_) => None,
    };
    Seen {
        decision,
        questions,
        sent,
    }
}

/// Spellings of a folded name that back-ends may take for it.
pub(crate) fn spellings(folded: &[u8]) -> Vec<String> {
    let name = String::from_utf8(folded.to_vec()).unwrap();
    vec![
        name.clone(),
        name.to_uppercase(),
        name.replace('-', "_"),
        name.replace('-', "."),
        name.replace('-', "--"),
        name.replace('-', "-_.~"),
        name.replacen('-', "_", 1),
        format!("_{name}"),
        format!("{name}-"),
        format!("{name}!"),
        format!("'{}|", name.to_uppercase().replace('-', "*")),
    ]
}

/// The session that is alive in realm 0.
pub(crate) const SESSION: [u8; 32] = [1; 32];

/// The address from which health checks may come.
pub(crate) const MONITOR: &str = "192.0.2.1";

/// The address of everybody else.
pub(crate) const CLIENT: &str = "203.0.113.9";

/// A proxy whose `X-Forwarded-For` is believed.
pub(crate) const PROXY: &str = "10.0.0.1";

/// A well-formed deployment triple with its date.
pub(crate) const TRIPLE: [&str; 4] = [
    "X-Auth-Token: Tdeadbeefdeadbeefdeadbeefdeadbeef",
    "X-Auth-Signature: c2lnbmF0dXJl",
    "X-Content-Checksum: 1B2M2Y8AsgTpgAmY7PhCfg==",
    "Date: Sun, 22 Nov 2026 10:00:00 GMT",
];
