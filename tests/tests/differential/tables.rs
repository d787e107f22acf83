//! The disagreements, each with its reason.

use crate::{Explained, Message, Otherwise};

pub(crate) const REQUESTS: Explained = Explained {
    refused_here: &[
        (
            "BareLineBreak",
            "RFC 9112 §2.2 lets a recipient take LF for a line end; whoever does not sees another head",
        ),
        (
            "ChunkBareLineBreak",
            "the same within a chunked body: h11 takes LF for a trailer's line end",
        ),
        (
            "ChunkExtension",
            "h11 skips control characters in extensions and trailers; we drop both, but only well-formed ones",
        ),
        (
            "ChunkSize",
            "llhttp ends a message that asks for an upgrade with its head, so that the body is never looked at; or a size that overflows others' numbers",
        ),
        ("Connect", "a gateway for applications is no tunnel"),
        (
            "ContentLength",
            "lists, repetitions and numbers from 2^63 on, which others join, drop or let overflow",
        ),
        (
            "Framing",
            "h11 prefers Transfer-Encoding to Content-Length; another prefers the other (RFC 9112 §6.1)",
        ),
        (
            "Host",
            "none, several, or one that is no authority: requests are routed by it, and it must agree with an absolute target",
        ),
        (
            "LineFold",
            "h11 joins obsolete folds; others take the second line for a field (RFC 9112 §5.2)",
        ),
        (
            "NoStartLine",
            "llhttp skips empty lines before a message (RFC 9112 §2.2 allows it); nobody we serve sends them",
        ),
        (
            "Syntax",
            "blanks that others skip or accept around names and in the lists of Connection",
        ),
        (
            "Target",
            "what no URI has, no slash at its start, a fragment: others pass it on as it is",
        ),
        (
            "TransferEncoding",
            "anything but exactly one `chunked`, and any in HTTP/1.0: others pick out what they know",
        ),
        (
            "Version",
            "others read any digits, llhttp even none (HTTP/0.9); only 1.0 and 1.1 have the framing that we know",
        ),
    ],
    refused_there: &[
        (
            "llhttp",
            "Invalid method encountered",
            "it has a list of methods; any token is one (RFC 9110 §9.1)",
        ),
        (
            "llhttp",
            "Expected space after method",
            "the same, of a method that begins like one of its list",
        ),
        (
            "llhttp",
            "Request has invalid `Transfer-Encoding`",
            "a tab behind `chunked`, which is a blank like any other (RFC 9110 §5.6.3); we write the field anew",
        ),
        (
            "llhttp",
            "Expected HTTP/2 Connection Preface",
            "it takes the method PRI for HTTP/2; with HTTP/1.1 behind it, it is a token",
        ),
        (
            "llhttp",
            "Invalid character in chunk extensions",
            "a blank after the semicolon, or a quoted value; extensions end here in any case",
        ),
    ],
    refused_by_both: &[
        (
            "illegal request line",
            "Invalid char in url query",
            "bytes from 0x80 in a query, which curl and R send as typed: they end nothing in any parser, and go on as they came",
        ),
        (
            "illegal request line",
            "Invalid method encountered",
            "the same, behind a method that llhttp does not know",
        ),
    ],
    read_otherwise: &[Otherwise {
        who: "llhttp",
        is_such: asks_for_upgrade,
        why: "it takes what follows any request for an upgrade for the other protocol; we forward `Upgrade` only with a whole WebSocket handshake, which has no body",
    }],
};

pub(crate) const ANSWERS: Explained = Explained {
    refused_here: &[
        ("BareLineBreak", "as in requests"),
        ("ChunkBareLineBreak", "as in requests"),
        ("ChunkExtension", "as in requests"),
        ("ChunkSize", "as in requests"),
        ("ContentLength", "as in requests"),
        ("Framing", "as in requests"),
        ("LineFold", "as in requests"),
        ("NoStartLine", "as in requests"),
        (
            "Status",
            "a body where none may be (1xx, 204), a status outside 100 to 599, interim answers in HTTP/1.0",
        ),
        ("Syntax", "as in requests"),
        ("TransferEncoding", "as in requests"),
        ("Upgrade", "a 101 that nobody asked for"),
        ("Version", "as in requests"),
    ],
    refused_there: &[(
        "llhttp",
        "Invalid character in chunk extensions",
        "as in requests",
    )],
    refused_by_both: &[],
    read_otherwise: &[],
};

fn asks_for_upgrade(message: &Message) -> bool {
    let has = |name: &str, part: &str| {
        message
            .fields
            .iter()
            .any(|(other, value)| other == name && value.to_ascii_lowercase().contains(part))
    };
    has("upgrade", "") && has("connection", "upgrade")
}
