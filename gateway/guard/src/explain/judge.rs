//! Rules applied to facts.

use std::net::{IpAddr, SocketAddr};

use gateway_ebpf::abi::{Program, Reason};

use super::{Process, Role, Ruling};
use crate::cgroup::Cgroup;
use crate::matching::Protected;
use crate::rules::{Exception, Local, Mode, Rules};
use crate::status::Action;

/// Applies rules to facts.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a Rules,
    pub(super) mode: Mode,
}

impl Judge<'_> {
    /// `namespaces` are those of the local endpoints, in their order.
    pub(super) fn process(&self, process: &Process, namespaces: &[Option<u64>]) -> Vec<Ruling> {
        let mut rulings = Vec::new();
        for (local, namespace) in self.rules.locals.iter().zip(namespaces) {
            let elsewhere = match (process.namespace, namespace) {
                (Some(own), Some(service)) => own != *service,
                _ => false,
            };
            if elsewhere {
                rulings.push(self.in_another_namespace(local));
                continue;
            }
            rulings.push(match self.pass(process) {
                Some((reason, message)) => {
                    self.passes(Protected::Local(local), reason, &BY_PROCESS, message)
                }
                None => {
                    let message = self.no_right(process, local);
                    self.refuses(
                        Protected::Local(local),
                        Reason::NotGateway,
                        &BY_PROCESS,
                        message,
                    )
                }
            });
            rulings.push(self.listen(process, local));
        }
        for remote in &self.rules.remotes {
            let remote = Protected::Remote(*remote);
            rulings.push(match self.pass(process) {
                Some((reason, message)) => self.passes(remote, reason, &OUT, message),
                None => {
                    let message = format!("{} is not below {}", process.cgroup, self.rules.slice);
                    self.refuses(remote, Reason::NotGateway, &OUT, message)
                }
            });
        }
        rulings
    }

    pub(super) fn address(&self, address: IpAddr, own: bool) -> Vec<Ruling> {
        let address = address.to_canonical();
        let mut rulings = Vec::new();
        for local in &self.rules.locals {
            let endpoint = Protected::Local(local);
            rulings.push(if own {
                let message = "an address of this host: what comes from it comes over lo, where \
                               not the address decides but the process (explain PID)";
                self.depends(endpoint, message.into())
            } else if let Some(network) = local.listing(address) {
                let message = format!("by the entry {network} in allow_from");
                self.passes(endpoint, Reason::Listed, &IN, message)
            } else {
                let message = "no entry in allow_from holds it".into();
                self.refuses(endpoint, Reason::NotListed, &IN, message)
            });
        }
        let remotes = self.rules.remotes.iter();
        rulings.extend(
            remotes
                .filter(|remote| remote.ip() == address)
                .map(|remote| self.who_may_connect(Protected::Remote(*remote))),
        );
        rulings
    }

    pub(super) fn endpoint(&self, endpoint: SocketAddr) -> Vec<Ruling> {
        self.rules
            .protected(endpoint.ip(), endpoint.port())
            .map(|found| self.who_may_connect(found))
            .into_iter()
            .collect()
    }

    /// What lets a process connect, if anything does.
    fn pass(&self, process: &Process) -> Option<(Reason, String)> {
        if is_in(&process.cgroup, &self.rules.slice) {
            let message = format!("{} is in the gateway's slice", process.cgroup);
            return Some((Reason::Gateway, message));
        }
        self.rules.exceptions.iter().find_map(|exception| {
            let message = match exception {
                Exception::Cgroup(path) if is_in(&process.cgroup, path) => {
                    format!("by the exception for the cgroup {path}")
                }
                Exception::Uid(uid) if *uid == process.uid => {
                    format!("by the exception for the user {uid}")
                }
                Exception::Cgroup(_) | Exception::Uid(_) => return None,
            };
            Some((Reason::Exception, message))
        })
    }

    fn no_right(&self, process: &Process, local: &Local) -> String {
        let slice = &self.rules.slice;
        if is_in(&process.cgroup, &local.service) {
            format!("it runs in the service's own cgroup, like hosted content, and not in {slice}")
        } else {
            format!("{} is not in {slice}", process.cgroup)
        }
    }

    fn in_another_namespace(&self, local: &Local) -> Ruling {
        let endpoint = Protected::Local(local);
        if local.allow_from.is_empty() {
            let message = "it is in another network namespace, so it comes from outside, and \
                           allow_from is empty";
            return self.refuses(endpoint, Reason::NotListed, &IN, message.into());
        }
        let message = "it is in another network namespace, so it comes from outside: its source \
                       address decides (explain ADDRESS)";
        self.depends(endpoint, message.into())
    }

    fn listen(&self, process: &Process, local: &Local) -> Ruling {
        let endpoint = Protected::Local(local);
        let programs: &[Program] = if local.reserve { &TAKING } else { &IN };
        let wrong_user = local.uid.filter(|uid| *uid != process.uid);
        let ruling = if !is_in(&process.cgroup, &local.service) {
            let message = format!("{} is not in {}", process.cgroup, local.service);
            self.refuses(endpoint, Reason::NotService, programs, message)
        } else if let Some(uid) = wrong_user {
            let message = format!("the service's user is {uid}, not {}", process.uid);
            self.refuses(endpoint, Reason::NotService, programs, message)
        } else {
            let message = format!("it is in the service's cgroup {}", local.service);
            self.passes(endpoint, Reason::Service, programs, message)
        };
        Ruling {
            role: Role::Listen,
            ..ruling
        }
    }

    fn who_may_connect(&self, endpoint: Protected<'_>) -> Ruling {
        let mut message = format!("from this host only {}", self.rules.slice);
        if !self.rules.exceptions.is_empty() {
            message.push_str(" and the exceptions");
        }
        if let Protected::Local(local) = endpoint {
            message.push_str("; from outside ");
            if local.allow_from.is_empty() {
                message.push_str("nobody");
            }
            for (index, network) in local.allow_from.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                message.push_str(&format!("{comma}{network}"));
            }
            message.push_str(&format!("; received only by {}", local.service));
        }
        self.depends(endpoint, message)
    }

    fn passes(
        &self,
        endpoint: Protected<'_>,
        reason: Reason,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        self.ruling(endpoint, Some((Action::Passed, reason)), programs, message)
    }

    fn refuses(
        &self,
        endpoint: Protected<'_>,
        reason: Reason,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        let action = match self.mode {
            Mode::Audit => Action::WouldRefuse,
            Mode::Detach => Action::Passed,
            Mode::Enforce => Action::Refused,
        };
        self.ruling(endpoint, Some((action, reason)), programs, message)
    }

    fn depends(&self, endpoint: Protected<'_>, message: String) -> Ruling {
        self.ruling(endpoint, None, &[], message)
    }

    fn ruling(
        &self,
        endpoint: Protected<'_>,
        decided: Option<(Action, Reason)>,
        programs: &[Program],
        message: String,
    ) -> Ruling {
        Ruling {
            kind: endpoint.kind(),
            endpoint: endpoint.to_string(),
            role: Role::Connect,
            action: decided.map(|(action, _)| action),
            reason: decided.map(|(_, reason)| reason.as_str().to_owned()),
            programs: programs
                .iter()
                .map(|program| program.as_str().to_owned())
                .collect(),
            message,
        }
    }
}

fn is_in(cgroup: &str, path: &str) -> bool {
    let cgroup = Cgroup {
        path: cgroup.to_owned(),
        id: 0,
    };
    cgroup.is_in(path)
}

/// A local process that connects to a local endpoint.
const BY_PROCESS: [Program; 3] = [Program::Connect4, Program::Connect6, Program::Ingress];
/// What comes from outside, and who receives.
const IN: [Program; 1] = [Program::Ingress];
/// A local process that connects to a remote endpoint.
const OUT: [Program; 3] = [Program::Connect4, Program::Connect6, Program::Egress];
/// A process that takes a reserved port.
const TAKING: [Program; 3] = [Program::Bind4, Program::Bind6, Program::Ingress];
