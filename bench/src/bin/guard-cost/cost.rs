//! What the guard costs, from the kernel's run-time statistics, less an empty program's.
//!
//! The empty programs see the same packets and connects in the same moments, so what slows down
//! one slows down the other. What others on this host send meanwhile is counted as packets to other
//! ports, and told.

use anyhow::{Context, Result, bail};
use gateway_bench::figures::Figures;
use guard::{Baseline, Guard, Mode, Options, Program, Reason, Rules, Runs};

use crate::traffic::Traffic;

/// One round; all times in nanoseconds, less an empty program's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// For a packet to a port that is not protected.
    pub(crate) other: f64,
    /// For a packet to a protected port on a connection whose peer was verified.
    pub(crate) protected: f64,
    /// For the connect call to a protected port.
    pub(crate) call: f64,
    /// For the three packets of a connection to a protected port.
    pub(crate) handshake: f64,
    /// Packets of a proxied request to the protected port.
    pub(crate) protected_packets: f64,
    /// Packets of a proxied request to other ports.
    pub(crate) other_packets: f64,
    /// The share of packets that were not ours.
    pub(crate) foreign: f64,
}

impl Round {
    /// For a proxied request: packets by what each costs.
    pub(crate) fn request(&self) -> f64 {
        self.protected_packets * self.protected + self.other_packets * self.other
    }
}

/// Measures one round, with guard and empty programs attached all the time. They are loaded anew
/// for it: where in memory they come to lie is a part of the spread.
pub(crate) fn measure(rules: &Rules, traffic: &Traffic<'_>) -> Result<Round> {
    let options = Options {
        pins: None,
        programs: None,
        statistics: true,
    };
    let guard = Guard::start(rules.clone(), Mode::Enforce, options)?;
    let baseline = Baseline::attach(true)?;
    if traffic.is_open()? {
        bail!("the guard refuses nobody");
    }
    let meter = Meter {
        guard: &guard,
        baseline: &baseline,
        traffic,
    };
    meter.round()
}

struct Meter<'a> {
    guard: &'a Guard,
    baseline: &'a Baseline,
    traffic: &'a Traffic<'a>,
}

/// What the programs did so far, or in a window.
#[derive(Clone, Copy, Debug)]
struct Sample {
    ingress: Runs,
    connect: Runs,
    empty_packet: Runs,
    empty_connect: Runs,
    /// Packets on connections whose peer was verified.
    verified: u64,
}

impl Meter<'_> {
    fn round(&self) -> Result<Round> {
        let mut pair = self.traffic.to_public()?;
        let others = self.windows(|| pair.round_trip())?;
        let mut pair = self.traffic.to_protected()?;
        let protected = self.windows(|| pair.round_trip())?;
        let mut proxied = self.traffic.proxied()?;
        let requests = self.windows(|| proxied.request())?;
        let connect = || self.windows(|| self.traffic.connect());
        let connects = self.traffic.as_gateway(connect)?;

        // With the measuring, as it is part of what the other samples contain.
        let other = median(others.iter().map(|sample| sample.ingress.each()))?;
        let per_request = TRIPS as f64;
        Ok(Round {
            other: median(
                others
                    .iter()
                    .map(|sample| Ok(sample.ingress.each()? - sample.empty_packet.each()?)),
            )?,
            protected: median(protected.iter().map(|sample| sample.protected(other)))?,
            call: median(connects.iter().map(Sample::call))?,
            handshake: median(connects.iter().map(|sample| sample.handshake(other)))?,
            protected_packets: median(
                requests
                    .iter()
                    .map(|sample| Ok(sample.verified as f64 / per_request)),
            )?,
            other_packets: median(
                requests
                    .iter()
                    .map(|sample| Ok(sample.others()? as f64 / per_request)),
            )?,
            foreign: foreign(&others, 2 * TRIPS)
                .max(foreign(&protected, 2 * TRIPS))
                .max(foreign(&requests, 4 * TRIPS))
                .max(foreign(&connects, 4 * TRIPS)),
        })
    }

    /// Does the same again and again.
    fn windows(&self, mut work: impl FnMut() -> Result<()>) -> Result<Vec<Sample>> {
        // The first packets of a connection are acknowledged one by one.
        for _ in 0..TRIPS {
            work()?;
        }
        let window = |_| {
            let before = self.sample()?;
            for _ in 0..TRIPS {
                work()?;
            }
            self.sample()?.since(&before)
        };
        (0..WINDOWS).map(window).collect()
    }

    fn sample(&self) -> Result<Sample> {
        let links = self.guard.links();
        let runs = |program: Program| {
            let link = links.iter().find(|link| link.program == program.as_str());
            let link = link.filter(|link| link.attached);
            let link = link.with_context(|| format!("{} is not attached", program.as_str()))?;
            anyhow::Ok(Runs {
                runs: link.runs,
                run_time: link.run_time,
            })
        };
        let counts = self.guard.counts()?;
        let verified = counts
            .iter()
            .filter(|count| count.program == Program::Ingress && count.reason == Reason::Verified);
        Ok(Sample {
            ingress: runs(Program::Ingress)?,
            connect: runs(Program::Connect4)?,
            empty_packet: self.baseline.packets()?,
            empty_connect: self.baseline.connects()?,
            verified: verified.map(|count| count.count).sum(),
        })
    }
}

