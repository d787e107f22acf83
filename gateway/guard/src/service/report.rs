//! The service's status, put together.

use std::collections::BTreeMap;

use gateway_ebpf::abi::Generation;

use super::Service;
use crate::baseline::Runs;
use crate::error::GuardError;
use crate::object::OBJECT_SHA256;
use crate::probe::{Finding, Severity};
use crate::status::{self, Status};
use crate::steering::Listed;

impl Service {
    /// The state now.
    pub fn status(&self) -> Status {
        let mode = self.guard.mode();
        let links = self.links();
        let mut findings: Vec<_> = self.findings.iter().map(status::Found::from).collect();
        findings.extend(self.guard.uncut().map(|error| status::Found {
            name: "connections_uncut".into(),
            severity: Severity::Warning,
            message: format!("{error}; those open before enforcement hang instead"),
        }));
        findings.extend(self.beside.borrow().as_ref().map(status::Found::from));
        let mut fault = |name: &str, message: String| {
            findings.push(status::Found {
                name: name.into(),
                severity: Severity::Fault,
                message,
            });
        };
        if let Some(message) = &self.watch_fault {
            fault("watch_failed", message.clone());
        }
        if let Some(message) = &self.mode_fault {
            fault("mode_not_applied", message.clone());
        }
        let verdicts = self.verdicts().unwrap_or_else(|error| {
            fault("counters_unreadable", error.to_string());
            Vec::new()
        });
        let events_lost = self.guard.events_lost().unwrap_or_else(|error| {
            fault("counters_unreadable", error.to_string());
            0
        });
        let steering = match self.steering() {
            Ok(steering) => Some(steering),
            Err(error) => {
                fault("counters_unreadable", error.to_string());
                None
            }
        };
        let slice_present = self.guard.slice_present();
        let state = status::State::of(&status::Facts {
            mode,
            attached: !links.is_empty() && links.iter().all(|link| link.attached),
            slice_present,
            fault: findings
                .iter()
                .any(|found| found.severity == Severity::Fault),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            object_sha256: OBJECT_SHA256.map(Into::into),
            pid: std::process::id(),
            kernel: self.kernel.clone(),
            state,
            mode,
            configured_mode: self.configured,
            r#override: self.set,
            slice: status::Slice {
                path: self.guard.rules().slice.clone(),
                present: slice_present,
            },
            endpoints: self.endpoints(),
            links,
            findings,
            verdicts,
            events_lost,
            suppressed_log_lines: self.log.suppressed(),
            reattached: self.reattached,
            destroyed_sockets: self.guard.destroyed(),
            steering,
        }
    }

    fn steering(&self) -> Result<status::Steering, GuardError> {
        let steering = self.guard.steering();
        let address = |listed: Listed| {
            let age = |number: u16| listed.newest.wrapping_sub(number);
            let generation = |(generation, open): &(Generation, u16)| status::SteeredGeneration {
                generation: generation.number,
                workers: generation.workers,
                open: *open,
            };
            let mut generations: Vec<_> = listed.generations.iter().map(generation).collect();
            generations.sort_by_key(|one| age(one.generation));
            status::SteeredAddress {
                address: listed.address.to_string(),
                newest: listed.newest,
                generations,
            }
        };
        let mut addresses: Vec<_> = steering.list()?.into_iter().map(address).collect();
        addresses.sort_by(|one, other| one.address.cmp(&other.address));
        let datagrams = steering.counts()?.into_iter();
        let (program_id, Runs { runs, run_time }) = self.guard.steering_runs().unwrap_or_default();
        Ok(status::Steering {
            addresses,
            datagrams: datagrams
                .map(|(to, count)| status::Datagrams {
                    to: to.as_str().into(),
                    count,
                })
                .collect(),
            program_id,
            runs,
            run_time_ns: run_time,
        })
    }

    fn endpoints(&self) -> Vec<status::Endpoint> {
        let rules = self.guard.rules();
        let locals = rules.locals.iter().enumerate();
        let locals = locals.map(|(index, local)| status::Endpoint {
            kind: status::EndpointKind::Local,
            address: local.written(),
            service: Some(local.service.clone()),
            service_present: Some(self.guard.service_present(index)),
            uid: local.uid,
            allow_from: local.allow_from.iter().map(ToString::to_string).collect(),
        });
        let remotes = rules.remotes.iter().map(|remote| status::Endpoint {
            kind: status::EndpointKind::Remote,
            address: remote.to_string(),
            service: None,
            service_present: None,
            uid: None,
            allow_from: Vec::new(),
        });
        locals.chain(remotes).collect()
    }

    fn links(&self) -> Vec<status::Link> {
        let links = self.guard.links().into_iter();
        links
            .map(|link| status::Link {
                program: link.program.to_owned(),
                attached: link.attached,
                program_id: link.program_id,
                runs: link.runs,
                run_time_ns: link.run_time,
            })
            .collect()
    }

    fn verdicts(&self) -> Result<Vec<status::Verdict>, GuardError> {
        let mut sums = BTreeMap::new();
        for count in self.guard.counts()? {
            let action = match (count.reason.passes(), count.enforced) {
                (true, _) => status::Action::Passed,
                (false, true) => status::Action::Refused,
                (false, false) => status::Action::WouldRefuse,
            };
            *sums
                .entry((count.program, count.reason, action))
                .or_insert(0) += count.count;
        }
        let verdicts = sums.into_iter();
        Ok(verdicts
            .map(|((program, reason, action), count)| status::Verdict {
                program: program.as_str().into(),
                reason: reason.as_str().into(),
                action,
                count,
            })
            .collect())
    }
}

impl From<&Finding> for status::Found {
    fn from(finding: &Finding) -> Self {
        Self {
            name: finding.name.into(),
            severity: finding.severity,
            message: finding.message.clone(),
        }
    }
}
