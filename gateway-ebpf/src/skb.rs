//! Packets and sockets as `cgroup_skb` programs see them.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_sock_tuple};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_uid, bpf_sk_ancestor_cgroup_id, bpf_sk_fullsock,
    bpf_sk_release, bpf_sk_storage_get, bpf_skc_lookup_tcp, bpf_tcp_sock,
};
use aya_ebpf::programs::SkBuffContext;
use gateway_ebpf::abi::{Ancestor, Event, Settings};
use gateway_ebpf::packet::{Packet, Segment};
use gateway_ebpf::quick::{Brief, Words, destination, octets, source};

use crate::maps::{EXCEPTED, ORIGIN, VERIFIED, has_namespace_helper, raw};

/// A packet at the point where it meets a socket.
pub struct Skb<'a>(pub &'a SkBuffContext);

/// The socket of a packet: the one that receives it, or the one that sends it.
#[derive(Clone, Copy)]
pub struct Socket(*mut bpf_sock);

/// Who sent a packet that came over lo.
pub enum Sender {
    /// A socket in TIME_WAIT, whose owner is gone. It can send no data.
    Closed,
    /// One that an exception names.
    Exception,
    /// The gateway.
    Gateway,
    /// No socket that could have sent it.
    None,
    /// Anybody else, in this cgroup.
    Other(u64),
}

impl Packet for Skb<'_> {
    #[inline(always)]
    fn get<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.0.load(offset as usize).ok()
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.len()
    }
}

impl Words for Skb<'_> {
    #[inline(always)]
    fn word(&self, offset: usize) -> Option<u32> {
        let skb = self.0.skb.skb;
        // SAFETY: the context is valid as long as the program runs.
        let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
        if data + offset + 4 > end {
            return None;
        }
        // SAFETY: inside, as the verifier knows by the comparison. IP headers are aligned to 4.
        Some(unsafe { *((data + offset) as *const u32) })
    }
}

