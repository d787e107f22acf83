//! `[[app]]`.

use std::collections::HashMap;
use std::time::Duration;

use policy::{
    App, HeaderName, IdentityHeaders, Kind, Mount, PublicUrl, WebOrigin, WebsocketOrigins,
};
use wire::Authority;

use super::all;
use super::lanes::lanes;
use super::names::Names;
use super::rates::rates;
use super::timeouts::{self, Timeouts};
use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::{AppExtra, Origin};

/// What apps refer to.
pub(super) struct Targets<'t, 'a> {
    pub(super) listeners: &'t Names<'a>,
    pub(super) realms: &'t Names<'a>,
    pub(super) pools: &'t Names<'a>,
    pub(super) pool_sizes: &'t [usize],
    pub(super) timeouts: Result<Timeouts, Missing>,
}

pub(super) fn apps<'a>(
    sections: Vec<Section<'a>>,
    targets: &Targets<'_, 'a>,
) -> Result<Vec<(AppExtra, App)>, Missing> {
    let mut names = Names::new("app");
    let mut served = Served::default();
    let sections = sections.into_iter();
    all(sections.map(|section| app(section, targets, &mut names, &mut served)))
}

fn app<'a>(
    mut section: Section<'a>,
    targets: &Targets<'_, 'a>,
    names: &mut Names<'a>,
    served: &mut Served,
) -> Result<(AppExtra, App), Missing> {
    let context = section.context();
    let index = names.len();
    let name = names.read(&mut section);
    let kind = section.choice(
        "kind",
        None,
        &[
            ("connect", Kind::Connect),
            ("deployr", Kind::Deployr),
            ("generic", Kind::Generic),
        ],
    );
    let public_url = section
        .text(
            "public_url",
            "https://host[:port]/ or https://host[:port]/mount/",
        )
        .and_then(|text| {
            let url = PublicUrl::parse(text.as_str())
                .map_err(|error| context.fault(text.origin(), error.to_string()))?;
            Ok((url, text.origin().clone()))
        });
    let aliases = aliases(&mut section);
    let listeners = listeners(&mut section, targets.listeners);
    let realm = section
        .text("realm", "the name of a [[realm]]")
        .and_then(|text| targets.realms.find(context, &text));
    let pool = pool(&mut section, targets, kind);
    let strip_mount = section.switch("strip_mount", false);
    let websocket_origins = websocket_origins(&mut section);
    let websocket_ping = section.duration("websocket_ping", Duration::ZERO, Duration::ZERO);
    let max_body = section
        .key("max_body")
        .map(|value| value.size(MAX_BODY, 1..=1 << 62))
        .transpose();
    let identity = identity(section.section("identity"));
    let lanes = lanes(section.section("lanes"), kind);
    let timeouts = timeouts::of_app(section.section("timeouts"), targets.timeouts);
    let rates = rates(section.optional_sections("rate"));
    if let (Ok((url, origin)), Ok(aliases), Ok(listeners)) = (&public_url, &aliases, &listeners) {
        let aliases = aliases.iter().map(|(alias, origin)| (alias, origin));
        let authorities = std::iter::once((url.authority(), origin)).chain(aliases);
        served.add(context, index, listeners, url.mount(), authorities);
    }
    section.finish();

    let (lanes, discovery_per_minute) = lanes?;
    let app = App {
        name: name?.into(),
        kind: kind?,
        public_url: public_url?.0,
        aliases: aliases?.into_iter().map(|(alias, _)| alias).collect(),
        listeners: listeners?.into(),
        realm: realm?,
        strip_mount: strip_mount?,
        max_body: max_body?,
        identity: identity?,
        lanes,
        websocket_origins: websocket_origins?,
    };
    let extra = AppExtra {
        pool: pool?,
        discovery_per_minute,
        rates: rates?,
        timeouts: timeouts?,
        websocket_ping: Some(websocket_ping?).filter(|period| !period.is_zero()),
    };
    Ok((extra, app))
}

fn aliases(section: &mut Section<'_>) -> Result<Vec<(Authority, Origin)>, Missing> {
    let expected = r#"hosts, as ["connect.internal", "connect.internal:8443"]"#;
    let Some(value) = section.key("aliases") else {
        return Ok(Vec::new());
    };
    let texts = value.texts(expected)?;
    all(texts.iter().map(|text| {
        let alias = Authority::parse(text.as_str().as_bytes())
            .map_err(|error| section.context().fault(text.origin(), error.to_string()))?;
        Ok((alias, text.origin().clone()))
    }))
}

