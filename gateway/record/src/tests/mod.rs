//! Our records against stock rustls as the peer, and as the oracle.

mod alike;
mod early;
mod ends;
mod faults;
mod handshakes;
mod hostile;
mod streams;
mod support;
mod updates;
