//! A `Basic` credential that is accepted is what RFC 7617 makes of its two parts, and schemes do
//! not depend on case.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use wire::authorization::{Basic, Credential};

fuzz_target!(|value: &[u8]| {
    let credential = Credential::parse(value);
    if let Credential::Basic(basic) = &credential {
        assert!(!basic.user.is_empty());
        assert!(!basic.user.contains(|c: char| c.is_control() || c == ':'));
        assert!(!basic.password.iter().any(u8::is_ascii_control));
        assert_eq!(Credential::parse(&encode(basic)), credential);
        assert_eq!(format!("{basic:?}"), "Basic(..)");
    }
    assert_eq!(Credential::parse(&other_case(value)), credential);
});

fn encode(basic: &Basic) -> Vec<u8> {
    let both = [basic.user.as_bytes(), b":", &basic.password].concat();
    format!("Basic {}", STANDARD.encode(both)).into_bytes()
}

/// The value with the scheme's letters in the other case.
fn other_case(value: &[u8]) -> Vec<u8> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(value.len());
    let mut changed = value.to_vec();
    for byte in changed[start..]
        .iter_mut()
        .take_while(|byte| !is_blank(byte))
    {
        if byte.is_ascii_alphabetic() {
            *byte ^= 0x20;
        }
    }
    changed
}
