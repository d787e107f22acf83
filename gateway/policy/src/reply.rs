//! The one map from a reason to an answer, for every protocol version (promise P9).

use std::borrow::Cow;

use wire::h1::HeadError;

use crate::{App, Fault, Form, RateKey, Realm, Reason};

/// An answer that the gateway itself gives. Always `Cache-Control: no-store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Fields beside framing and connection: content type, cache control, challenge, location,
    /// retry-after, CSP.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// Whether the connection must end, because its framing is in doubt.
    pub close: bool,
}

impl Reply {
    /// The answer for a reason, in the form that the client can use.
    ///
    /// `challenge` is the realm to name in `WWW-Authenticate`; it is sent with a 401 in HTML form
    /// only (a script's request must not open a browser's password prompt). `location` is where
    /// [`Reason::MountWithoutSlash`] leads.
    pub fn new(
        reason: Reason,
        form: Form,
        challenge: Option<&Realm>,
        location: Option<String>,
    ) -> Self {
        let Answer {
            status,
            title,
            text,
        } = Answer::to(reason);
        let mut fields = vec![
            ("Cache-Control", "no-store".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
        ];
        let body = match form {
            Form::Html => {
                fields.push(("Content-Type", "text/html; charset=utf-8".to_owned()));
                fields.push(("Content-Security-Policy", PAGE_POLICY.to_owned()));
                page(title, &text)
            }
            Form::Json => {
                fields.push(("Content-Type", "application/json".to_owned()));
                json(status, &text)
            }
        };
        if let (401, Form::Html, Some(realm)) = (status, form, challenge) {
            let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", realm.name());
            fields.push(("WWW-Authenticate", challenge));
        }
        if let (Reason::MountWithoutSlash, Some(location)) = (reason, location) {
            fields.push(("Location", location));
        }
        if let Some(seconds) = retry_after(reason) {
            fields.push(("Retry-After", seconds.to_string()));
        }
        Self {
            status,
            fields,
            body,
            close: must_close(reason),
        }
    }

    /// Where a request for an app's mount without its slash is sent: path-absolute, query kept.
    pub fn mount_location(app: &App, query: Option<&[u8]>) -> String {
        let mut location = format!("{}/", app.public_url.mount().as_str());
        if let Some(query) = query {
            location.push('?');
            for &byte in query {
                match byte {
                    b'!'..=b'~' => location.push(char::from(byte)),
                    // RFC 3986 §2.1. The parser lets bytes from 0x80 through in a query.
                    byte => location += &format!("%{byte:02X}"),
                }
            }
        }
        location
    }
}

/// What is said, before it takes a form.
struct Answer {
    status: u16,
    /// The title of the page.
    title: &'static str,
    /// What happened and what to do. Neither quotes nor backslashes nor markup: it stands in JSON
    /// and in HTML as it is.
    text: Cow<'static, str>,
}

impl Answer {
    fn to(reason: Reason) -> Self {
        let (status, title, text): (u16, &str, Cow<'static, str>) = match reason {
            Reason::AmbiguousPath => (
                400,
                "Bad request",
                "The path of this address can be read in two ways. Write it without encoded \
                 slashes, dot segments and control characters."
                    .into(),
            ),
            Reason::AnswerTooLarge => (
                502,
                "Answer too large",
                "The header fields of the application's answer are larger than your browser or \
                 program takes over HTTP/3."
                    .into(),
            ),
            Reason::AuthUnavailable => (
                503,
                "Login is busy",
                "The gateway cannot check logins at the moment. Try again shortly.".into(),
            ),
            Reason::BadBody(error) => (
                400,
                "Bad request",
                format!("The request body is not valid HTTP: {error}.").into(),
            ),
            // RFC 9220 §3.
            Reason::BadHead(error @ HeadError::Protocol) => (
                501,
                "Not implemented",
                format!("Of extended CONNECT, WebSocket alone is served: {error}.").into(),
            ),
            Reason::BadHead(error) => (
                400,
                "Bad request",
                format!("The request is not valid HTTP: {error}.").into(),
            ),
            Reason::BodyTimeout => (
                408,
                "Request timed out",
                "The request body stopped arriving. Send the request again.".into(),
            ),
            Reason::BodyTooLarge => (
                413,
                "Request too large",
                "The request body is larger than this address accepts.".into(),
            ),
            Reason::BodyTooSlow => (
                408,
                "Request timed out",
                "The request body arrived too slowly. Send the request again over a faster \
                 connection."
                    .into(),
            ),
            Reason::ExpectationFailed => (
                417,
                "Expectation failed",
                "The gateway meets no expectation but 100-continue. Send the request without it."
                    .into(),
            ),
            Reason::HeadTimeout => (
                408,
                "Request timed out",
                "The request did not arrive in time. Send it again.".into(),
            ),
            Reason::HeadTooLarge => (
                431,
                "Request head too large",
                "The header fields of the request are too large. Clearing the cookies of this \
                 site often helps."
                    .into(),
            ),
            Reason::MalformedDeploy => (
                400,
                "Bad request",
                "The deployment headers (X-Auth-Token, X-Auth-Signature, X-Content-Checksum, \
                 Date) are incomplete or malformed. Send all of them once, or none."
                    .into(),
            ),
            Reason::Misdirected => (
                421,
                "Misdirected request",
                "The Host of the request is not the name for which this connection was made. \
                 Open a new connection."
                    .into(),
            ),
            Reason::MountWithoutSlash => (
                307,
                "Moved",
                "The address of this application ends with a slash.".into(),
            ),
            Reason::NoMount => (
                404,
                "Not found",
                "No application is served at this address. Check the path.".into(),
            ),
            Reason::OriginRefused => (
                403,
                "Forbidden",
                "A page of another site asked for this connection with your login. Open the \
                 application at its own address."
                    .into(),
            ),
            Reason::QueueFull | Reason::QueueTimeout => (
                503,
                "Application busy",
                "The application has more requests than it can take at the moment. Try again \
                 shortly."
                    .into(),
            ),
            Reason::RateLimited { key, .. } => (429, "Too many requests", too_many(key).into()),
            Reason::RepeatedAuthorization => (
                400,
                "Bad request",
                "The request has several Authorization headers. Send one.".into(),
            ),
            Reason::SpoofedHeader => (
                400,
                "Bad request",
                "The request has a header that only the gateway may set. Send it without headers \
                 that name a user or forward an address."
                    .into(),
            ),
            Reason::TargetTooLong => (
                414,
                "Address too long",
                "The address of the request is too long. Shorten it, or send the data in a body."
                    .into(),
            ),
            Reason::TooManyFailures { .. } => (
                429,
                "Too many failed logins",
                "There were too many failed logins. Wait before you try again.".into(),
            ),
            Reason::TooManyRequests { .. } => (
                429,
                "Too many requests",
                "There were too many requests from your address. Wait before you try again.".into(),
            ),
            Reason::Unauthenticated => (
                401,
                "Login required",
                "You are not logged in. Log in with a user name and password, or send an API key."
                    .into(),
            ),
            Reason::UnknownHost => (
                421,
                "Misdirected request",
                "This gateway serves no application under the host of the request. Check the \
                 address."
                    .into(),
            ),
            Reason::Upstream(fault) => return Self::to_fault(fault),
            Reason::WrongCredential => (
                401,
                "Login failed",
                "The user name or the password is wrong. Check both and try again.".into(),
            ),
        };
        Self {
            status,
            title,
            text,
        }
    }

