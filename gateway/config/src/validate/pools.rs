//! `[[pool]]`.

use std::net::IpAddr;
use std::time::Duration;

use rustls_pki_types::{DnsName, ServerName};
use wire::Authority;

use super::all;
use super::legs::{self, Credentials, Tls};
use super::names::Names;
use crate::context::Missing;
use crate::raw::Section;
use crate::value::Text;
use crate::{Capacity, Pool, Server, ServerAddress};

pub(super) struct Pools<'a> {
    pub(super) names: Names<'a>,
    /// How many servers each pool has, by index.
    pub(super) sizes: Vec<usize>,
    pub(super) entries: Result<Vec<Pool>, Missing>,
}

pub(super) fn pools(sections: Vec<Section<'_>>) -> Pools<'_> {
    let mut names = Names::new("pool");
    let mut sizes = Vec::new();
    let sections = sections.into_iter();
    let entries = all(sections.map(|section| pool(section, &mut names, &mut sizes)));
    Pools {
        names,
        sizes,
        entries,
    }
}

fn pool<'a>(
    mut section: Section<'a>,
    names: &mut Names<'a>,
    sizes: &mut Vec<usize>,
) -> Result<Pool, Missing> {
    let name = names.read(&mut section);
    let tls = section.choice(
        "tls",
        Some(Tls::Off),
        &[
            ("off", Tls::Off),
            ("verify", Tls::Verify),
            ("mutual", Tls::Mutual),
        ],
    );
    let shared = Credentials::read(&mut section, tls);
    let servers = section.sections("server");
    sizes.push(servers.len());
    let servers = all(servers
        .into_iter()
        .map(|section| server(section, tls, &shared)));
    let in_flight = section.number("in_flight", 1024, 1..=1_000_000);
    let all_but_an_eighth = in_flight.map_or(1, |all| match all {
        0..4 => all,
        _ => all - all.div_ceil(8),
    });
    let in_flight_per_address = section.number(
        "in_flight_per_address",
        all_but_an_eighth,
        1..=in_flight.unwrap_or(1_000_000),
    );
    let queue = section.number("queue", 256, 0..=1_000_000);
    let queue_wait = section.duration(
        "queue_wait",
        Duration::from_secs(10),
        Duration::from_millis(1),
    );
    section.finish();
    Ok(Pool {
        name: name?.into(),
        servers: servers?,
        capacity: Capacity {
            in_flight: in_flight?,
            in_flight_per_address: in_flight_per_address?,
            queue: queue?,
            queue_wait: queue_wait?,
        },
    })
}

fn server(
    mut section: Section<'_>,
    tls: Result<Tls, Missing>,
    pool: &Credentials,
) -> Result<Server, Missing> {
    let url = section.text("url", URL);
    let host = url.as_ref().map_err(|missing| *missing);
    let host = host.and_then(|text| host_of(&section, text, tls));
    let expected_name = section.key("expected_name").map(|value| {
        let text = value.text(NAME)?;
        if matches!(tls, Ok(Tls::Off)) {
            return Err(section.context().fault(text.origin(), legs::OFF_IGNORES));
        }
        ServerName::try_from(text.as_str().to_owned()).map_err(|_| value.unexpected(NAME))
    });
    let own = Credentials::read(&mut section, tls);
    let tls = tls.and_then(|tls| {
        let host_name = || match &host {
            Ok(host) => Ok(host.name.clone()),
            Err(missing) => Err(*missing),
        };
        own.leg(pool, &section, tls, expected_name.unwrap_or_else(host_name))
    });
    section.finish();
    let (host, url) = (host?, url?);
    Ok(Server {
        address: host.address,
        port: host.port,
        url: url.as_str().into(),
        tls: tls?,
        origin: url.origin().clone(),
    })
}

/// What a server's URL names.
struct Host {
    address: ServerAddress,
    port: u16,
    /// The name that its certificate must carry, unless another is expected.
    name: ServerName<'static>,
}

fn host_of(
    section: &Section<'_>,
    text: &Text<'_>,
    tls: Result<Tls, Missing>,
) -> Result<Host, Missing> {
    let fault = |message: &str| section.context().fault(text.origin(), message);
    let (scheme, rest) = text
        .as_str()
        .split_once("://")
        .ok_or_else(|| fault(EXPECTED_URL))?;
    let default_port = match (scheme, tls) {
        ("http", Ok(Tls::Mutual | Tls::Verify)) => {
            return Err(fault("expected an https URL, since tls is not \"off\""));
        }
        ("https", Ok(Tls::Off)) => {
            return Err(fault(
                "expected an http URL, or tls = \"verify\" or \"mutual\" in the pool",
            ));
        }
        ("http", _) => 80,
        ("https", _) => 443,
        _ => return Err(fault(EXPECTED_URL)),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let authority = Authority::parse(authority.as_bytes()).map_err(|_| fault(EXPECTED_URL))?;
    let port = authority.port().unwrap_or(default_port);
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(Host {
            address: ServerAddress::Ip(address),
            port,
            name: ServerName::from(address),
        });
    }
    // Also refuses what only looks like an address, such as 127.1, and yet would resolve.
    let name = DnsName::try_from(host.to_owned()).map_err(|_| fault(EXPECTED_URL))?;
    Ok(Host {
        address: ServerAddress::Name(host.into()),
        port,
        name: ServerName::DnsName(name),
    })
}

const URL: &str = "http://host[:port] or https://host[:port], without a path";
const EXPECTED_URL: &str = "expected http://host[:port] or https://host[:port], without a path";
const NAME: &str = "a host name or an address";
