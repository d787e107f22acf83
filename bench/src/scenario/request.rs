//! What clients ask for.

use anyhow::{Result, bail};
use serde::Deserialize;

use super::{Credential, Logins};
use crate::order::{self, WEBSOCKET_KEY};

/// A request of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Raw")]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) credential: Credential,
    /// Bytes of body.
    pub(crate) body: u64,
    /// The status of a right answer.
    pub(crate) expect: u16,
}

/// How it asks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) enum Method {
    /// GET.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// POST.
    #[serde(rename = "POST")]
    Post,
    /// GET, with a WebSocket's handshake.
    #[serde(rename = "websocket")]
    Websocket,
}

impl Request {
    /// The fields of its head, without `Host`: one list for each time that it is asked for in turn.
    pub(crate) fn fields(&self, logins: &Logins) -> Vec<Vec<(&'static str, String)>> {
        let credentials = self.credential.fields(logins);
        let with = |credential: Vec<_>| {
            let mut fields: Vec<(&'static str, String)> = Vec::new();
            fields.extend(USUAL.iter().map(|&(name, value)| (name, value.to_owned())));
            fields.extend(credential);
            match self.method {
                Method::Get => (),
                Method::Post => fields.push(("Content-Length", self.body.to_string())),
                Method::Websocket => {
                    let upgrade = UPGRADE.iter();
                    fields.extend(upgrade.map(|&(name, value)| (name, value.to_owned())));
                }
            }
            fields
        };
        credentials.into_iter().map(with).collect()
    }

    /// As the generator sends it to a host.
    pub(crate) fn order(&self, host: &str, logins: &Logins) -> Vec<order::Request> {
        let method = match self.method {
            Method::Get | Method::Websocket => "GET",
            Method::Post => "POST",
        };
        let render = |fields: Vec<(&str, String)>| {
            let mut head = format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n", self.path);
            for (name, value) in fields {
                head.extend([name, ": ", &value, "\r\n"]);
            }
            head.push_str("\r\n");
            order::Request {
                head,
                body: self.body,
                expect: self.expect,
            }
        };
        self.fields(logins).into_iter().map(render).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    method: Method,
    path: String,
    #[serde(default)]
    credential: Credential,
    #[serde(default)]
    body: u64,
    #[serde(default = "ok")]
    expect: u16,
}

impl TryFrom<Raw> for Request {
    type Error = anyhow::Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic();
        if !raw.path.starts_with('/') || !raw.path.bytes().all(plain) {
            bail!("{:?} is no path", raw.path);
        }
        if raw.body > 0 && raw.method != Method::Post {
            bail!("a body is posted");
        }
        let expect = match raw.method {
            Method::Websocket if raw.expect == ok() => 101,
            _ => raw.expect,
        };
        Ok(Self {
            method: raw.method,
            path: raw.path,
            credential: raw.credential,
            body: raw.body,
            expect,
        })
    }
}

const fn ok() -> u16 {
    200
}

/// What a browser says with every request.
const USUAL: &[(&str, &str)] = &[
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("Accept", "*/*"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "https://localhost/content/1/"),
    ("Sec-Fetch-Dest", "empty"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Site", "same-origin"),
];
const UPGRADE: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", WEBSOCKET_KEY),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<Request, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_request_is_rendered_for_its_host() {
        let post = request("method = 'POST'\npath = '/up'\nbody = 3\ncredential = 'key'").unwrap();
        let orders = post.order("h:1", &Logins::default());
        assert_eq!(orders.len(), 1);
        let head = &orders[0].head;
        assert!(
            head.starts_with("POST /up HTTP/1.1\r\nHost: h:1\r\nUser-Agent: "),
            "{head}"
        );
        assert!(head.contains("\r\nAuthorization: Key "), "{head}");
        assert!(head.ends_with("\r\nContent-Length: 3\r\n\r\n"), "{head}");
        assert_eq!((orders[0].body, orders[0].expect), (3, 200));
    }

    #[test]
    fn a_websocket_expects_its_own_status() {
        let websocket = request("method = 'websocket'\npath = '/echo'").unwrap();
        assert_eq!(websocket.expect, 101);
    }

    #[test]
    fn many_visitors_are_many_requests() {
        let users = request("path = '/'\ncredential = 'users'").unwrap();
        let orders = users.order("h", &Logins::default());
        assert_eq!(orders.len(), 1000);
        assert_ne!(orders[0].head, orders[1].head);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in [
            "path = 'a'",
            "path = '/a b'",
            "path = '/'\nbody = 1",
            "method = 'GET'",
        ] {
            assert!(request(text).is_err(), "{text}");
        }
    }
}