    /// Says what failed, but not where: back-ends are nobody's business.
    fn to_fault(fault: Fault) -> Self {
        let (status, text) = match fault {
            Fault::BadAnswer => (
                502,
                "The application sent an answer that is not valid HTTP.",
            ),
            Fault::Closed => (
                502,
                "The application closed the connection without an answer.",
            ),
            Fault::Connect | Fault::Resolve => (502, "The application cannot be reached."),
            Fault::ConnectTimeout => (504, "The application could not be reached in time."),
            Fault::Timeout => (504, "The application did not answer in time."),
            Fault::Tls => (502, "A secure connection to the application failed."),
        };
        Self {
            status,
            title: "Application unavailable",
            text: format!("{text} Try again later, or tell its administrator.").into(),
        }
    }
}

/// Whose requests were too many.
fn too_many(key: RateKey) -> &'static str {
    match key {
        RateKey::Address => {
            "There were too many requests from your address. Wait before you try again."
        }
        RateKey::Lane => {
            "The application gets too many requests of this kind. Wait before you try again."
        }
        RateKey::Token => {
            "There were too many requests with this credential. Wait before you try again."
        }
        RateKey::User => {
            "There were too many requests from your account. Wait before you try again."
        }
    }
}

/// Seconds until it is worth trying again.
fn retry_after(reason: Reason) -> Option<u32> {
    match reason {
        Reason::RateLimited { retry_after, .. }
        | Reason::TooManyFailures { retry_after }
        | Reason::TooManyRequests { retry_after } => Some(retry_after),
        Reason::AuthUnavailable | Reason::QueueFull | Reason::QueueTimeout => Some(1),
        _ => None,
    }
}

