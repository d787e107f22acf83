//! Keys, values and events that cross the line between user space and the kernel programs.
//!
//! Every type is `repr(C)` without implicit padding, so that each byte of it is initialised; sizes
//! are asserted where their bytes are declared. Addresses are 16 bytes in network order, IPv4 as v4-mapped (RFC 4291,
//! section 2.5.5.2). Ports are in host order unless a name says otherwise.

/// A cgroup, matched by "this one or one below it".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ancestor {
    /// The cgroup's id; 0: no cgroup at all, which matches nothing.
    pub id: u64,
    /// Its depth below the root of cgroup v2; the root's is 0 and never stands here.
    pub level: u32,
    /// Zero.
    pub padding: u32,
}

/// What holds for every endpoint; the only entry of the map `SETTINGS`. What every decision needs
/// comes first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The gateway's slice.
    pub gateway: Ancestor,
    /// 1: refuse; 0: let pass and report what would be refused.
    pub enforce: u32,
    /// Changes with every change of the rules: a socket that was verified under another epoch is
    /// verified again.
    pub epoch: u32,
    /// How many of `exception_uids` are set.
    pub exception_uid_count: u32,
    /// [`Settings::LAYOUT`]; another number, or 0, is another version's.
    pub layout: u32,
    /// Cgroups that may connect beside the gateway; unused ones have id 0.
    pub exceptions: [Ancestor; MAX_EXCEPTIONS],
    /// Users who may connect beside the gateway: the first `exception_uid_count` are set.
    pub exception_uids: [u32; MAX_EXCEPTIONS],
}

impl Settings {
    /// The number of this layout, to be changed with it: a command may meet the map of an older
    /// service.
    pub const LAYOUT: u32 = 2;
}

/// A protected local port; a value of the array `SERVICES`. `LOCAL_PORTS` tells its place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The cookie of the service's network namespace.
    pub namespace: u64,
    /// The service's cgroup; id 0 while it does not exist.
    pub cgroup: Ancestor,
    /// Whom the service's sockets belong to, if [`Service::CHECK_UID`].
    pub uid: u32,
    /// Any of the constants below.
    pub flags: u32,
}

impl Service {
    /// The port is protected on every address, not only on those in `ADDRESSES`.
    pub const ANY_ADDRESS: u32 = 1;
    /// The receiving socket must belong to `uid`.
    pub const CHECK_UID: u32 = 2;
    /// Nobody else may bind the port.
    pub const RESERVE: u32 = 4;
}

/// An address and port: the key of `ADDRESSES` (local) and `REMOTES`. In `REMOTES` an entry with
/// port 0 stands for the address itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: [u8; 16],
    /// The port.
    pub port: u16,
    /// Zero.
    pub padding: u16,
}

/// The data of a key of `ALLOWED`, a trie: the endpoint's port, which always counts whole
/// ([`Source::PORT_BITS`]), then a source's address or network.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// The protected port, in network order.
    pub port: [u8; 2],
    /// The source.
    pub address: [u8; 16],
}

impl Source {
    /// Bits of the port: the least prefix length.
    pub const PORT_BITS: u32 = 16;
    /// Bits of port and address: the prefix length of a single address.
    pub const BITS: u32 = 144;
}

/// One decision that refuses, or would refuse under [`Settings::enforce`]; in the ring `EVENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub time: u64,
    /// The cgroup of the process (connect, bind) or of the sending socket; 0: unknown.
    pub cgroup: u64,
    /// The process; 0 where a packet was refused, since it may be sent in anybody's context.
    pub pid: u32,
    /// The user; meaningful only if `pid` is.
    pub uid: u32,
    /// Where the packet came in (1 is lo) or goes out; 0 for connect and bind.
    pub interface: u32,
    /// Which program: a [`Program`].
    pub program: u8,
    /// Why: a [`Reason`].
    pub reason: u8,
    /// 1: refused; 0: it would have been.
    pub enforced: u8,
    /// Zero.
    pub padding: u8,
    /// Who asks; zero for connect.
    pub source: [u8; 16],
    /// For what.
    pub destination: [u8; 16],
    /// Its port; 0: none.
    pub source_port: u16,
    /// Its port.
    pub destination_port: u16,
    /// Zero.
    pub padding2: u32,
    /// The process's name, padded with zeros.
    pub command: [u8; 16],
}

/// The UDP sockets of one listening address, which is the key in `GROUPS`, as far as datagrams are
/// steered to them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Half of the keys of connection IDs.
    pub conceal: [u64; 2],
    /// The other half.
    pub prove: [u64; 2],
    /// The cookie of the network namespace.
    pub namespace: u64,
    /// The generation that new connections go to.
    pub newest: u16,
    /// Zero.
    pub padding: [u16; 3],
    /// Each at the place of its number, modulo their count.
    pub generations: [Generation; GENERATIONS],
}

