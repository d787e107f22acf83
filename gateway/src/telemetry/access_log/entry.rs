//! One line of the access log.

use std::net::IpAddr;

use policy::{Lane, Reason, Stripped};

use super::json::{Object, key};
use super::redact;
use crate::telemetry::Protocol;

/// What is logged about a request when it is over.
///
/// Everything that came from outside is given as it came: it is redacted, shortened and escaped
/// here. There is no room for the values of `Authorization`, cookies and signatures, and none for
/// `Referer`, which carries other pages' queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// When the request's head was complete, in microseconds since 1970.
    pub(crate) time_micros: u64,
    /// The id that the back-end was told too.
    pub(crate) request_id: &'a str,
    /// The client's address: the peer, or what a trusted proxy says of it.
    pub(crate) client: IpAddr,
    /// The listener's name.
    pub(crate) listener: &'a str,
    /// The app's name, once known.
    pub(crate) app: Option<&'a str>,
    /// The lane.
    pub(crate) lane: Lane,
    /// Why the gateway answered by itself.
    pub(crate) reason: Option<Reason>,
    /// Who: a visitor whom the gateway authenticated. Never a name that was only claimed, which
    /// may be a password in the wrong box.
    pub(crate) user: Option<&'a str>,
    /// The whole `X-Auth-Token` of [`Lane::SignedDeploy`]. The first 8 characters are logged, on
    /// that lane only.
    pub(crate) deploy_token: Option<&'a [u8]>,
    /// The method.
    pub(crate) method: &'a [u8],
    /// The authority.
    pub(crate) host: &'a [u8],
    /// The raw path.
    pub(crate) path: &'a [u8],
    /// The raw query without its `?`.
    pub(crate) query: Option<&'a [u8]>,
    /// The protocol that the client spoke.
    pub(crate) protocol: Protocol,
    /// The status sent to the client; 0 if it went away before one was sent.
    pub(crate) status: u16,
    /// Body or tunnel bytes from the client.
    pub(crate) bytes_in: u64,
    /// Body or tunnel bytes to the client.
    pub(crate) bytes_out: u64,
    /// From the complete head to the answer's last byte, or to the tunnel's end; microseconds.
    pub(crate) duration_micros: u64,
    /// From the complete head to the answer's first byte; microseconds.
    pub(crate) first_byte_micros: Option<u64>,
    /// The URL of the back-end server that was chosen, as configured.
    pub(crate) upstream: Option<&'a str>,
    /// The status that it answered.
    pub(crate) upstream_status: Option<u16>,
    /// From the choice of the server to the first byte of its answer; microseconds.
    pub(crate) upstream_micros: Option<u64>,
    /// Whether the client asked for a WebSocket.
    pub(crate) websocket: bool,
    /// The client's `User-Agent`.
    pub(crate) user_agent: Option<&'a [u8]>,
    /// What was removed from the request.
    pub(crate) stripped: Stripped,
    /// How many field lines were removed from the answer.
    pub(crate) answer_stripped: u32,
    /// What exactly failed, without secrets.
    pub(crate) error: Option<&'a str>,
}

impl Entry<'_> {
    /// Appends the line, with its line break.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let lane = self.lane.as_str().as_bytes();
        let path = redact::redact(self.path, b'/');
        let query = self.query.map(|query| redact::redact(query, b'&'));

        let mut line = Object::begin(out);
        line.time(key!("time"), self.time_micros);
        line.text(key!("request_id"), self.request_id.as_bytes(), NAME);
        line.address(key!("client"), self.client);
        line.text(key!("listener"), self.listener.as_bytes(), NAME);
        line.optional(key!("app"), self.app.map(str::as_bytes), NAME);
        line.text(key!("lane"), lane, NAME);
        line.optional(
            key!("reason"),
            self.reason.map(|reason| reason.as_str().as_bytes()),
            NAME,
        );
        line.optional(key!("user"), self.user.map(str::as_bytes), NAME);
        line.optional(key!("token_id"), self.token_id(), TOKEN_ID);
        line.text(key!("method"), self.method, METHOD);
        line.text(key!("host"), self.host, NAME);
        line.text(key!("path"), &path, TARGET);
        line.optional(key!("query"), query.as_deref(), TARGET);
        line.text(key!("protocol"), self.protocol.as_str().as_bytes(), NAME);
        line.optional_number(
            key!("status"),
            Some(self.status.into()).filter(|status| *status != 0),
        );
        line.number(key!("bytes_in"), self.bytes_in);
        line.number(key!("bytes_out"), self.bytes_out);
        line.number(key!("duration_us"), self.duration_micros);
        line.optional_number(key!("first_byte_us"), self.first_byte_micros);
        line.optional(key!("upstream"), self.upstream.map(str::as_bytes), TARGET);
        line.optional_number(key!("upstream_status"), self.upstream_status.map(u64::from));
        line.optional_number(key!("upstream_us"), self.upstream_micros);
        line.flag(key!("websocket"), self.websocket);
        line.optional(key!("user_agent"), self.user_agent, USER_AGENT);
        line.object(key!("stripped"), |stripped| {
            stripped.number(key!("owned"), self.stripped.owned.into());
            stripped.number(key!("alias"), self.stripped.aliases.into());
            stripped.number(key!("credential"), self.stripped.credentials.into());
            stripped.number(key!("answer"), self.answer_stripped.into());
        });
        line.optional(key!("error"), self.error.map(str::as_bytes), ERROR);
        line.end();
        out.push(b'\n');
    }

    fn token_id(&self) -> Option<&[u8]> {
        // A token on another lane is a credential that was not used; its like stays secret.
        self.deploy_token
            .filter(|_| self.lane == Lane::SignedDeploy)
    }
}

/// Bytes of a name that are logged: names of the configuration, hosts, users.
const NAME: usize = 256;
/// Bytes of a method that are logged.
const METHOD: usize = 32;
/// Bytes of a path, a query or a URL that are logged.
const TARGET: usize = 2048;
/// Bytes of an `X-Auth-Token` that are logged: enough to tell tokens apart.
const TOKEN_ID: usize = 8;
/// Bytes of a `User-Agent` that are logged.
const USER_AGENT: usize = 200;
/// Bytes of an error text that are logged.
const ERROR: usize = 1024;

#[cfg(test)]
mod tests;
