//! What is measured: the names and units of reports.

/// One kind of figure. Its name is an API: reports have it, and what reads them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Metric {
    /// `cpu`: the subject's CPU time for one of the scenario's units of work.
    Cpu,
    /// `cpu_user`: the part of it outside the kernel.
    CpuUser,
    /// `cpu_system`: the part of it in the kernel.
    CpuSystem,
    /// `syscalls`: system calls of the subject.
    Syscalls,
    /// `switches`: context switches of the subject.
    Switches,
    /// `datagrams`: UDP datagrams, both ways.
    Datagrams,
    /// `datagrams_per_receive`: datagrams to the subject for each of its calls that receives some.
    DatagramsPerReceive,
    /// `datagrams_per_send`: datagrams of the subject for each of its calls that sends some.
    DatagramsPerSend,
    /// `memory`: what the subject has in memory, at the end of a round.
    Memory,
    /// `memory_per_connection`: how much that grew for each idle connection.
    MemoryPerConnection,
    /// `rate`: units of work a second, by the wall clock.
    Rate,
    /// `busy`: how much of its core the subject used. Well below 100 % something else was the limit,
    /// and work came to it one by one, which costs more than work that comes in bulk.
    Busy,
    /// `latency_p50`: half of the answers took less.
    LatencyP50,
    /// `latency_p99`: one answer in a hundred took longer.
    LatencyP99,
    /// `latency_p999`: one answer in a thousand took longer.
    LatencyP999,
}

/// What work is counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// New connections.
    Connection,
    /// Payload, both ways.
    Gib,
    /// Messages on WebSockets.
    Message,
    /// Requests.
    Request,
}

impl Metric {
    /// As reports have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Cpu => "cpu",
            Self::CpuSystem => "cpu_system",
            Self::CpuUser => "cpu_user",
            Self::Datagrams => "datagrams",
            Self::DatagramsPerReceive => "datagrams_per_receive",
            Self::DatagramsPerSend => "datagrams_per_send",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP99 => "latency_p99",
            Self::LatencyP999 => "latency_p999",
            Self::Memory => "memory",
            Self::MemoryPerConnection => "memory_per_connection",
            Self::Rate => "rate",
            Self::Switches => "switches",
            Self::Syscalls => "syscalls",
        }
    }

    /// What its figures are in, if work is counted in `unit`.
    pub(crate) fn unit(self, unit: Unit) -> String {
        let of = unit.name();
        match (self, unit) {
            (Self::Busy, _) => "%".to_owned(),
            (Self::Cpu | Self::CpuSystem | Self::CpuUser, Unit::Gib) => "s/GiB".to_owned(),
            (Self::Cpu | Self::CpuSystem | Self::CpuUser, _) => format!("µs/{of}"),
            (Self::DatagramsPerReceive | Self::DatagramsPerSend, _) => "1/call".to_owned(),
            (Self::LatencyP50 | Self::LatencyP99 | Self::LatencyP999, _) => "µs".to_owned(),
            (Self::Memory, _) => "MiB".to_owned(),
            (Self::MemoryPerConnection, _) => "KiB/connection".to_owned(),
            (Self::Rate, _) => format!("{of}/s"),
            (Self::Datagrams | Self::Switches | Self::Syscalls, _) => format!("1/{of}"),
        }
    }

    /// How far half of the rounds may lie apart, as a share of their median, before they say nothing. Wall-clock
    /// time depends on everything else that the machine does.
    pub(crate) const fn tolerance(self) -> f64 {
        match self {
            Self::Cpu
            | Self::Datagrams
            | Self::DatagramsPerReceive
            | Self::DatagramsPerSend
            | Self::Memory
            | Self::MemoryPerConnection
            | Self::Syscalls => 0.25,
            Self::CpuSystem | Self::CpuUser => 0.35,
            Self::Busy | Self::LatencyP50 | Self::LatencyP99 | Self::LatencyP999 | Self::Rate => {
                0.7
            }
            // Hardly any: what little there is comes from others.
            Self::Switches => f64::INFINITY,
        }
    }
}

impl Unit {
    /// In the singular.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Gib => "GiB",
            Self::Message => "message",
            Self::Request => "request",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Metric; 15] = [
        Metric::Busy,
        Metric::Cpu,
        Metric::CpuSystem,
        Metric::CpuUser,
        Metric::Datagrams,
        Metric::DatagramsPerReceive,
        Metric::DatagramsPerSend,
        Metric::LatencyP50,
        Metric::LatencyP99,
        Metric::LatencyP999,
        Metric::Memory,
        Metric::MemoryPerConnection,
        Metric::Rate,
        Metric::Switches,
        Metric::Syscalls,
    ];

    #[test]
    fn every_metric_is_documented_with_its_unit() {
        let documented = include_str!("../../docs/performance.md");
        for metric in ALL {
            let row = format!("| `{}` | {} |", metric.name(), metric.unit(Unit::Request));
            assert!(documented.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_volume_costs_seconds() {
        assert_eq!(Metric::Cpu.unit(Unit::Gib), "s/GiB");
        assert_eq!(Metric::Rate.unit(Unit::Gib), "GiB/s");
        assert_eq!(Metric::Syscalls.unit(Unit::Message), "1/message");
    }
}
