//! What one request leaves behind: its counts and its line in the access log.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use policy::{Identity, Lane, Reason, Stripped};
use tokio::time::Instant;
use wire::{Head, Name};

use crate::telemetry::{Entry, Protocol, RequestRecord};
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// Collects what happened to one request; [`Self::finish`] reports it, once.
#[derive(Debug)]
pub(super) struct Report<'a> {
    worker: &'a Rc<Worker>,
    protocol: Protocol,
    listener: usize,
    head: Option<&'a Head>,
    id: &'a str,
    started: Instant,
    time: SystemTime,
    lane: Lane,
    app: Option<usize>,
    client: Option<IpAddr>,
    user: Option<Arc<Identity>>,
    stripped: Stripped,
    reason: Option<Reason>,
    status: u16,
    upstream: Option<Upstream<'a>>,
    first_byte: Option<Instant>,
    bytes_in: u64,
    bytes_out: u64,
    websocket: bool,
    answer_stripped: u32,
    error: Option<Box<str>>,
}

/// The back-end's part.
#[derive(Debug)]
struct Upstream<'a> {
    url: &'a str,
    since: Instant,
    status: Option<u16>,
}

impl<'a> Report<'a> {
    /// Begins when the head is complete; `head` is missing where it was none.
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        protocol: Protocol,
        listener: usize,
        head: Option<&'a Head>,
        id: &'a str,
    ) -> Self {
        Self {
            worker,
            protocol,
            listener,
            head,
            id,
            started: Instant::now(),
            time: SystemTime::now(),
            lane: Lane::Denied,
            app: None,
            client: None,
            user: None,
            stripped: Stripped::default(),
            reason: None,
            status: NO_STATUS,
            upstream: None,
            first_byte: None,
            bytes_in: 0,
            bytes_out: 0,
            websocket: false,
            answer_stripped: 0,
            error: None,
        }
    }

    /// The request's id.
    pub(super) fn id(&self) -> &'a str {
        self.id
    }

    /// The back-end server that has the request, for the process log; empty if none has.
    pub(super) fn upstream_url(&self) -> &str {
        self.upstream.as_ref().map_or("", |upstream| upstream.url)
    }

    /// Policy's decision.
    pub(super) fn decided(
        &mut self,
        lane: Lane,
        app: Option<usize>,
        client: IpAddr,
        stripped: Stripped,
    ) {
        self.lane = lane;
        self.app = app;
        self.client = Some(client);
        self.stripped = stripped;
    }

    /// The request is a WebSocket handshake.
    pub(super) fn websocket(&mut self) {
        self.websocket = true;
    }

    /// So many lines of the answer were removed, because back-ends may not set them.
    pub(super) fn answer_stripped(&mut self, lines: u32) {
        self.answer_stripped += lines;
        self.worker.cells.answer_stripped(lines);
    }

    /// The visitor.
    pub(super) fn user(&mut self, identity: &Arc<Identity>) {
        self.user = Some(Arc::clone(identity));
    }

    /// The gateway answers by itself.
    pub(super) fn refused(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// A back-end server has the request, on a connection that was there at `since`.
    pub(super) fn upstream(&mut self, url: &'a str, since: Instant) {
        self.upstream = Some(Upstream {
            url,
            since,
            status: None,
        });
    }

    /// The status that the client gets.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// The back-end's answer begins.
    pub(super) fn begun(&mut self, status: u16) {
        self.status = status;
        self.first_byte = Some(Instant::now());
        if let Some(upstream) = &mut self.upstream {
            upstream.status = Some(status);
        }
    }

    /// Payload from the client.
    pub(super) fn received(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// Payload to the client.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// The back-end failed.
    pub(super) fn failed(&mut self, error: &UpstreamError) {
        self.error = Some(error.detail.clone());
    }

    /// The exchange broke off on the client's side, or stood still there.
    pub(super) fn broken(&mut self, why: &str) {
        self.error = Some(why.into());
    }

    /// Counts the request and writes its line.
    pub(super) fn finish(self) {
        self.finish_at(Instant::now());
    }

    /// As [`Self::finish`], at a moment that is now.
    pub(super) fn finish_at(self, now: Instant) {
        let duration_micros = micros_between(self.started, now);
        let first_byte_micros = self
            .first_byte
            .map(|first| micros_between(self.started, first));
        self.worker.cells.stripped(self.stripped);
        self.worker.cells.request(RequestRecord {
            app: self.app,
            lane: self.lane,
            protocol: self.protocol,
            status: self.status,
            // A WebSocket's life says nothing about how fast anything is.
            duration_micros: match self.status {
                101 => first_byte_micros.unwrap_or(duration_micros),
                _ => duration_micros,
            },
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        });
        let shared = &self.worker.shared;
        let field = |name| self.head.and_then(|head| head.fields().only(name));
        let apps = shared.policy.apps();
        self.worker.log(&Entry {
            time_micros: epoch_micros(self.time),
            request_id: self.id,
            client: self
                .client
                .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            listener: shared
                .listeners
                .get(self.listener)
                .map_or("", |front| &front.name),
            app: self.app.and_then(|app| apps.get(app)).map(|app| &*app.name),
            lane: self.lane,
            reason: self.reason,
            user: self
                .user
                .as_ref()
                .map(|identity| identity.username.as_str()),
            deploy_token: field(Name::XAuthToken).filter(|_| self.lane == Lane::SignedDeploy),
            method: self.head.map_or(b"", Head::method_bytes),
            host: self.head.map_or(b"", Head::authority),
            path: self.head.map_or(b"", Head::path),
            query: self.head.and_then(Head::query),
            protocol: self.protocol,
            status: self.status,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration_micros,
            first_byte_micros,
            upstream: self.upstream.as_ref().map(|upstream| upstream.url),
            upstream_status: self.upstream.as_ref().and_then(|upstream| upstream.status),
            upstream_micros: self.upstream_micros(),
            websocket: self.websocket,
            user_agent: field(Name::UserAgent),
            stripped: self.stripped,
            answer_stripped: self.answer_stripped,
            error: self.error.as_deref(),
        });
    }
}

impl Report<'_> {
    /// From a connection in hand to the answer's first byte.
    fn upstream_micros(&self) -> Option<u64> {
        Some(micros_between(
            self.upstream.as_ref()?.since,
            self.first_byte?,
        ))
    }
}

fn micros_between(start: Instant, end: Instant) -> u64 {
    u64::try_from(end.saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}

fn epoch_micros(time: SystemTime) -> u64 {
    // Before 1970 there is no log.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The client went away before an answer began.
const NO_STATUS: u16 = 0;
