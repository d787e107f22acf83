//! `[app.lanes]`: which of its kind's lanes an app opens.

use policy::{ApiCredentials, Discovery, Kind, LaneRules, PathPrefix};

use super::{all, networks};
use crate::context::Missing;
use crate::raw::Section;

/// The rules, and how many requests a minute the discovery lane takes from an address.
pub(super) fn lanes(
    mut section: Section<'_>,
    kind: Result<Kind, Missing>,
) -> Result<(LaneRules, u32), Missing> {
    let health_from = section.key("health_from");
    let everyone = "the back-end's health page would be open to everyone; list the checkers, or \
                    name the path in anonymous if that is meant";
    let health_from = networks(section.context(), health_from, everyone);
    let bearer = switch(
        &mut section,
        "bearer",
        kind,
        &[Kind::Connect, Kind::Deployr],
    );
    let bootstrap = switch(&mut section, "bootstrap", kind, &[Kind::Connect]);
    let oauth = switch(&mut section, "oauth", kind, &[Kind::Connect]);
    let deployr_login = switch(&mut section, "deployr_login", kind, &[Kind::Deployr]);
    let anonymous = anonymous(&mut section);
    let strict_deploy = switch(&mut section, "strict_deploy", kind, &[Kind::Connect]);
    let discovery_per_minute = section.number("discovery_per_minute", 120, 1..=1_000_000);
    section.finish();
    let rules = LaneRules {
        health_from: health_from?.into(),
        api_credentials: ApiCredentials {
            bearer: bearer?,
            bootstrap: bootstrap?,
        },
        discovery: Discovery {
            deployr_login: deployr_login?,
            oauth: oauth?,
        },
        anonymous: anonymous?.into(),
        strict_deploy: strict_deploy?,
    };
    Ok((rules, discovery_per_minute?))
}

/// A switch that only some kinds have: elsewhere it would be ignored. Off is fine for every kind.
fn switch(
    section: &mut Section<'_>,
    key: &'static str,
    kind: Result<Kind, Missing>,
    having: &[Kind],
) -> Result<bool, Missing> {
    let on = section.switch(key, false)?;
    match kind {
        Ok(kind) if on && !having.contains(&kind) => {
            let having: Vec<_> = having
                .iter()
                .map(|kind| format!("{:?}", name(*kind)))
                .collect();
            let message = format!(
                "kind {:?} does not have this: only {} does",
                name(kind),
                having.join(" or ")
            );
            Err(section.context().fault(&section.place(key), message))
        }
        _ => Ok(on),
    }
}

fn anonymous(section: &mut Section<'_>) -> Result<Vec<PathPrefix>, Missing> {
    let expected = r#"path prefixes, as ["/content/", "/public"]"#;
    let Some(value) = section.key("anonymous") else {
        return Ok(Vec::new());
    };
    let texts = value.texts(expected)?;
    all(texts.iter().map(|text| {
        PathPrefix::new(text.as_str())
            .map_err(|error| section.context().fault(text.origin(), error.to_string()))
    }))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Connect => "connect",
        Kind::Deployr => "deployr",
        Kind::Generic => "generic",
    }
}
