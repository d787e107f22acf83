//! What the kernel holds of a connection over loopback: `/proc/net/tcp` (proc_net_tcp in the
//! kernel's documentation), where each of its two ends has a line.

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Whether neither end has closed or reset it.
    pub established: bool,
    /// Bytes that its program has written and the other end's kernel has not accepted.
    pub unsent: u64,
    /// Bytes that have arrived and that its program has not read.
    pub unread: u64,
}

impl Socket {
    /// The end with the port `local` of the connection to `remote`; none once it is forgotten.
    pub fn find(local: u16, remote: u16) -> Option<Self> {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let port = |at: usize| fields[at].split_once(':').map(|(_, port)| hex(port));
            let fits = (port(1), port(2)) == (Some(u64::from(local)), Some(u64::from(remote)));
            let (unsent, unread) = fields[4].split_once(':').unwrap();
            fits.then(|| Self {
                established: fields[3] == "01",
                unsent: hex(unsent),
                unread: hex(unread),
            })
        })
    }

    /// How many bytes the kernel holds on their way from one port to the other.
    pub fn in_flight(from: u16, to: u16) -> u64 {
        Self::find(from, to).map_or(0, |socket| socket.unsent)
            + Self::find(to, from).map_or(0, |socket| socket.unread)
    }
}

fn hex(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).unwrap()
}
