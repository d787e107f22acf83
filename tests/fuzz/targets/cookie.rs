//! No cookie of the gateway's goes on to a back-end, no other cookie is lost, and a back-end can
//! set none that a browser would send back as the gateway's.

#![no_main]

use gateway_fuzz::{is_own_cookie, trim};
use libfuzzer_sys::fuzz_target;
use wire::cookie::{pairs, set_cookie_name, write_without};

fuzz_target!(|value: &[u8]| {
    let others: Vec<_> = pairs(value)
        .filter(|(name, _)| !is_own_cookie(name))
        .collect();
    let mut out = Vec::new();
    let written = write_without(value, is_own_cookie, &mut out);
    assert_eq!(written, !out.is_empty());
    assert_eq!(pairs(&out).collect::<Vec<_>>(), others);

    // What is written is in its final form.
    let mut again = Vec::new();
    write_without(&out, is_own_cookie, &mut again);
    assert_eq!(again, out);

    if !is_own_cookie(set_cookie_name(value)) {
        let sent = sent_back(value);
        for (name, _) in pairs(&sent) {
            assert!(!is_own_cookie(name), "{}", sent.escape_ascii());
        }
    }
});

/// What a browser that was told `Set-Cookie: value` sends (RFC 6265bis §5.6, §5.8.3).
fn sent_back(value: &[u8]) -> Vec<u8> {
    let stored = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let mut parts = stored.splitn(2, |byte| *byte == b'=');
    let first = trim(parts.next().unwrap_or_default());
    match parts.next().map(trim) {
        None => first.to_vec(),
        Some(content) if first.is_empty() => content.to_vec(),
        Some(content) => [first, b"=", content].concat(),
    }
}