/// Whether what follows on the connection may not be the next request (RFC 9112 §9.6, §11.2).
fn must_close(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BadBody(_)
            | Reason::BadHead(_)
            | Reason::BodyTimeout
            | Reason::BodyTooLarge
            | Reason::BodyTooSlow
            | Reason::HeadTimeout
            | Reason::HeadTooLarge
            | Reason::TargetTooLong
    )
}

/// Connect's error format. `posit-sdk` needs `code` as well as `error`; 22 is what
/// Connect says to whoever is not logged in.
fn json(status: u16, text: &str) -> String {
    let code = if status == 401 { 22 } else { status };
    format!("{{\"code\":{code},\"error\":\"{text}\",\"payload\":null}}")
}

fn page(title: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n\
         <style>body {{ margin: 4rem auto; max-width: 36rem; padding: 0 1rem; \
         font: 1rem/1.5 system-ui, sans-serif; color: #222; background: #fff }}</style>\n\
         </head>\n\
         <body>\n\
         <main>\n\
         <h1>{title}</h1>\n\
         <p>{text}</p>\n\
         </main>\n\
         </body>\n\
         </html>\n"
    )
}

/// The gateway's pages run nothing, load nothing and stand in no frame.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

#[cfg(test)]
mod tests {
    use wire::h1::ChunkError;

    use super::*;
    use crate::testing::app;

    /// Every reason with its status and whether it ends the connection.
    fn reasons() -> Vec<(Reason, u16, bool)> {
        let seconds = 7;
        let mut reasons = vec![
            (Reason::AmbiguousPath, 400, false),
            (Reason::AnswerTooLarge, 502, false),
            (Reason::AuthUnavailable, 503, false),
            (Reason::BadBody(ChunkError::Size), 400, true),
            (Reason::BadHead(HeadError::Framing), 400, true),
            (Reason::BadHead(HeadError::Protocol), 501, true),
            (Reason::BadHead(HeadError::Version), 400, true),
            (Reason::BodyTimeout, 408, true),
            (Reason::BodyTooLarge, 413, true),
            (Reason::BodyTooSlow, 408, true),
            (Reason::ExpectationFailed, 417, false),
            (Reason::HeadTimeout, 408, true),
            (Reason::HeadTooLarge, 431, true),
            (Reason::MalformedDeploy, 400, false),
            (Reason::Misdirected, 421, false),
            (Reason::MountWithoutSlash, 307, false),
            (Reason::NoMount, 404, false),
            (Reason::OriginRefused, 403, false),
            (Reason::QueueFull, 503, false),
            (Reason::QueueTimeout, 503, false),
            (Reason::RepeatedAuthorization, 400, false),
            (Reason::SpoofedHeader, 400, false),
            (Reason::TargetTooLong, 414, true),
            (
                Reason::TooManyFailures {
                    retry_after: seconds,
                },
                429,
                false,
            ),
            (
                Reason::TooManyRequests {
                    retry_after: seconds,
                },
                429,
                false,
            ),
            (Reason::Unauthenticated, 401, false),
            (Reason::UnknownHost, 421, false),
            (Reason::WrongCredential, 401, false),
        ];
        for key in [
            RateKey::Address,
            RateKey::Lane,
            RateKey::Token,
            RateKey::User,
        ] {
            let retry_after = seconds;
            reasons.push((Reason::RateLimited { key, retry_after }, 429, false));
        }
        for fault in Fault::ALL {
            let slow = matches!(fault, Fault::ConnectTimeout | Fault::Timeout);
            reasons.push((Reason::Upstream(fault), if slow { 504 } else { 502 }, false));
        }
        reasons
    }

    fn field<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        let mut found = reply.fields.iter().filter(|(other, _)| *other == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    #[test]
    fn every_reason_has_its_answer_in_both_forms() {
        let realm = Realm::new("staff").unwrap();
        for (reason, status, close) in reasons() {
            for form in [Form::Html, Form::Json] {
                let location = Some("/rsc/".to_owned());
                let reply = Reply::new(reason, form, Some(&realm), location);
                assert_eq!((reply.status, reply.close), (status, close), "{reason:?}");
                assert_eq!(field(&reply, "Cache-Control"), Some("no-store"));
                assert_eq!(field(&reply, "X-Content-Type-Options"), Some("nosniff"));
                let html = form == Form::Html;
                assert_eq!(field(&reply, "Content-Security-Policy").is_some(), html);
                assert_eq!(
                    field(&reply, "WWW-Authenticate"),
                    (html && status == 401).then_some("Basic realm=\"staff\", charset=\"UTF-8\""),
                );
                let moved = (status == 307).then_some("/rsc/");
                assert_eq!(field(&reply, "Location"), moved);
                let retry = match status {
                    429 => Some("7"),
                    503 => Some("1"),
                    _ => None,
                };
                assert_eq!(field(&reply, "Retry-After"), retry);
            }
        }
    }

    #[test]
    fn texts_need_no_escaping() {
        for (reason, ..) in reasons() {
            let Answer { title, text, .. } = Answer::to(reason);
            for part in [title, &text] {
                let special =
                    |byte: u8| b"\"\\<>&".contains(&byte) || !(b' '..=b'~').contains(&byte);
                assert!(!part.bytes().any(special), "{reason:?}: {part}");
            }
        }
    }

    #[test]
    fn json_has_the_shape_that_clients_read() {
        let reply = Reply::new(Reason::Unauthenticated, Form::Json, None, None);
        assert_eq!(
            reply.body,
            "{\"code\":22,\"error\":\"You are not logged in. Log in with a user name and password, \
             or send an API key.\",\"payload\":null}"
        );
        assert_eq!(field(&reply, "Content-Type"), Some("application/json"));
        let reply = Reply::new(Reason::NoMount, Form::Json, None, None);
        assert!(
            reply
                .body
                .starts_with("{\"code\":404,\"error\":\"No application")
        );
    }

    #[test]
    fn pages_are_self_contained() {
        let reply = Reply::new(Reason::Unauthenticated, Form::Html, None, None);
        assert_eq!(
            field(&reply, "Content-Type"),
            Some("text/html; charset=utf-8")
        );
        assert!(reply.body.contains("<html lang=\"en\">"));
        assert!(reply.body.contains("<title>Login required</title>"));
        for outside in ["<script", "http:", "https:", "src=", "href="] {
            assert!(!reply.body.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_mount_is_redirected_to_itself_with_the_query() {
        let app = app("connect", "https://a.example/rsc/x/");
        for (query, expected) in [
            (None, "/rsc/x/"),
            (Some(&b""[..]), "/rsc/x/?"),
            (
                Some(b"a=b&filter=account_id:7"),
                "/rsc/x/?a=b&filter=account_id:7",
            ),
            (Some(b"u=\xc3\xa4"), "/rsc/x/?u=%C3%A4"),
            (Some(b"a\r\nb \x7f"), "/rsc/x/?a%0D%0Ab%20%7F"),
        ] {
            assert_eq!(Reply::mount_location(&app, query), expected);
        }
    }
}
