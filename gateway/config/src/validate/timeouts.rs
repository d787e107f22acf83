//! `[timeouts]`, and what a listener or an app has in the place of it.

use std::time::Duration;

use crate::context::Missing;
use crate::raw::Section;
use crate::{AppTimeouts, BackendTimeouts, ClientTimeouts};

/// What holds wherever nothing else is said.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) app: AppTimeouts,
    pub(super) backend: BackendTimeouts,
    pub(super) client: ClientTimeouts,
}

/// `[timeouts]`.
pub(super) fn timeouts(mut section: Section<'_>) -> Result<Timeouts, Missing> {
    let client = client(&mut section, DEFAULTS.client);
    let app = app(&mut section, DEFAULTS.app);
    let connect = timeout(&mut section, "connect", DEFAULTS.backend.connect);
    let pool = timeout(&mut section, "pool", DEFAULTS.backend.pool);
    section.finish();
    Ok(Timeouts {
        app: app?,
        backend: BackendTimeouts {
            connect: connect?,
            pool: pool?,
        },
        client: client?,
    })
}

/// `[listener.timeouts]`.
pub(super) fn of_listener(
    mut section: Section<'_>,
    timeouts: Result<Timeouts, Missing>,
) -> Result<ClientTimeouts, Missing> {
    let own = client(&mut section, timeouts.unwrap_or(DEFAULTS).client);
    section.finish();
    timeouts.and(own)
}

/// `[app.timeouts]`.
pub(super) fn of_app(
    mut section: Section<'_>,
    timeouts: Result<Timeouts, Missing>,
) -> Result<AppTimeouts, Missing> {
    let own = app(&mut section, timeouts.unwrap_or(DEFAULTS).app);
    section.finish();
    timeouts.and(own)
}

fn client(section: &mut Section<'_>, default: ClientTimeouts) -> Result<ClientTimeouts, Missing> {
    let head = timeout(section, "head", default.head);
    let idle = timeout(section, "idle", default.idle);
    let body = timeout(section, "body", default.body);
    Ok(ClientTimeouts {
        body: body?,
        head: head?,
        idle: idle?,
    })
}

fn app(section: &mut Section<'_>, default: AppTimeouts) -> Result<AppTimeouts, Missing> {
    let answer = timeout(section, "answer", default.answer);
    let tunnel = timeout(section, "tunnel", default.tunnel);
    Ok(AppTimeouts {
        answer: answer?,
        tunnel: tunnel?,
    })
}

fn timeout(
    section: &mut Section<'_>,
    key: &'static str,
    default: Duration,
) -> Result<Duration, Missing> {
    section.duration(key, default, Duration::from_millis(1))
}

const DEFAULTS: Timeouts = Timeouts {
    app: AppTimeouts {
        answer: Duration::from_secs(60 * 60),
        tunnel: Duration::from_secs(24 * 60 * 60),
    },
    backend: BackendTimeouts {
        connect: Duration::from_secs(10),
        pool: Duration::from_secs(60),
    },
    client: ClientTimeouts {
        body: Duration::from_secs(5 * 60),
        head: Duration::from_secs(30),
        idle: Duration::from_secs(75),
    },
};
