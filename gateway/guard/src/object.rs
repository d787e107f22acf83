//! The embedded eBPF object.

/// Whether this build has one.
pub const fn has_object() -> bool {
    OBJECT_SHA256.is_some()
}

/// Its SHA-256 in hexadecimal digits; `None` if there is none.
pub const OBJECT_SHA256: Option<&str> = None;