impl Skb<'_> {
    /// The packet's socket; `None` for what has no full one.
    #[inline(always)]
    pub fn socket(&self) -> Option<Socket> {
        let Socket(socket) = self.any_socket()?;
        // SAFETY: the context's own socket, not null.
        let socket = unsafe { bpf_sk_fullsock(socket) };
        (!socket.is_null()).then_some(Socket(socket))
    }

    /// The packet's socket, whether full or not: what it tells is its state, cgroup and notes.
    #[inline(always)]
    pub fn any_socket(&self) -> Option<Socket> {
        // SAFETY: the context is valid as long as the program runs.
        let socket = unsafe { (*self.0.skb.skb).__bindgen_anon_2.sk };
        (!socket.is_null()).then_some(Socket(socket))
    }

    /// The interface's number; lo has 1 in every namespace.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: the context is valid as long as the program runs.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    /// The user of the packet's socket.
    #[inline(always)]
    pub fn uid(&self) -> u32 {
        // SAFETY: the context is valid as long as the program runs.
        unsafe { bpf_get_socket_uid(self.0.skb.skb) }
    }

    /// Whether packet and socket are in this namespace. Where that cannot be told they count as in
    /// it: refusing too much is the safe side.
    #[inline(always)]
    pub fn is_in(&self, namespace: u64, socket: Socket) -> bool {
        if has_namespace_helper() {
            // SAFETY: the context is valid as long as the program runs.
            return unsafe { bpf_get_netns_cookie(self.0.as_ptr()) } == namespace;
        }
        // SAFETY: a full socket, and a map of the type of the pointer.
        let cookie =
            unsafe { bpf_sk_storage_get(raw(&ORIGIN), socket.0.cast(), ptr::null_mut(), 0) }
                .cast::<u64>();
        // SAFETY: not null: it is the map's value.
        cookie.is_null() || unsafe { *cookie } == namespace
    }

    /// Whether the gateway sent a segment that came over lo.
    #[inline(always)]
    pub fn is_gateways(&self, segment: &Brief, settings: &Settings) -> bool {
        let Some(sender) = self.lookup_sender(segment) else {
            return false;
        };
        let is_gateways = !matches!(sender.state(), LISTEN | NEW_SYN_RECV)
            && self.is_of(segment, sender)
            && sender.is_in(&settings.gateway);
        sender.release();
        is_gateways
    }

    /// Asks who sent a segment that came over lo.
    #[inline(always)]
    pub fn sender(&self, segment: &Brief, settings: &Settings) -> Sender {
        let Some(sender) = self.lookup_sender(segment) else {
            return Sender::None;
        };
        let who = match sender.state() {
            LISTEN | NEW_SYN_RECV => Sender::None,
            TIME_WAIT => Sender::Closed,
            _ if !self.is_of(segment, sender) => Sender::None,
            _ if sender.is_in(&settings.gateway) => Sender::Gateway,
            _ if sender.is_exception(settings) => Sender::Exception,
            _ => Sender::Other(sender.cgroup()),
        };
        sender.release();
        who
    }

    /// Whether a segment can be of the socket that was found for it. Two sockets have the same
    /// addresses if one of them is bound to an interface, which anybody may do: but only one of them
    /// has chosen this SYN's number, and waits for its answer.
    #[inline(always)]
    fn is_of(&self, segment: &Brief, sender: Socket) -> bool {
        if segment.flags & Segment::SYN == 0 {
            return true;
        }
        let sequence = self.get(segment.offset + 4).map(u32::from_be_bytes);
        matches!(sender.state(), SYN_SENT | SYN_RECV)
            && sequence.is_some()
            && sequence == sender.unacknowledged()
    }

    /// The socket with the reversed addresses, as in a packet that goes to it. It must be released.
    #[inline(always)]
    fn lookup_sender(&self, segment: &Brief) -> Option<Socket> {
        let ports = u32::from(segment.destination_port.to_be())
            | u32::from(segment.source_port.to_be()) << 16;
        if segment.v4 {
            let ([source, ..], [destination, ..]) = (source(self, true)?, destination(self, true)?);
            self.lookup(&[destination, source, ports])
        } else {
            let ([s0, s1, s2, s3], [d0, d1, d2, d3]) =
                (source(self, false)?, destination(self, false)?);
            self.lookup(&[d0, d1, d2, d3, s0, s1, s2, s3, ports])
        }
    }

    /// By the tuple of either family: its own address, the peer's, its own port and the peer's.
    #[inline(always)]
    fn lookup<const WORDS: usize>(&self, tuple: &[u32; WORDS]) -> Option<Socket> {
        // SAFETY: the helper reads as many bytes as it is told; what is found is released.
        let found = unsafe {
            bpf_skc_lookup_tcp(
                self.0.as_ptr(),
                tuple.as_ptr().cast_mut().cast::<bpf_sock_tuple>(),
                size_of_val(tuple) as u32,
                CURRENT_NAMESPACE,
                0,
            )
        };
        (!found.is_null()).then_some(Socket(found))
    }
}

impl Socket {
    /// Its state in the kernel's numbers (`TCP_ESTABLISHED` is 1).
    #[inline(always)]
    pub fn state(self) -> u32 {
        // SAFETY: a socket that the kernel gave.
        unsafe { (*self.0).state }
    }

    #[inline(always)]
    pub fn is_listening(self) -> bool {
        self.state() == LISTEN
    }

    /// Whether it is a TCP socket.
    #[inline(always)]
    pub fn is_tcp(self) -> bool {
        // SAFETY: a full socket that the kernel gave.
        unsafe { (*self.0).protocol == TCP }
    }

    /// Whether it is one of the sockets by which the kernel itself answers for connections that
    /// have no socket any more. A process needs CAP_NET_RAW to make one like it.
    #[inline(always)]
    pub fn is_kernels_own(self) -> bool {
        // SAFETY: a full socket that the kernel gave.
        unsafe { (*self.0).type_ == SOCK_RAW && (*self.0).protocol == TCP }
    }

    /// Its own port, in host order.
    #[inline(always)]
    pub fn port(self) -> u16 {
        // SAFETY: a full socket that the kernel gave.
        unsafe { (*self.0).src_port as u16 }
    }

    /// Whether it is bound to no address. The IPv4 form of an IPv6 socket's address is 0 only if its
    /// own is `::`.
    #[inline(always)]
    pub fn is_on_every_address(self) -> bool {
        // SAFETY: a full socket that the kernel gave.
        unsafe { (*self.0).src_ip4 == 0 }
    }

    /// Whether it belongs to a cgroup or to one below it.
    #[inline(always)]
    pub fn is_in(self, cgroup: &Ancestor) -> bool {
        // SAFETY: a socket that the kernel gave.
        let id = unsafe { bpf_sk_ancestor_cgroup_id(self.0.cast(), cgroup.level as i32) };
        id != 0 && id == cgroup.id
    }

