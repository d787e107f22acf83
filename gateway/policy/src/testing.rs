//! What the tests of this crate share.

use bytes::Bytes;
use wire::h1;

use crate::{App, HeaderName, IdentityHeaders, Kind, LaneRules, PublicUrl};

/// Parses a request head as the server would.
pub(crate) fn parse(text: &str) -> h1::Request {
    match h1::parse_request(Bytes::copy_from_slice(text.as_bytes()), Vec::new()) {
        Ok(request) => request,
        Err(error) => panic!("{error}: {text}"),
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
        identity: IdentityHeaders {
            username: HeaderName::new("X-Auth-Username").unwrap(),
        },
        lanes: LaneRules::default(),
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
