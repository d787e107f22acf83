//! What visitors do, and what must come of it.

use aws_lc_rs::digest::{SHA256, digest};
use gateway_tests::double::TEST_API_KEY;
use gateway_tests::harness::{ALICE, Answer, Client, HANDSHAKE, Random, Request};

use crate::failure::Failure;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// The lane `anonymous`, in chunks.
    Anonymous,
    /// The lane `api_credential`.
    ApiCredential,
    /// The lane `denied`.
    Denied,
    /// The lane `discovery`.
    Discovery,
    /// Lines that trickle, as server-sent events do.
    Events,
    /// The lane `health`.
    Health,
    /// Megabytes down.
    Large,
    /// The lane `signed_deploy`.
    SignedDeploy,
    /// A page.
    Small,
    /// Megabytes up, with a length.
    Upload,
    /// The same, in chunks.
    UploadChunks,
    /// A WebSocket that echoes.
    WebSocket,
}

impl Work {
    /// Any: small ones more often than large ones.
    pub(crate) fn choose(random: &mut Random) -> Self {
        match random.below(24) {
            0 => Self::Anonymous,
            1 => Self::ApiCredential,
            2 => Self::Denied,
            3 => Self::Discovery,
            4 => Self::Events,
            5 => Self::Health,
            6 | 7 => Self::Large,
            8 => Self::SignedDeploy,
            9 | 10 => Self::Upload,
            11 | 12 => Self::UploadChunks,
            13 | 14 => Self::WebSocket,
            _ => Self::Small,
        }
    }

    /// Does it. Whether the connection persists, or what was wrong.
    pub(crate) fn done(
        self,
        mount: &str,
        client: &mut Client,
        random: &mut Random,
    ) -> Result<bool, Failure> {
        let target = |path: &str| format!("{mount}{path}");
        let by_alice = |request: Request| request.by(&ALICE);
        let request = match self {
            Self::Anonymous => {
                let length = random.magnitude(16);
                let request = Request::get(&target(&format!("/chunked/{length}")));
                return pattern(&ask(client, &request)?, length);
            }
            Self::ApiCredential => Request::get(&target("/__api__/v1/user"))
                .field("Authorization", &format!("Key {TEST_API_KEY}")),
            Self::Denied => Request::get(&target("/bytes/1")),
            Self::Discovery => Request::get(&target("/__api__/server_settings")),
            Self::Events => {
                let answer = ask(client, &by_alice(Request::get(&target("/slow/3"))))?;
                has_status(200, &answer)?;
                let lines = answer.body.iter().filter(|&&byte| byte == b'\n').count();
                return is_right(lines == 3, &answer).map(|()| persists(&answer));
            }
            Self::Health => Request::get(&target("/__ping__")),
            Self::Large | Self::Small => {
                let bits = if self == Self::Large { 22 } else { 12 };
                let length = random.magnitude(bits);
                let request = by_alice(Request::get(&target(&format!("/bytes/{length}"))));
                return pattern(&ask(client, &request)?, length);
            }
            Self::SignedDeploy => Request::get(&target("/__api__/users/current")).fields(TRIPLE),
            Self::Upload | Self::UploadChunks => {
                return upload(self, &target("/sink"), client, random);
            }
            Self::WebSocket => return echo(&target("/ws"), client, random),
        };
        let answer = ask(client, &request)?;
        let expected = match self {
            // The signature is an invention: Connect refuses it, after the gateway let it pass.
            Self::Denied | Self::SignedDeploy => 401,
            _ => 200,
        };
        has_status(expected, &answer).map(|()| persists(&answer))
    }
}

fn ask(client: &mut Client, request: &Request) -> Result<Answer, Failure> {
    let sent = client.try_send(&request.bytes());
    sent.map_err(|error| Failure::io("sending", &error))?;
    read(client)
}

fn read(client: &mut Client) -> Result<Answer, Failure> {
    let answer = client.read_answer(false);
    answer.map_err(|broken| Failure::cut(&broken))
}

