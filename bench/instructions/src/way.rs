//! The stages, in the order of a request.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use policy::{
    App, Decision, Forward, HeaderName, Identity, IdentityHeaders, KeptAnswer, Kind, LaneRules,
    Outcome, Policy, PublicUrl, Question, Realm, RequestId, SessionToken, Spoofed, Step, Username,
    WebsocketOrigins,
};
use record::{Received, Session, room_for};
use wire::Field;
use wire::h1::{
    Answer, AnswerBody, HeadEnd, Request, parse_answer, parse_request, push_field, push_status_line,
};

use crate::ends::{OneKey, ends};
use crate::messages::{ANSWER, ANSWER_BODY, DEPLOY, page};

/// A client's connection, its back-end's, and what a worker keeps from one request to the next.
///
/// A stage gives `None` where the request would go no further; none of these does.
#[derive(Debug)]
pub struct Way {
    policy: Policy,
    visitor: Arc<Identity>,
    client: Session<OneKey>,
    session: Session<OneKey>,
    /// From the client, and not opened.
    received: BytesMut,
    /// From the back-end, and not parsed.
    answered: BytesMut,
    tables: Vec<Vec<Field>>,
    /// Sealed bytes on their way to the client.
    sealed: Vec<u8>,
}

/// Who comes, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// rsconnect uploads a bundle and has signed it.
    SignedDeploy,
    /// A visitor with a session opens a page.
    User,
}

impl Visit {
    /// The request's head.
    fn head(self) -> Vec<u8> {
        match self {
            Self::SignedDeploy => DEPLOY.to_vec(),
            Self::User => page(SessionToken::new(SESSION)),
        }
    }
}

impl Way {
    /// One that a few requests have taken already.
    pub fn trodden() -> Option<Self> {
        let (client, session) = ends().ok()?;
        let mut way = Self {
            policy: policy()?,
            visitor: Arc::new(Identity {
                username: Username::new("alice").ok()?,
            }),
            client,
            session,
            received: BytesMut::new(),
            answered: BytesMut::new(),
            tables: Vec::new(),
            sealed: vec![0; room_for(4)],
        };
        for visit in [Visit::User, Visit::SignedDeploy, Visit::User] {
            way.arrive(&visit.head())?;
            let mut sent = BytesMut::from(way.whole()?);
            way.client.open(&mut sent).ok()?;
        }
        Some(way)
    }

    /// Has a visit's request arrive in one record, and the back-end's answer.
    pub fn visit(mut self, visit: Visit) -> Option<Self> {
        self.arrive(&visit.head())?;
        Some(self)
    }

    /// Has a record with so many bytes of payload arrive.
    pub fn upload(mut self, length: usize) -> Option<Self> {
        self.arrive(&vec![b'x'; length])?;
        Some(self)
    }

    /// Record in: opens what has arrived, where it lies.
    pub fn record_in(&mut self) -> Option<BytesMut> {
        match self.session.open(&mut self.received) {
            Ok(Received::Data(data)) => Some(data),
            Ok(Received::Closed | Received::NeedMore(_)) | Err(_) => None,
        }
    }

    /// Parse: finds the end of the head, and takes it off `data`.
    pub fn parse(&mut self, data: &mut BytesMut) -> Option<Request> {
        let length = HeadEnd::default().find(data).ok()??;
        parse_request(data.split_to(length).freeze(), self.table()).ok()
    }

    /// Decide: with the answer to the question, if there is one, at hand.
    pub fn decide(&self, request: &Request) -> Option<Forward> {
        let seen = seen(request);
        let mut step = self.policy.decide(&seen);
        loop {
            match step {
                Step::Ask(question, pending) => {
                    step = pending.resume(&self.policy, &seen, self.outcome(&question));
                }
                Step::Decided(Decision::Forward(forward)) => return Some(forward),
                Step::Decided(Decision::Respond(_)) => return None,
            }
        }
    }

    /// Emit, upwards: the head for the back-end.
    pub fn emit_request(&self, request: &Request, forward: &Forward) -> Bytes {
        let mut head = BytesMut::with_capacity(REQUEST_HEAD);
        let id = RequestId::choose(&request.head, REQUEST_ID);
        forward.write_head(&self.policy, &seen(request), request.body, id, &mut head);
        head.freeze()
    }

    /// Parse, on the way back: the head of the back-end's answer.
    pub fn parse_answer(&mut self, request: &Request) -> Option<Answer> {
        let length = HeadEnd::default().find(&self.answered).ok()??;
        let head = self.answered.split_to(length).freeze();
        parse_answer(head, self.table(), request.head.method(), request.websocket).ok()
    }

