//! The end of the connections that are older than enforcement.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use crate::cgroup::Hierarchy;
use crate::diag::{self, Kept, Receivers};
use crate::error::GuardError;
use crate::namespace;
use crate::rules::{Exception, Local, Rules};

/// Ends the open connections that the rules would not let in now. Returns how many sockets were
/// destroyed for it.
pub(crate) fn foreign(rules: &Rules, hierarchy: &Hierarchy) -> Result<u64, GuardError> {
    let allowed = Allowed::find(rules, hierarchy).map_err(GuardError::Surroundings)?;
    let mut destroyed = 0;
    for local in &rules.locals {
        let service = hierarchy
            .subtree(&local.service)
            .map_err(GuardError::Surroundings)?;
        destroyed += to_local(local, service, &allowed).map_err(|source| GuardError::Cut {
            endpoint: format!("port {}", local.port),
            source,
        })?;
    }
    for remote in &rules.remotes {
        let kept = allowed.kept(&|_| false);
        destroyed += diag::cut_remote(*remote, &kept).map_err(|source| GuardError::Cut {
            endpoint: remote.to_string(),
            source,
        })?;
    }
    Ok(destroyed)
}

fn to_local(local: &Local, service: Vec<u64>, allowed: &Allowed) -> io::Result<u64> {
    let receivers = Receivers {
        address: local.address,
        port: local.port,
        cgroups: &service.into_iter().collect(),
        uid: local.uid,
    };
    let listed = |peer| local.listing(peer).is_some();
    let kept = allowed.kept(&listed);
    namespace::inside(local.namespace.as_deref(), || {
        diag::cut_local(&receivers, &kept)
    })
}

/// Who on this host may hold the other end of a connection.
struct Allowed {
    cgroups: HashSet<u64>,
    uids: Vec<u32>,
}

impl Allowed {
    fn find(rules: &Rules, hierarchy: &Hierarchy) -> io::Result<Self> {
        let mut allowed = Self {
            cgroups: hierarchy.subtree(&rules.slice)?.into_iter().collect(),
            uids: Vec::new(),
        };
        for exception in &rules.exceptions {
            match exception {
                Exception::Cgroup(path) => allowed.cgroups.extend(hierarchy.subtree(path)?),
                Exception::Uid(uid) => allowed.uids.push(*uid),
            }
        }
        Ok(allowed)
    }

    fn kept<'a>(&'a self, listed: &'a (dyn Fn(IpAddr) -> bool + Sync)) -> Kept<'a> {
        Kept {
            cgroups: &self.cgroups,
            uids: &self.uids,
            listed,
        }
    }
}