fn websocket_origins(section: &mut Section<'_>) -> Result<WebsocketOrigins, Missing> {
    let expected = r#""same", "any", or origins, as ["https://portal.example.com"]"#;
    let Some(value) = section.key("websocket_origins") else {
        return Ok(WebsocketOrigins::default());
    };
    if !value.is_array() {
        return match value.text(expected)?.as_str() {
            "any" => Ok(WebsocketOrigins::Any),
            "same" => Ok(WebsocketOrigins::default()),
            _ => Err(value.unexpected(expected)),
        };
    }
    let texts = value.texts(expected)?;
    let and = all(texts.iter().map(|text| {
        WebOrigin::parse(text.as_str())
            .map_err(|error| section.context().fault(text.origin(), error.to_string()))
    }))?;
    Ok(WebsocketOrigins::Own { and: and.into() })
}

/// The only listener need not be named.
fn listeners(section: &mut Section<'_>, names: &Names<'_>) -> Result<Vec<usize>, Missing> {
    let expected = r#"names of listeners, as ["public"]"#;
    let value = match section.key("listeners") {
        None if names.len() == 1 => return Ok(vec![0]),
        None => section.mandatory("listeners", &format!("{expected}, since there are several"))?,
        Some(value) => value,
    };
    let texts = value.texts(expected)?;
    if texts.is_empty() {
        return Err(value.unexpected("at least one listener's name"));
    }
    let context = section.context();
    let mut listeners = Vec::new();
    let indexes = texts.iter().map(|text| {
        let index = names.find(context, text)?;
        if listeners.contains(&index) {
            return Err(context.fault(text.origin(), "this listener is named already"));
        }
        listeners.push(index);
        Ok(index)
    });
    all(indexes)
}

fn pool(
    section: &mut Section<'_>,
    targets: &Targets<'_, '_>,
    kind: Result<Kind, Missing>,
) -> Result<usize, Missing> {
    let context = section.context();
    let text = section.text("pool", "the name of a [[pool]]")?;
    let pool = targets.pools.find(context, &text)?;
    let size = targets.pool_sizes.get(pool).copied();
    if matches!(kind, Ok(Kind::Connect)) && size.is_some_and(|size| size > 1) {
        return Err(context.fault(
            text.origin(),
            "expected a pool of exactly one server for kind \"connect\": Connect's nodes do not \
             share their sessions, and affinity is not available yet",
        ));
    }
    Ok(pool)
}

fn identity(mut section: Section<'_>) -> Result<IdentityHeaders, Missing> {
    let context = section.context();
    let (name, origin) = match section.key("username") {
        Some(value) => {
            let text = value.text("a header's name")?;
            (text.as_str(), text.origin().clone())
        }
        None => ("X-Auth-Username", section.place("username")),
    };
    let username = HeaderName::new(name).map_err(|error| context.fault(&origin, error.to_string()));
    section.finish();
    Ok(IdentityHeaders {
        username: username?,
    })
}

/// Which app serves what: the index by listener, host, port and mount, so that no two apps serve
/// the same.
#[derive(Default)]
struct Served(HashMap<(usize, Box<str>, u16, Box<str>), usize>);

impl Served {
    /// Adds what app number `app` serves.
    fn add<'o>(
        &mut self,
        context: &Context<'_>,
        app: usize,
        listeners: &[usize],
        mount: &Mount,
        authorities: impl Iterator<Item = (&'o Authority, &'o Origin)>,
    ) {
        for (authority, origin) in authorities {
            let other = listeners.iter().find_map(|listener| {
                let port = authority.port().unwrap_or(443);
                let served = (
                    *listener,
                    authority.host().into(),
                    port,
                    mount.as_str().into(),
                );
                let owner = *self.0.entry(served).or_insert(app);
                (owner != app).then_some(owner)
            });
            if let Some(other) = other {
                let message =
                    format!("app[{other}] has this host and mount already, on the same listener");
                context.fault(origin, message);
            }
        }
    }
}

const MAX_BODY: &str = r#"bytes or a size, as "64MiB" or "4GiB""#;