    /// Emit, downwards: the answer's head for the client.
    pub fn emit_answer(&self, forward: &Forward, answer: &Answer) -> Bytes {
        let mut head = BytesMut::with_capacity(ANSWER_HEAD);
        push_status_line(&mut head, answer.head.status(), answer.head.reason());
        KeptAnswer::of(&answer.head).write_fields(&answer.head, &mut head);
        forward.own_fields(&self.policy, false).write(&mut head);
        if let AnswerBody::Length(length) = answer.body {
            push_field(&mut head, b"Content-Length", length.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.freeze()
    }

    /// Record out: seals all of `payload` for one write; the records.
    pub fn record_out(&mut self, payload: &mut impl Buf) -> Option<&[u8]> {
        let used = self.session.seal(payload, &mut self.sealed).ok()?;
        self.sealed.get(..used)
    }

    /// The whole request; what goes to the client.
    pub fn whole(&mut self) -> Option<&[u8]> {
        let mut data = self.record_in()?;
        let request = self.parse(&mut data)?;
        let forward = self.decide(&request)?;
        // Here it would be written to the back-end.
        black_box(self.emit_request(&request, &forward));
        let answer = self.parse_answer(&request)?;
        let head = self.emit_answer(&forward, &answer);
        self.tables.push(answer.head.recycle());
        let body = self.answered.split().freeze();
        let used = self.record_out(&mut head.chain(body))?.len();
        self.tables.push(request.head.recycle());
        self.sealed.get(..used)
    }

    /// The client seals `payload` into one record, and the back-end answers ahead of time.
    fn arrive(&mut self, payload: &[u8]) -> Option<()> {
        let used = self.client.seal(&mut &*payload, &mut self.sealed).ok()?;
        self.received = BytesMut::with_capacity(used);
        self.received.extend_from_slice(self.sealed.get(..used)?);
        self.answered = BytesMut::with_capacity(ANSWER.len() + ANSWER_BODY);
        self.answered.extend_from_slice(ANSWER);
        self.answered.resize(ANSWER.len() + ANSWER_BODY, b'x');
        Some(())
    }

    fn table(&mut self) -> Vec<Field> {
        self.tables.pop().unwrap_or_default()
    }

    /// As the process would answer: [`SESSION`] is alive.
    fn outcome(&self, question: &Question) -> Outcome {
        match question {
            Question::Session { token, .. } => Outcome::Known {
                identity: Arc::clone(&self.visitor),
                session: *token,
            },
            Question::Password { .. } => Outcome::Unknown,
        }
    }
}

/// One app, a Connect, with nothing configured that need not be.
fn policy() -> Option<Policy> {
    let app = App {
        name: "connect".into(),
        kind: Kind::Connect,
        public_url: PublicUrl::parse("https://connect.example/").ok()?,
        aliases: Box::new([]),
        listeners: Box::new([0]),
        realm: 0,
        strip_mount: false,
        max_body: None,
        identity: IdentityHeaders {
            username: HeaderName::new("X-Auth-Username").ok()?,
        },
        lanes: LaneRules::default(),
        websocket_origins: WebsocketOrigins::default(),
    };
    let realm = Realm::new("staff").ok()?;
    Some(Policy::new(
        vec![app],
        vec![realm],
        Spoofed::default(),
        Vec::new(),
    ))
}

fn seen(request: &Request) -> policy::Request<'_> {
    policy::Request {
        head: &request.head,
        websocket: request.websocket,
        listener: 0,
        peer: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        sni: Some("connect.example"),
    }
}

/// The visitor's.
const SESSION: [u8; 32] = [0x5a; 32];

const REQUEST_ID: &str = "0123456789abcdef0123";

/// As much memory as the gateway takes for a head for the back-end, and for one for the client.
const REQUEST_HEAD: usize = 2 * 1024;
const ANSWER_HEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use policy::Lane;
    use record::OVERHEAD;

    use super::*;

    fn visited(visit: Visit) -> Way {
        Way::trodden().unwrap().visit(visit).unwrap()
    }

    #[test]
    fn each_visit_takes_its_lane() {
        for (visit, lane, identity) in [
            (Visit::SignedDeploy, Lane::SignedDeploy, ""),
            (Visit::User, Lane::User, "X-Auth-Username: alice\r\n"),
        ] {
            let mut way = visited(visit);
            let mut data = way.record_in().unwrap();
            assert_eq!(data, visit.head());
            let request = way.parse(&mut data).unwrap();
            assert!(data.is_empty());
            let forward = way.decide(&request).unwrap();
            assert_eq!(forward.lane, lane);
            let head = String::from_utf8(way.emit_request(&request, &forward).to_vec()).unwrap();
            assert_eq!(head.contains("X-Auth-Username"), !identity.is_empty());
            assert!(head.contains(identity), "{head}");
            assert!(head.contains("X-RSC-Request: https://connect.example/"));
            assert!(!head.contains("__Host-gateway-"), "{head}");
        }
    }

    #[test]
    fn the_client_gets_the_whole_answer_in_one_record() {
        for visit in [Visit::SignedDeploy, Visit::User] {
            let mut way = visited(visit);
            let mut sent = BytesMut::from(way.whole().unwrap());
            let Ok(Received::Data(answer)) = way.client.open(&mut sent) else {
                panic!("no record");
            };
            assert!(sent.is_empty());
            let answer = String::from_utf8(answer.to_vec()).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("Set-Cookie: rsconnect="), "{head}");
            assert!(head.contains("Content-Length: 1024"), "{head}");
            assert_eq!(body, "x".repeat(ANSWER_BODY));
        }
    }

    #[test]
    fn records_hold_what_is_asked_for() {
        for length in [1 << 10, 1 << 14] {
            let mut way = Way::trodden().unwrap().upload(length).unwrap();
            assert_eq!(way.record_in().unwrap().len(), length);
            assert_eq!(way.record_in(), None);
            let records = way.record_out(&mut &vec![0; length][..]).unwrap();
            assert_eq!(records.len(), length + OVERHEAD);
        }
    }
}
