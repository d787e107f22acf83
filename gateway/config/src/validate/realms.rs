//! `[[realm]]`.

use std::time::Duration;

use super::all;
use super::names::Names;
use crate::context::{Context, Missing, line_of};
use crate::htpasswd::Htpasswd;
use crate::raw::Section;
use crate::value::Text;
use crate::{Basic, Method, Realm, units};

pub(super) struct Realms<'a> {
    pub(super) names: Names<'a>,
    pub(super) entries: Result<Vec<(Realm, policy::Realm)>, Missing>,
}

pub(super) fn realms(sections: Vec<Section<'_>>) -> Realms<'_> {
    let mut names = Names::new("realm");
    let sections = sections.into_iter();
    let entries = all(sections.map(|section| realm(section, &mut names)));
    Realms { names, entries }
}

fn realm<'a>(
    mut section: Section<'a>,
    names: &mut Names<'a>,
) -> Result<(Realm, policy::Realm), Missing> {
    let name = names.read(&mut section);
    let policy_realm = name.and_then(|name| {
        policy::Realm::new(name).map_err(|error| {
            section
                .context()
                .fault(&section.place("name"), error.to_string())
        })
    });
    let kind = section.choice("method", None, &[("basic", Kind::Basic)]);
    let method = kind.and_then(|kind| match kind {
        Kind::Basic => basic(&mut section).map(Method::Basic),
    });
    let sessions = sessions(&mut section);
    // Without a method nobody knows which further keys there are.
    if kind.is_ok() {
        section.finish();
    }
    let (session_idle, session_lifetime) = sessions?;
    let realm = Realm {
        method: method?,
        session_idle,
        session_lifetime,
    };
    Ok((realm, policy_realm?))
}

/// How long a session may be silent and live.
fn sessions(section: &mut Section<'_>) -> Result<(Duration, Duration), Missing> {
    let idle = section.duration("session_idle", HOUR, SECOND);
    let lifetime = section.duration("session_lifetime", 12 * HOUR, SECOND);
    let (idle, lifetime) = (idle?, lifetime?);
    if idle > lifetime {
        let message = format!(
            "expected at least session_idle, which is {}",
            units::show(idle)
        );
        return Err(section
            .context()
            .fault(&section.place("session_lifetime"), message));
    }
    Ok((idle, lifetime))
}

fn basic(section: &mut Section<'_>) -> Result<Basic, Missing> {
    let users = section
        .text("htpasswd", "the path of an htpasswd file")
        .and_then(|text| users(section.context(), &text));
    let cache = section.duration("password_cache", 5 * MINUTE, Duration::ZERO);
    let failures_per_address = section.number("failures_per_address", 20, 1..=1_000_000);
    let failures_per_account = section.number("failures_per_account", 10, 1..=1_000_000);
    Ok(Basic {
        users: users?,
        cache: cache?,
        failures_per_address: failures_per_address?,
        failures_per_account: failures_per_account?,
    })
}

fn users(context: &Context<'_>, text: &Text<'_>) -> Result<Htpasswd, Missing> {
    let (path, bytes) = context.read(text)?;
    let users = match std::str::from_utf8(&bytes) {
        Ok(content) => Htpasswd::parse(content),
        Err(error) => {
            let line = line_of(&bytes, error.valid_up_to());
            Err(vec![(line, "expected UTF-8".to_owned())])
        }
    };
    users.map_err(|faults| context.faults_inside(text.origin(), &path, faults))
}

#[derive(Clone, Copy)]
enum Kind {
    Basic,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
