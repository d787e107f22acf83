//! What the rules name, looked up on this host.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::cgroup::Hierarchy;
use crate::namespace;
use crate::rules::{Exception, Rules};
use crate::tables::{Found, FoundService};

/// The cgroups and namespaces of the rules, followed as they come and go.
#[derive(Debug)]
pub(crate) struct Surroundings {
    found: Found,
    /// The inode of each local endpoint's namespace file, by which a new one is noticed.
    inodes: Vec<Option<u64>>,
}

impl Surroundings {
    /// Looks everything up. A missing cgroup is no fault; a missing namespace is.
    pub(crate) fn find(rules: &Rules, hierarchy: &Hierarchy) -> io::Result<Self> {
        let mut surroundings = Self {
            found: Found {
                services: vec![FoundService::default(); rules.locals.len()],
                ..Found::default()
            },
            inodes: vec![None; rules.locals.len()],
        };
        for (local, service) in rules.locals.iter().zip(&mut surroundings.found.services) {
            service.namespace = namespace::cookie(local.namespace.as_deref())?;
        }
        surroundings.inodes = rules.locals.iter().map(inode).collect();
        surroundings.look(rules, hierarchy)?;
        Ok(surroundings)
    }

    /// What was found last.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Looks again; the paths of the cgroups that came, went, or were made anew, each with whether
    /// it is there.
    pub(crate) fn look(
        &mut self,
        rules: &Rules,
        hierarchy: &Hierarchy,
    ) -> io::Result<Vec<(String, bool)>> {
        let mut changes = Vec::new();
        let mut follow = |path: &str, known: &mut Option<_>| -> io::Result<()> {
            let now = hierarchy.ancestor(path)?;
            if now != *known {
                changes.push((path.to_owned(), now.is_some()));
                *known = now;
            }
            Ok(())
        };
        follow(&rules.slice, &mut self.found.slice)?;
        for (local, service) in rules.locals.iter().zip(&mut self.found.services) {
            follow(&local.service, &mut service.cgroup)?;
        }
        let cgroups = rules
            .exceptions
            .iter()
            .filter_map(|exception| match exception {
                Exception::Cgroup(path) => Some(path),
                Exception::Uid(_) => None,
            });
        let cgroups: Vec<_> = cgroups.collect();
        self.found.exceptions.resize(cgroups.len(), None);
        for (path, known) in cgroups.into_iter().zip(&mut self.found.exceptions) {
            follow(path, known)?;
        }
        for ((local, service), known) in rules
            .locals
            .iter()
            .zip(&mut self.found.services)
            .zip(&mut self.inodes)
        {
            let now = inode(local);
            if now.is_some() && now != *known {
                service.namespace = namespace::cookie(local.namespace.as_deref())?;
                *known = now;
            }
        }
        Ok(changes)
    }
}

fn inode(local: &crate::rules::Local) -> Option<u64> {
    let path = local.namespace.as_ref()?;
    Some(fs::metadata(path).ok()?.ino())
}
