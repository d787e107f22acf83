//! `Cookie` and `Set-Cookie`, as far as the gateway must find, remove and refuse its own.
//!
//! Reading is tolerant: Publisher echoes whole `Set-Cookie` strings (`lb=1; Path=/; HttpOnly`) as
//! its `Cookie` (domain §1.12), and what is not ours passes unchanged.

/// The `name=value` pairs of one `Cookie` value, blanks around each trimmed; a pair without `=`
/// has the whole as its value and an empty name (RFC 6265bis §5.6: nameless cookie).
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let _ = value;
    std::iter::empty()
}

/// Appends `value` to `out` without the pairs for which `ours` says yes; the other pairs keep
/// their bytes and are joined by `"; "`. Returns whether anything was appended.
pub fn write_without(value: &[u8], ours: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) -> bool {
    let _ = (value, ours, out);
    todo!()
}

/// The name under which a browser would store this `Set-Cookie` value: blanks and control
/// characters trimmed. A nameless cookie (`=__Host-x=1`, or no `=` at all) yields the name that it
/// would be *sent back* as, because that is what the gateway would read (CVE-2022-2860 class).
pub fn set_cookie_name(value: &[u8]) -> &[u8] {
    let _ = value;
    todo!()
}