    /// Whether one of the exceptions by cgroup holds for it, or one by user, who was noted when it
    /// connected. The socket's own user would not do: what a packet program is told of it is a
    /// number of the user namespace to which the network namespace belongs.
    #[inline(always)]
    pub fn is_exception(self, settings: &Settings) -> bool {
        self.is_excepted_cgroup(settings) || self.is_excepted_user(settings)
    }

    #[inline(always)]
    fn is_excepted_user(self, settings: &Settings) -> bool {
        match self.note(raw(&EXCEPTED)) {
            Some(uid) => is_excepted(uid, settings),
            None => false,
        }
    }

    #[inline(always)]
    fn is_excepted_cgroup(self, settings: &Settings) -> bool {
        for exception in &settings.exceptions {
            if exception.id == 0 {
                return false;
            }
            if self.is_in(exception) {
                return true;
            }
        }
        false
    }

    /// Whether its peer was verified under these rules.
    #[inline(always)]
    pub fn is_verified(self, settings: &Settings) -> bool {
        self.note(raw(&VERIFIED)) == Some(settings.epoch)
    }

    /// Notes that its peer was verified. Without memory for the note it is verified again at the
    /// next packet.
    #[inline(always)]
    pub fn set_verified(self, settings: &Settings) {
        let mut epoch = settings.epoch;
        // SAFETY: a full socket, and a map of u32.
        let note = unsafe {
            bpf_sk_storage_get(
                raw(&VERIFIED),
                self.0.cast(),
                (&raw mut epoch).cast(),
                u64::from(BPF_SK_STORAGE_GET_F_CREATE),
            )
        }
        .cast::<u32>();
        if !note.is_null() {
            // SAFETY: the map's value; an older note is overwritten.
            unsafe { *note = epoch };
        }
    }

    /// The first number that it has sent and that is not acknowledged; `None` if it is not TCP's.
    #[inline(always)]
    fn unacknowledged(self) -> Option<u32> {
        // SAFETY: a socket that the kernel gave.
        let tcp = unsafe { bpf_tcp_sock(self.0) };
        // SAFETY: not null: a TCP socket's part.
        (!tcp.is_null()).then(|| unsafe { (*tcp).snd_una })
    }

    /// Gives back a socket that was looked up.
    #[inline(always)]
    fn release(self) {
        // SAFETY: every socket that `Skb::lookup` finds is released once, here.
        unsafe { bpf_sk_release(self.0.cast()) };
    }

    /// The id of its own cgroup.
    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        // SAFETY: a socket that the kernel gave.
        unsafe { aya_ebpf::helpers::generated::bpf_sk_cgroup_id(self.0.cast()) }
    }

    #[inline(always)]
    fn note(self, map: *mut c_void) -> Option<u32> {
        // SAFETY: a socket that the kernel gave, and a map of u32.
        let note =
            unsafe { bpf_sk_storage_get(map, self.0.cast(), ptr::null_mut(), 0) }.cast::<u32>();
        if note.is_null() {
            None
        } else {
            // SAFETY: not null: the map's value.
            Some(unsafe { *note })
        }
    }
}

/// Whether an exception names a user (a number of the first user namespace).
#[inline(always)]
pub fn is_excepted(uid: u32, settings: &Settings) -> bool {
    for (i, excepted) in settings.exception_uids.iter().enumerate() {
        if i as u32 >= settings.exception_uid_count {
            return false;
        }
        if *excepted == uid {
            return true;
        }
    }
    false
}

/// What an event says about a segment.
#[inline(always)]
pub fn event_of(skb: &Skb<'_>, segment: &Brief, cgroup: u64) -> Event {
    Event {
        cgroup,
        interface: skb.interface(),
        source: octets(source(skb, segment.v4).unwrap_or_default(), segment.v4),
        destination: octets(destination(skb, segment.v4).unwrap_or_default(), segment.v4),
        source_port: segment.source_port,
        destination_port: segment.destination_port,
        ..Event::default()
    }
}

const CURRENT_NAMESPACE: u64 = -1i64 as u64;
const LISTEN: u32 = 10;
const NEW_SYN_RECV: u32 = 12;
const SYN_RECV: u32 = 3;
const SYN_SENT: u32 = 2;
const TIME_WAIT: u32 = 6;
const TCP: u32 = 6;
const SOCK_RAW: u32 = 3;
