//! A host with its service, and the proof that an attack is refused.

use std::sync::atomic::{AtomicU16, Ordering};

use gateway_tests::attacker::Outcome;
use gateway_tests::harness::poll;
use gateway_tests::host::{Guard, GuardSetup, Host, Process, Who};
use rustix::io::Errno;

use crate::attack::{Attack, FIRST_PORT, text};

/// See the module.
pub(crate) struct Site {
    pub(crate) service: Process,
    pub(crate) host: Host,
    number: AtomicU16,
}

/// Which of the guard's programs are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Every one.
    All,
    /// `connect4` and `connect6`.
    Connect,
    /// `ingress`.
    Ingress,
}

impl Site {
    /// A host whose service listens on every address. None where that cannot be.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// The same, with further arguments of `serve`.
    pub(crate) fn with(arguments: &[&str]) -> Option<Self> {
        let host = Host::new()?;
        let mut all = vec!["--listen", "[::]:3939"];
        all.extend(arguments);
        Some(Self {
            service: host.serve(&host.service(), &all),
            host,
            number: AtomicU16::new(0),
        })
    }

    /// Keeps this host's kernel from resetting what raw sockets have begun.
    pub(crate) fn hush(&self) {
        self.host.namespace.nft(&format!(
            "table inet hush {{ chain out {{ type filter hook output priority 0; \
             tcp sport >= {FIRST_PORT} tcp sport < 20000 tcp flags & rst == rst drop; }}\n}}"
        ));
    }

    /// Shows that without a guard each attempt succeeds, that with one none does, neither from
    /// another cgroup nor from the service's own, that each layer alone refuses what it can see,
    /// and that the gateway gets through all the while.
    #[track_caller]
    pub(crate) fn prove(&self, attacks: &[Attack]) {
        self.prove_with(attacks, |setup| setup);
    }

    /// The same, with a guard that is set up in a special way.
    #[track_caller]
    pub(crate) fn prove_with<'a>(
        &'a self,
        attacks: &[Attack],
        special: impl Fn(GuardSetup<'a>) -> GuardSetup<'a>,
    ) {
        self.all_reach(attacks);
        for layer in [Layer::All, Layer::Connect, Layer::Ingress] {
            let seen: Vec<_> = attacks.iter().filter(|one| layer.sees(one)).collect();
            if seen.is_empty() {
                continue;
            }
            let guard = layer.start(special(GuardSetup::new(&self.host, "enforce")));
            self.none_reaches(&guard, &seen, layer);
            guard.stop();
        }
        // What refused them was the guard, and it left nothing behind.
        self.all_reach(attacks);
    }

