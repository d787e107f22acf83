//! What the rules name, looked up on this host.

use std::io;
use std::path::Path;

use gateway_ebpf::abi::Ancestor;

use crate::cgroup::Hierarchy;
use crate::guard::Notice;
use crate::namespace;
use crate::rules::{Exception, Rules};
use crate::tables::{Found, FoundService};

/// The cgroups and namespaces of the rules, followed as they come and go.
#[derive(Debug)]
pub(crate) struct Surroundings {
    found: Found,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// What came, went, or was made anew, as far as it could be looked up.
    pub(crate) notices: Vec<Notice>,
    /// What could not be looked up; the rest was.
    pub(crate) fault: Option<io::Error>,
}

impl Surroundings {
    /// Looks everything up. A missing cgroup is no fault; a missing namespace is.
    pub(crate) fn find(rules: &Rules, hierarchy: &Hierarchy) -> io::Result<Self> {
        let mut found = Found {
            services: vec![FoundService::default(); rules.locals.len()],
            ..Found::default()
        };
        for (local, service) in rules.locals.iter().zip(&mut found.services) {
            service.namespace = namespace::cookie(local.namespace.as_deref())?;
        }
        let mut surroundings = Self { found };
        match surroundings.look(rules, hierarchy).fault {
            None => Ok(surroundings),
            Some(fault) => Err(fault),
        }
    }

    /// What was found last.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Looks again.
    pub(crate) fn look(&mut self, rules: &Rules, hierarchy: &Hierarchy) -> Look {
        let mut look = Look::default();
        look.cgroup(hierarchy, &rules.slice, &mut self.found.slice);
        for (local, service) in rules.locals.iter().zip(&mut self.found.services) {
            look.cgroup(hierarchy, &local.service, &mut service.cgroup);
            if let Some(path) = &local.namespace {
                look.namespace(path, &mut service.namespace);
            }
        }
        let cgroups: Vec<_> = rules
            .exceptions
            .iter()
            .filter_map(Exception::cgroup)
            .collect();
        self.found.exceptions.resize(cgroups.len(), None);
        for (path, known) in cgroups.into_iter().zip(&mut self.found.exceptions) {
            look.cgroup(hierarchy, path, known);
        }
        look
    }
}

impl Look {
    fn cgroup(&mut self, hierarchy: &Hierarchy, path: &str, known: &mut Option<Ancestor>) {
        match hierarchy.ancestor(path) {
            Ok(now) if now == *known => {}
            Ok(now) => {
                *known = now;
                self.notices.push(Notice::Cgroup {
                    path: path.to_owned(),
                    present: now.is_some(),
                });
            }
            Err(error) => self.fault = self.fault.take().or(Some(error)),
        }
    }

    /// By its cookie: the kernel gives the inode numbers of namespaces again. While the name leads
    /// nowhere, the last namespace counts: processes may live in it yet.
    fn namespace(&mut self, path: &Path, known: &mut u64) {
        match namespace::cookie(Some(path)) {
            Ok(now) if now == *known => {}
            Ok(now) => {
                *known = now;
                self.notices.push(Notice::Namespace {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.fault = self.fault.take().or(Some(error)),
        }
    }
}
