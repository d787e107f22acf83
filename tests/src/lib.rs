//! Black-box tests of the built `connect-gateway`: their harness, and a double of Posit Connect.

pub mod double;
pub mod harness;
