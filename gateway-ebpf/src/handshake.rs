//! Handshakes that the gateway began a moment ago.
//!
//! The packet that completes a handshake meets the listener, as the one that began it did, and asking
//! for its sender again would cost as much as all else. This is no table of flows: it may forget a
//! handshake at any time, and then the sender is asked for. Nor does it open anything. What passes by
//! it is an acknowledgement without data, at a listener; it gets nowhere without a handshake that
//! was judged, and the first packet on the connection itself is judged by its sender again.

use gateway_ebpf::abi::Settings;
use gateway_ebpf::packet::Segment;
use gateway_ebpf::quick::{Brief, destination, source};

use crate::maps::HANDSHAKES;
use crate::skb::Skb;

/// One over IPv4; those over IPv6 are not remembered.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Handshake {
    /// As it lies in the packet.
    source: u32,
    /// As it lies in the packet.
    destination: u32,
    source_port: u16,
    destination_port: u16,
    /// In which its first packet was judged.
    epoch: u32,
}

impl Handshake {
    /// How many are remembered on each CPU: a power of 2. Each has its place by its source port.
    pub const PLACES: u32 = 256;

    /// The one to which a segment belongs; `None` if it is not over IPv4.
    #[inline(always)]
    pub fn of(skb: &Skb<'_>, segment: &Brief, settings: &Settings) -> Option<Self> {
        if !segment.v4 {
            return None;
        }
        let ([source, ..], [destination, ..]) = (source(skb, true)?, destination(skb, true)?);
        Some(Self {
            source,
            destination,
            source_port: segment.source_port,
            destination_port: segment.destination_port,
            epoch: settings.epoch,
        })
    }

    /// Remembers it.
    #[inline(always)]
    pub fn remember(&self) {
        if let Some(place) = HANDSHAKES.get_ptr_mut(self.place()) {
            // SAFETY: the map's own element of this CPU.
            unsafe { *place = *self }
        }
    }

    /// Whether it is remembered.
    #[inline(always)]
    pub fn is_remembered(&self) -> bool {
        HANDSHAKES.get(self.place()).is_some_and(|place| {
            place.source == self.source
                && place.destination == self.destination
                && place.source_port == self.source_port
                && place.destination_port == self.destination_port
                && place.epoch == self.epoch
        })
    }

    #[inline(always)]
    fn place(&self) -> u32 {
        u32::from(self.source_port) % Self::PLACES
    }
}

/// Whether a segment may complete a handshake, and do nothing else.
#[inline(always)]
pub fn may_complete(segment: &Brief) -> bool {
    const OTHERS: u8 = Segment::SYN | Segment::FIN | Segment::RST;
    segment.flags & (Segment::ACK | OTHERS) == Segment::ACK && !segment.data
}
