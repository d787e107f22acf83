//! The kernel programs that the build script embedded, if it found any.

/// Whether this build has them.
pub const fn has_object() -> bool {
    OBJECT.is_some()
}

/// The SHA-256 of their ELF file in hexadecimal digits; `None` if there is none.
#[cfg(guard_object)]
pub const OBJECT_SHA256: Option<&str> = Some(env!("GUARD_OBJECT_SHA256"));
/// The SHA-256 of their ELF file in hexadecimal digits; `None` if there is none.
#[cfg(not(guard_object))]
pub const OBJECT_SHA256: Option<&str> = None;

/// The ELF file, aligned as the loader needs it.
#[cfg(guard_object)]
pub(crate) const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/guard.o"
)));
/// The ELF file, aligned as the loader needs it.
#[cfg(not(guard_object))]
pub(crate) const OBJECT: Option<&[u8]> = None;

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_digest_is_the_objects() {
        let digest = OBJECT.map(|object| {
            let bytes = Sha256::digest(object);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        });
        assert_eq!(OBJECT_SHA256.map(str::to_owned), digest);
        assert_eq!(has_object(), digest.is_some());
    }

    #[test]
    fn the_object_is_aligned_and_has_every_program() {
        let is_whole = |object: &[u8]| {
            let has = |section: &str| {
                let name = format!("\0{section}\0");
                object.windows(name.len()).any(|at| at == name.as_bytes())
            };
            object.as_ptr().addr().is_multiple_of(8) && SECTIONS.into_iter().all(has)
        };
        // The suite's builds require an object; another may go without.
        assert!(OBJECT.is_none_or(is_whole));
        assert!(!is_whole(b"\x7fELF"));
    }

    const SECTIONS: [&str; 7] = [
        "cgroup/bind4",
        "cgroup/bind6",
        "cgroup/connect4",
        "cgroup/connect6",
        "cgroup_skb/egress",
        "cgroup_skb/ingress",
        "sk_reuseport",
    ];
}
