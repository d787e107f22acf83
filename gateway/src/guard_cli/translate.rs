//! From the configuration to the guard's rules.

use config::{Guard, GuardException, GuardLocal, GuardMode};
use guard::{Exception, Local, Mode, Network, Rules};

/// The configured mode.
pub(super) fn mode(guard: &Guard) -> Mode {
    match guard.mode {
        GuardMode::Audit => Mode::Audit,
        GuardMode::Enforce => Mode::Enforce,
    }
}

/// Everything that decides, except the mode.
pub(super) fn rules(guard: &Guard) -> Rules {
    Rules {
        slice: guard.slice.as_str().to_owned(),
        locals: guard.locals.iter().map(local).collect(),
        remotes: guard.remotes.clone(),
        exceptions: guard.exceptions.iter().map(exception).collect(),
    }
}

fn local(local: &GuardLocal) -> Local {
    let networks = local.allow_from.iter();
    Local {
        address: local.address,
        port: local.port.get(),
        service: local.service.as_str().to_owned(),
        uid: local.uid,
        namespace: local.namespace.clone(),
        reserve: local.reserve,
        allow_from: networks
            .map(|network| Network {
                address: network.address(),
                prefix: network.prefix(),
            })
            .collect(),
    }
}

fn exception(exception: &GuardException) -> Exception {
    match exception {
        GuardException::Cgroup(path) => Exception::Cgroup(path.as_str().to_owned()),
        GuardException::Uid(uid) => Exception::Uid(*uid),
    }
}