impl Group {
    /// The number of this layout, and of what `SOCKETS` holds: to be changed with them. Maps of
    /// another one are another version's.
    pub const LAYOUT: u32 = 1;
}

/// A process of the gateway's, in a [`Group`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The place in `SOCKETS` of its worker 0; the others follow.
    pub base: u32,
    /// Its number.
    pub number: u16,
    /// How many workers it has; 0: nobody has this place.
    pub workers: u16,
}

/// Gives a type its bytes, in the order of its fields, for maps that user space reads and writes.
macro_rules! bytes {
    ($type:ident $size:literal { $($field:ident)* }) => {
        impl $type {
            /// Its size in bytes.
            pub const SIZE: usize = $size;

            /// As it lies in memory.
            pub fn to_bytes(&self) -> [u8; $size] {
                let mut writer = Writer { bytes: [0; $size], at: 0 };
                $(self.$field.write(&mut writer);)*
                writer.bytes
            }

            /// From memory.
            pub fn from_bytes(bytes: &[u8; $size]) -> Self {
                let mut reader = Reader { bytes, at: 0 };
                Self { $($field: Field::read(&mut reader),)* }
            }
        }

        impl Field for $type {
            fn write(&self, writer: &mut impl Write) {
                $(self.$field.write(writer);)*
            }

            fn read(reader: &mut impl Read) -> Self {
                Self { $($field: Field::read(reader),)* }
            }
        }

        const _: () = assert!(size_of::<$type>() == $size);
    };
}

bytes! { Ancestor 16 { id level padding } }
bytes! { Settings 192 {
    gateway enforce epoch exception_uid_count layout exceptions exception_uids
} }
bytes! { Service 32 { namespace cgroup uid flags } }
bytes! { Endpoint 20 { address port padding } }
bytes! { Source 18 { port address } }
bytes! { Group 304 { conceal prove namespace newest padding generations } }
bytes! { Generation 8 { base number workers } }
bytes! { Event 88 {
    time cgroup pid uid interface program reason enforced padding source destination source_port
    destination_port padding2 command
} }

/// Something that has bytes.
trait Field {
    fn write(&self, writer: &mut impl Write);
    fn read(reader: &mut impl Read) -> Self;
}

trait Write {
    fn put<const N: usize>(&mut self, bytes: [u8; N]);
}

trait Read {
    fn take<const N: usize>(&mut self) -> [u8; N];
}

struct Writer<const SIZE: usize> {
    bytes: [u8; SIZE],
    at: usize,
}

struct Reader<'a, const SIZE: usize> {
    bytes: &'a [u8; SIZE],
    at: usize,
}

impl<const SIZE: usize> Write for Writer<SIZE> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&bytes);
        self.at += N;
    }
}

impl<const SIZE: usize> Read for Reader<'_, SIZE> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        bytes
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn write(&self, writer: &mut impl Write) {
                writer.put(self.to_ne_bytes());
            }

            fn read(reader: &mut impl Read) -> Self {
                Self::from_ne_bytes(reader.take())
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 }

impl<T: Field + Copy + Default, const N: usize> Field for [T; N] {
    fn write(&self, writer: &mut impl Write) {
        for element in self {
            element.write(writer);
        }
    }

    fn read(reader: &mut impl Read) -> Self {
        let mut array = [T::default(); N];
        for element in &mut array {
            *element = T::read(reader);
        }
        array
    }
}

