//! `[[guard.exception]]`.

use super::locals::{Local, Locals};
use super::{CGROUP, at_most, cgroup, user};
use crate::GuardException;
use crate::cgroup::CgroupPath;
use crate::context::Missing;
use crate::raw::Section;
use crate::validate::all;

/// The tables as far as each could be read, so that they can be compared.
pub(super) struct Exceptions<'a>(Vec<Result<Exception<'a>, Missing>>);

/// One table; its section is still open.
struct Exception<'a> {
    section: Section<'a>,
    who: Result<GuardException, Missing>,
}

impl<'a> Exceptions<'a> {
    pub(super) fn read(guard: &mut Section<'a>) -> Self {
        let sections = guard.optional_sections("exception");
        let exceptions = sections.into_iter().map(|section| {
            let mut section = section?;
            let who = who(&mut section);
            Ok(Exception { section, who })
        });
        Self(exceptions.collect())
    }

    /// An exception that holds the gateway's slice makes the slice mean nothing.
    pub(super) fn check_slice(&self, slice: &CgroupPath) {
        for exception in self.iter() {
            exception.check_cgroup(slice, "guard.slice");
        }
    }

    /// An exception must not hold hosted content, which is what the guard keeps out.
    pub(super) fn check_locals(&self, locals: &Locals<'_>) {
        for exception in self.iter() {
            for local in locals.iter() {
                if let Ok(service) = &local.service {
                    exception.check_cgroup(service, &local.key("service"));
                }
                exception.check_user(local);
            }
        }
    }

    /// Ends the tables.
    pub(super) fn finish(self, guard: &Section<'_>) -> Result<Vec<GuardException>, Missing> {
        at_most(guard, "exception", 8, self.0.len());
        all(self.0.into_iter().map(|exception| {
            let exception = exception?;
            exception.section.finish();
            exception.who
        }))
    }

    fn iter(&self) -> impl Iterator<Item = &Exception<'a>> {
        self.0.iter().flatten()
    }
}

impl Exception<'_> {
    fn check_cgroup(&self, held: &CgroupPath, key: &str) {
        if let Ok(GuardException::Cgroup(cgroup)) = &self.who
            && cgroup.holds(held)
        {
            let message = format!(
                "{cgroup} holds {key}, which is {held}: expected a cgroup without its processes"
            );
            self.fault("cgroup", message);
        }
    }

    fn check_user(&self, local: &Local<'_>) {
        let Ok(GuardException::Uid(uid)) = &self.who else {
            return;
        };
        if matches!(local.uid, Ok(Some(own)) if own == *uid) {
            let message = format!(
                "user {uid} is {}: the service and what it starts would pass",
                local.key("uid")
            );
            self.fault("uid", message);
        }
        let Ok(run_as) = &local.run_as else {
            return;
        };
        if run_as.is_empty() {
            let message = format!(
                "{} is missing: an exception by user needs to know the users of hosted content, \
                 which it must not name",
                local.key("run_as")
            );
            self.fault("uid", message);
        } else if run_as.contains(uid) {
            let message = format!(
                "user {uid} is in {}: hosted content would pass",
                local.key("run_as")
            );
            self.fault("uid", message);
        }
    }

    fn fault(&self, key: &str, message: String) {
        self.section
            .context()
            .fault(&self.section.place(key), message);
    }
}

fn who(section: &mut Section<'_>) -> Result<GuardException, Missing> {
    let (by_cgroup, by_user) = (section.key("cgroup"), section.key("uid"));
    match (by_cgroup, by_user) {
        (Some(value), None) => cgroup(section, &value).map(GuardException::Cgroup),
        (None, Some(value)) => user(&value).map(GuardException::Uid),
        (Some(_), Some(value)) => Err(value.unexpected("either cgroup or uid, not both")),
        (None, None) => {
            let message = format!("missing: expected {CGROUP}, or uid instead of it");
            Err(section.context().fault(&section.place("cgroup"), message))
        }
    }
}
