//! Metric names and their meaning; `docs/metrics.md` lists them all.

/// A metric's name and `HELP` text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

/// Declares metrics one by one, and a list of them all.
macro_rules! metrics {
    ($list:ident: $($constant:ident $name:literal $help:literal)*) => {
        $(
            pub(super) const $constant: Metric =
                Metric { name: concat!("connect_gateway_", $name), help: $help };
        )*
        pub(super) const $list: &[Metric] = &[$($constant),*];
    };
}

metrics! { COUNTERS:
    ACCEPT_FAILURES "accept_failures_total" "Attempts to accept a connection that failed."
    ACCESS_LOG_DROPPED "access_log_dropped_total" "Access-log lines that were not written."
    AUTH_FAILURES "auth_failures_total" "Failed authentications by cause."
    BYTES "bytes_total" "Body and tunnel bytes from (in) and to (out) clients."
    CONNECTIONS "connections_total" "Connections that were taken up."
    CONNECTIONS_REFUSED "connections_refused_total" "Connections that were reset at once, by what there was too little of."
    HTTP3_HANDSHAKES "http3_handshakes_total" "HTTP/3 connections whose handshake was completed."
    HTTP3_LOST_PACKETS "http3_lost_packets_total" "Packets to clients that were lost, of HTTP/3 connections that are over."
    HTTP3_RESETS "http3_resets_total" "Streams and connections that were broken off, by whom and with which code."
    HTTP3_RETRIES "http3_retries_total" "Clients that had to prove their address before a handshake."
    HTTP3_STRAYS "http3_strays_total" "Datagrams for a connection of another worker or process, which were dropped."
    HTTP3_STREAMS "http3_streams_total" "Request streams that clients opened."
    PASSWORD_HASHES "password_hashes_total" "Passwords that were hashed, right or wrong."
    PROXY_PROTOCOL_ERRORS "proxy_protocol_errors_total" "Connections closed for a PROXY protocol header, or the lack of one."
    REFUSALS "refusals_total" "Requests that the gateway answered by itself, by reason."
    REQUESTS "requests_total" "Requests that are over, by status class."
    SESSION_CUTS "session_cuts_total" "Answers of unknown length that were cut because the visitor's session ended."
    SLOW_CLIENTS "slow_clients_total" "Exchanges ended because the client sent (in) or took (out) its body too slowly."
    STRIPPED_HEADERS "stripped_headers_total" "Field lines that were removed because the gateway owns them."
    TLS_HANDSHAKE_FAILURES "tls_handshake_failures_total" "TLS handshakes with clients that failed."
    TUNNELS "tunnels_total" "WebSockets that were opened."
    TUNNELS_ENDED "tunnels_ended_total" "WebSockets that are over, by what ended them."
    UDP_DATAGRAMS "udp_datagrams_total" "Datagrams from (in) and to (out) HTTP/3 clients."
    UDP_SYSTEM_CALLS "udp_system_calls_total" "System calls that received (in) or sent (out) datagrams."
    UPSTREAM_CONNECTIONS "upstream_connections_total" "Connections to back-ends that were made (new) or used again (reused)."
    UPSTREAM_ERRORS "upstream_errors_total" "Failures of back-ends by cause, retried ones included."
}

metrics! { GAUGES:
    BUILD_INFO "build_info" "Always 1; the labels tell which build this is."
    CONNECTIONS_OPEN "connections_open" "Connections with clients that are open."
    GUARD_UP "guard_up" "1 while the guard answers and does what it was told to do."
    QUIC_STEERED "quic_steered" "1 while datagrams are brought to the worker that has their connection, 0 while the kernel chooses by the client's address."
    READY "ready" "1 while new requests are welcome, 0 while starting, draining, or without a required guard."
    SESSIONS "sessions" "Sessions that are alive."
    TUNNELS_OPEN "tunnels_open" "WebSockets that are open."
    UPSTREAM_IN_FLIGHT "upstream_in_flight" "Requests that have a slot of the pool."
    UPSTREAM_QUEUED "upstream_queued" "Requests that wait for a slot of the pool."
}

/// The only histogram; see [`super::durations`].
pub(super) const REQUEST_DURATION: Metric = Metric {
    name: "connect_gateway_request_duration_seconds",
    help: "From a request's complete head to its answer's last byte; for a WebSocket to its 101.",
};