/// Declares an enum whose variants are numbered from 0, with names for users.
macro_rules! numbered {
    ($(#[$docs:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident $name:literal,)* }) => {
        $(#[$docs])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            /// All, by their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as in logs, metrics and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// By its number; `None` if there is no such.
            pub fn of(number: u8) -> Option<Self> {
                Self::ALL.get(number as usize).copied()
            }
        }
    };
}

numbered! {
    /// A kernel program that decides.
    Program {
        /// `cgroup/bind4`: who may take a protected port.
        Bind4 "bind4",
        /// `cgroup/bind6`.
        Bind6 "bind6",
        /// `cgroup/connect4`: refuses early, and knows the process.
        Connect4 "connect4",
        /// `cgroup/connect6`.
        Connect6 "connect6",
        /// `cgroup_skb/egress`: the boundary of remote endpoints.
        Egress "egress",
        /// `cgroup_skb/ingress`: the boundary of local endpoints.
        Ingress "ingress",
    }
}

numbered! {
    /// Why a program lets something pass, or not.
    Reason {
        /// Passes: the end of a connection whose socket is gone; it carries no data.
        Closing "closing",
        /// Passes: a configured exception.
        Exception "exception",
        /// Passes: the gateway.
        Gateway "gateway",
        /// Passes: from outside, and in `allow_from`.
        Listed "listed",
        /// Passes: a reset of a connection.
        Reset "reset",
        /// Passes: the service takes its own port.
        Service "service",
        /// Passes: the socket was verified before.
        Verified "verified",
        /// Refused: the packet cannot be read as TCP up to its ports, and might be for an endpoint.
        Malformed "malformed",
        /// Refused: a local sender without a socket (a raw packet, a closed connection).
        NoSender "no_sender",
        /// Refused: a local process outside the gateway's slice.
        NotGateway "not_gateway",
        /// Refused: from outside, and not in `allow_from`.
        NotListed "not_listed",
        /// Refused: the receiver, or who binds, is not the service.
        NotService "not_service",
    }
}

numbered! {
    /// Where a datagram was steered to. Numbers are places in the per-CPU array `STEERED`.
    Steered {
        /// To the worker that has its connection.
        Home "home",
        /// To a worker of the newest process, by its addresses: it names no connection of ours.
        Spread "spread",
        /// The same: the connection that it names was of a process or worker that is gone.
        Orphaned "orphaned",
        /// Nowhere: the kernel spreads over all sockets of the address.
        Unsteered "unsteered",
    }
}

impl Reason {
    /// Whether it lets pass.
    pub const fn passes(self) -> bool {
        (self as u8) < Self::Malformed as u8
    }
}

/// The place of a counter in the per-CPU array `VERDICTS`.
pub const fn verdict(program: Program, reason: Reason, enforced: bool) -> u32 {
    let row = program as u32 * 2 + enforced as u32;
    row * Reason::ALL.len() as u32 + reason as u32
}

/// Places in `VERDICTS`.
pub const VERDICTS: u32 = Program::ALL.len() as u32 * 2 * Reason::ALL.len() as u32;

/// The most exceptions by cgroup, and by user.
pub const MAX_EXCEPTIONS: usize = 8;
/// The most local endpoints, and the most remote ones.
pub const MAX_ENDPOINTS: u32 = 64;
/// The most entries of all `allow_from` lists.
pub const MAX_ALLOWED: u32 = 1024;
/// The most listening addresses that datagrams are steered for.
pub const MAX_GROUPS: u32 = 64;
/// Processes of the gateway's at once, for one address.
pub const GENERATIONS: usize = 32;
/// Sockets that datagrams are steered to, of all addresses and processes.
pub const MAX_SOCKETS: u32 = 8192;
/// The size of the ring of events, in bytes.
pub const RING_BYTES: u32 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_lists() {
        for (number, program) in (0u8..).zip(Program::ALL) {
            assert_eq!(*program as u8, number);
            assert_eq!(Program::of(number), Some(*program));
        }
        for (number, reason) in (0u8..).zip(Reason::ALL) {
            assert_eq!(*reason as u8, number);
            assert_eq!(Reason::of(number), Some(*reason));
        }
        assert_eq!(Reason::of(Reason::ALL.len() as u8), None);
    }

    #[test]
    fn verdicts_have_places_of_their_own() {
        let mut taken = [false; VERDICTS as usize];
        for program in Program::ALL {
            for reason in Reason::ALL {
                for enforced in [false, true] {
                    let place = &mut taken[verdict(*program, *reason, enforced) as usize];
                    assert!(!*place);
                    *place = true;
                }
            }
        }
        assert!(taken.iter().all(|place| *place));
    }

    #[test]
    fn bytes_come_back() {
        let settings = Settings {
            gateway: Ancestor {
                id: 1 << 40 | 7,
                level: 2,
                padding: 0,
            },
            exception_uids: [1, 2, 3, 4, 5, 6, 7, u32::MAX],
            exception_uid_count: 8,
            enforce: 1,
            epoch: 99,
            ..Settings::default()
        };
        assert_eq!(Settings::from_bytes(&settings.to_bytes()), settings);
        let event = Event {
            time: u64::MAX,
            enforced: 1,
            source: [9; 16],
            destination_port: 3939,
            command: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
            ..Event::default()
        };
        assert_eq!(Event::from_bytes(&event.to_bytes()), event);
        // The place that `repr(C)` gives it.
        assert_eq!(core::mem::offset_of!(Event, destination_port), 66);
        assert_eq!(event.to_bytes()[66..68], 3939u16.to_ne_bytes());
    }

    #[test]
    fn a_groups_bytes_come_back() {
        let mut group = Group {
            conceal: [1, u64::MAX],
            prove: [3, 4],
            namespace: 5,
            newest: 0xfffe,
            ..Group::default()
        };
        group.generations[30] = Generation {
            base: 8190,
            number: 0xfffe,
            workers: 2,
        };
        assert_eq!(Group::from_bytes(&group.to_bytes()), group);
        // The place that `repr(C)` gives it.
        let at = core::mem::offset_of!(Group, generations) + 30 * Generation::SIZE;
        assert_eq!(group.to_bytes()[at..at + 4], 8190u32.to_ne_bytes());
    }

    #[test]
    fn reasons_that_pass_come_first() {
        assert!(Reason::Verified.passes());
        assert!(!Reason::Malformed.passes());
        assert!(!Reason::NotService.passes());
    }
}