impl Sample {
    /// What was done between.
    fn since(&self, before: &Self) -> Result<Self> {
        Ok(Self {
            ingress: since(self.ingress, before.ingress)?,
            connect: since(self.connect, before.connect)?,
            empty_packet: since(self.empty_packet, before.empty_packet)?,
            empty_connect: since(self.empty_connect, before.empty_connect)?,
            verified: self
                .verified
                .checked_sub(before.verified)
                .context(BACKWARDS)?,
        })
    }

    /// Packets to other ports.
    fn others(&self) -> Result<u64> {
        let others = self.ingress.runs.checked_sub(self.verified);
        others.context("more packets were verified than seen")
    }

    /// The time for a packet on a verified connection, when one to another port takes `other`.
    fn protected(&self, other: f64) -> Result<f64> {
        if self.verified == 0 {
            bail!("no packet was verified");
        }
        let time = self.ingress.run_time as f64 - self.others()? as f64 * other;
        Ok(time / self.verified as f64 - self.empty_packet.each()?)
    }

    /// The time for a connect call.
    fn call(&self) -> Result<f64> {
        Ok(self.connect.each()? - self.empty_connect.each()?)
    }

    /// The time for a connection's packets: SYN, SYN and ACK, ACK.
    fn handshake(&self, other: f64) -> Result<f64> {
        let others = self.ingress.runs.checked_sub(3 * TRIPS);
        let others = others.context("fewer packets were seen than sent")?;
        let time = self.ingress.run_time as f64 - others as f64 * other;
        Ok(time / TRIPS as f64 - 3.0 * self.empty_packet.each()?)
    }
}

/// The time for one run.
pub(crate) trait Each {
    /// In nanoseconds; an error without a run.
    fn each(&self) -> Result<f64>;
}

impl Each for Runs {
    fn each(&self) -> Result<f64> {
        if self.runs == 0 {
            bail!("the kernel counted no run: are its run-time statistics on?");
        }
        Ok(self.run_time as f64 / self.runs as f64)
    }
}

/// What was run between.
pub(crate) fn since(now: Runs, before: Runs) -> Result<Runs> {
    let difference = |now: u64, before: u64| now.checked_sub(before).context(BACKWARDS);
    Ok(Runs {
        runs: difference(now.runs, before.runs)?,
        run_time: difference(now.run_time, before.run_time)?,
    })
}

/// Interruptions spoil single windows; the median does not see them.
pub(crate) fn median(values: impl Iterator<Item = Result<f64>>) -> Result<f64> {
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(Figures::of(&values).context("no window")?.median)
}

/// The share of packets in windows of which each should have had `own`.
fn foreign(windows: &[Sample], own: u64) -> f64 {
    let seen: u64 = windows.iter().map(|sample| sample.ingress.runs).sum();
    let own = own * windows.len() as u64;
    seen.saturating_sub(own) as f64 / seen as f64
}

const BACKWARDS: &str = "a counter ran backwards";
/// Round trips, requests, connections or datagrams in a window.
pub(crate) const TRIPS: u64 = 200;
pub(crate) const WINDOWS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(runs: u64, each: u64) -> Runs {
        Runs {
            runs,
            run_time: runs * each,
        }
    }

    /// In which the guard saw nothing.
    fn idle() -> Sample {
        Sample {
            ingress: runs(0, 0),
            connect: runs(0, 0),
            empty_packet: runs(10, 40),
            empty_connect: runs(10, 30),
            verified: 0,
        }
    }

    #[test]
    fn packets_to_other_ports_are_taken_out() {
        // 10 verified ones of 150 ns, 30 others of 70 ns.
        let ingress = Runs {
            runs: 40,
            run_time: 10 * 150 + 30 * 70,
        };
        let sample = Sample {
            ingress,
            verified: 10,
            ..idle()
        };
        assert_eq!(sample.protected(70.0).unwrap(), 110.0);
        assert_eq!(sample.others().unwrap(), 30);
        assert!(idle().protected(70.0).is_err());
    }

    #[test]
    fn a_connection_is_three_packets_and_a_call() {
        let ingress = Runs {
            runs: 3 * TRIPS + 5,
            run_time: 3 * TRIPS * 90 + 5 * 70,
        };
        let sample = Sample {
            ingress,
            connect: runs(TRIPS, 80),
            ..idle()
        };
        assert_eq!(sample.handshake(70.0).unwrap(), 3.0 * (90.0 - 40.0));
        assert_eq!(sample.call().unwrap(), 80.0 - 30.0);
        assert!(idle().handshake(70.0).is_err());
    }

    #[test]
    fn statistics_that_are_off_are_an_error() {
        assert!(runs(0, 0).each().is_err());
        assert_eq!(runs(2, 21).each().unwrap(), 21.0);
    }

    #[test]
    fn a_window_is_the_difference_of_two_samples() {
        let (early, late) = (runs(3, 10), runs(8, 10));
        assert_eq!(since(late, early).unwrap(), runs(5, 10));
        assert!(since(early, late).is_err());
    }

    #[test]
    fn what_is_too_much_is_foreign() {
        let seen = Sample {
            ingress: runs(500, 1),
            ..idle()
        };
        assert_eq!(foreign(&[seen, seen], 400), 0.2);
        assert_eq!(foreign(&[seen], 500), 0.0);
    }
}
