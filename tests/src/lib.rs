//! Black-box tests of the built `connect-gateway`: their harness, a double of Posit Connect, and
//! the hosts and attackers that the guard is tested with.

pub mod attacker;
pub mod double;
pub mod harness;
pub mod host;
pub mod relay;