    /// Starts a guard.
    #[track_caller]
    pub(crate) fn guard(&self, mode: &str, layer: Layer) -> Guard<'_> {
        layer.start(GuardSetup::new(&self.host, mode))
    }

    /// What the gateway sends to the service reaches a thief without a guard, and not with one.
    #[track_caller]
    pub(crate) fn gives_nothing_to(&self, thief: &Process) {
        for layer in [None, Some(Layer::All), Some(Layer::Ingress)] {
            let guard = layer.map(|layer| self.guard("enforce", layer));
            let accepted = thief.count("accepted");
            for target in ["127.0.0.1:3939", "[::1]:3939"] {
                let outcome = self
                    .host
                    .attempt(&self.host.gateway(), &["connect", target]);
                assert_eq!(
                    outcome.answered_by("thief"),
                    layer.is_none(),
                    "{layer:?} {target}: {outcome:?}"
                );
            }
            if let Some(guard) = guard {
                assert_eq!(thief.count("accepted"), accepted, "{layer:?}");
                assert!(guard.count("ingress", "not_service", "refused") > 0);
                guard.stop();
            }
        }
    }

    /// Both who must be kept away.
    pub(crate) fn strangers(&self) -> [Who; 2] {
        [self.host.outsider(), self.host.hosted()]
    }

    /// A source port that nothing else uses.
    pub(crate) fn next_port(&self) -> u16 {
        FIRST_PORT + self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The gateway gets an answer, over IPv4 and IPv6. What the service reported before that is
    /// known from here on.
    #[track_caller]
    pub(crate) fn gateway_reaches(&self) {
        for target in GATEWAYS_WAYS {
            let text = text(self.number.fetch_add(1, Ordering::Relaxed));
            let connect = ["connect", target, "--say", &text];
            let outcome = self.host.attempt(&self.host.gateway(), &connect);
            assert!(outcome.answered_by("service"), "{target}: {outcome:?}");
            self.heard(&text);
        }
    }

    /// Whether this kernel can make that attempt: false, with a line that says so, if without a
    /// guard its answer is EOPNOTSUPP. Otherwise the attempt must reach the service.
    #[track_caller]
    pub(crate) fn is_supported(&self, attack: &Attack) -> bool {
        for (who, attack, _, outcome) in self.run(&[attack]) {
            match outcome {
                Outcome::Refused { errno, .. } if errno == Errno::OPNOTSUPP.raw_os_error() => {
                    eprintln!("not on this kernel: {attack:?}");
                    return false;
                }
                _ => assert!(
                    outcome.answered_by("service"),
                    "{attack:?} by {who:?}: {outcome:?}"
                ),
            }
        }
        true
    }

    /// Every attempt reaches the service.
    #[track_caller]
    pub(crate) fn all_reach(&self, attacks: &[Attack]) {
        let attacks: Vec<_> = attacks.iter().collect();
        for (who, attack, number, outcome) in self.run(&attacks) {
            let told = format!("{attack:?} by {who:?}: {outcome:?}");
            assert!(outcome.answered_by("service"), "{told}");
            self.heard(&text(number));
        }
    }

    /// No attempt does, the service hears nothing of it, and the guard counts it.
    #[track_caller]
    fn none_reaches(&self, guard: &Guard<'_>, attacks: &[&Attack], layer: Layer) {
        self.gateway_reaches();
        let accepted = self.service.count("accepted");
        let refused = guard.refused();
        let outcomes = self.run(attacks);
        for (who, attack, _, outcome) in &outcomes {
            let told = format!("{layer:?}: {attack:?} by {who:?}: {outcome:?}");
            assert!(!outcome.reached(), "{told}");
            if attack.by_connect && layer != Layer::Ingress {
                assert!(outcome.is_forbidden(), "{told}");
            }
        }
        let more = guard.refused() - refused;
        assert!(more >= outcomes.len() as u64, "{layer:?}: {more} refusals");
        self.gateway_reaches();
        for (_, attack, number, _) in &outcomes {
            assert!(
                !self.service.received(&text(*number)),
                "{layer:?}: {attack:?}"
            );
        }
        assert_eq!(
            self.service.count("accepted"),
            accepted + GATEWAYS_WAYS.len(),
            "{layer:?}: somebody else was accepted"
        );
    }

    /// Waits until the service has reported a text that it answered.
    #[track_caller]
    fn heard(&self, text: &str) {
        poll::until(&format!("the service reports {text}"), || {
            self.service.received(text).then_some(())
        });
    }

    /// Runs each by both strangers, all at once.
    fn run<'a>(&self, attacks: &[&'a Attack]) -> Vec<(Who, &'a Attack, u16, Outcome)> {
        let mut running = Vec::new();
        for attack in attacks {
            for who in self.strangers() {
                let who = match attack.as_root {
                    true => who.as_root(),
                    false => who,
                };
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                let arguments = attack.arguments(number);
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let process = self.host.spawn(&who, &arguments);
                running.push((who, *attack, number, process));
            }
        }
        running
            .into_iter()
            .map(|(who, attack, number, process)| (who, attack, number, process.outcome()))
            .collect()
    }
}

impl Layer {
    /// Starts a guard with these programs.
    #[track_caller]
    pub(crate) fn start(self, setup: GuardSetup<'_>) -> Guard<'_> {
        match self {
            Self::All => setup.start(),
            Self::Connect => setup.programs("connect4,connect6").start(),
            Self::Ingress => setup.programs("ingress").start(),
        }
    }

    fn sees(self, attack: &Attack) -> bool {
        self != Self::Connect || attack.by_connect
    }
}

const GATEWAYS_WAYS: [&str; 2] = ["127.0.0.1:3939", "[::1]:3939"];
