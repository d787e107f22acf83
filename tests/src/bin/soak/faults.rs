//! Which connections fail, and how.

use std::time::Duration;

use gateway_tests::harness::Random;
use gateway_tests::relay::{Fault, Order, Way};

/// The orders of one connection: most have none.
pub(crate) fn orders(random: &mut Random) -> Vec<Order> {
    if !random.once_in(5) {
        return Vec::new();
    }
    let way = match random.below(2) {
        0 => Way::Down,
        _ => Way::Up,
    };
    let fault = match random.below(16) {
        0 => Fault::Lose,
        // Longer than every time-out of the gateway's lasts.
        1 => Fault::Stall(Duration::from_secs(15)),
        2..6 => Fault::Delay(Duration::from_millis(random.number() % 300)),
        6..11 => Fault::Cut,
        _ => Fault::Reset,
    };
    let after = random.magnitude(20);
    vec![Order { way, after, fault }]
}