fn pattern(answer: &Answer, length: u64) -> Result<bool, Failure> {
    has_status(200, answer)?;
    let whole = answer.body.len() as u64 == length;
    let right = answer
        .body
        .iter()
        .zip((0..251).cycle())
        .all(|(&byte, expected)| byte == expected);
    match whole && right {
        true => Ok(persists(answer)),
        false => {
            let text = format!("{} wrong bytes look whole", answer.body.len());
            Err(Failure::Wrong(text))
        }
    }
}

fn upload(
    work: Work,
    target: &str,
    client: &mut Client,
    random: &mut Random,
) -> Result<bool, Failure> {
    let length = usize::try_from(random.magnitude(22)).unwrap();
    let first = random.number();
    let body: Vec<u8> = (0..length).map(|at| (at as u64 ^ first) as u8).collect();
    let request = Request::new("POST", target).by(&ALICE);
    let bytes = if work == Work::Upload {
        request.with_body(&body).bytes()
    } else {
        let mut bytes = request.field("Transfer-Encoding", "chunked").bytes();
        for chunk in body.chunks(256 + usize::try_from(random.magnitude(16)).unwrap()) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let sent = client.try_send(&bytes);
    // An answer that came before the end says more than that the rest was not taken.
    let answer = read(client).map_err(|failure| match &sent {
        Ok(()) => failure,
        Err(error) => Failure::io("sending", error),
    })?;
    has_status(200, &answer)?;
    let seen: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| Failure::Wrong(error.to_string()))?;
    let sum = digest(&SHA256, &body);
    let hex: String = sum
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    is_right(
        seen["length"] == length && seen["sha256"] == hex.as_str(),
        &answer,
    )?;
    Ok(persists(&answer))
}

/// Some messages, each echoed, then a close.
fn echo(target: &str, client: &mut Client, random: &mut Random) -> Result<bool, Failure> {
    let request = Request::get(target).by(&ALICE).fields(HANDSHAKE);
    let answer = ask(client, &request)?;
    has_status(101, &answer)?;
    for _ in 0..=random.below(20) {
        let length = usize::try_from(random.magnitude(7)).unwrap().min(125);
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        exchanged(client, BINARY, &payload)?;
    }
    exchanged(client, CLOSE, &1000_u16.to_be_bytes())?;
    Ok(false)
}

/// Sends a small frame (RFC 6455 §5.2), masked with nothing, and reads its echo.
fn exchanged(client: &mut Client, first: u8, payload: &[u8]) -> Result<(), Failure> {
    let length = u8::try_from(payload.len()).unwrap();
    let frame = [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat();
    let sent = client.try_send(&frame);
    sent.map_err(|error| Failure::io("sending a frame", &error))?;
    let echo = client.try_raw(2 + payload.len());
    let echo = echo.map_err(|broken| Failure::cut(&broken))?;
    match echo == [&[first, length], payload].concat() {
        true => Ok(()),
        false => Err(Failure::Wrong(format!("an echo of other bytes: {echo:?}"))),
    }
}

/// Any other may be what the gateway says of a fault.
fn has_status(status: u16, answer: &Answer) -> Result<(), Failure> {
    match answer.status == status {
        true => Ok(()),
        false => Err(Failure::of(answer)),
    }
}

/// What a whole answer with the right status must hold.
fn is_right(condition: bool, answer: &Answer) -> Result<(), Failure> {
    match condition {
        true => Ok(()),
        false => Err(Failure::Wrong(format!(
            "{}: {:.200}",
            answer.status,
            answer.text()
        ))),
    }
}

fn persists(answer: &Answer) -> bool {
    answer.field("connection") != Some("close")
}

/// Well-formed, and of no token that Connect knows.
const TRIPLE: &[(&str, &str)] = &[
    ("X-Auth-Token", "T0123456789abcdef0123456789abcdef"),
    ("X-Auth-Signature", "c2lnbmF0dXJl"),
    ("X-Content-Checksum", "1B2M2Y8AsgTpgAmY7PhCfg=="),
    ("Date", "Sun, 22 Nov 2026 10:00:00 GMT"),
];

/// FIN and the opcode.
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
