//! How much freed memory the C library keeps.

#![allow(unsafe_code, reason = "no crate wraps mallopt in a safe function")]

use thiserror::Error;

/// glibc refused the setting.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("setting M_MMAP_THRESHOLD (mallopt(3)) failed")]
pub(crate) struct Unset;

/// Holds the allocator's thresholds where they are at start. To be called before any thread starts.
///
/// Left alone, glibc raises them whenever a larger piece is freed than ever before, up to 32 MiB.
/// From then on such pieces come from the heaps, and every thread's heap keeps twice as much free
/// memory at its end: the text of one scrape is enough to let all heaps grow for many minutes. With
/// fixed thresholds what is larger goes back to the kernel when it is freed, and a heap keeps at most
/// 128 KiB free at its end (`M_TRIM_THRESHOLD`).
pub(crate) fn hold_thresholds() -> Result<(), Unset> {
    // SAFETY: it takes two numbers and sets numbers of the allocator's, under its own lock.
    match unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD) } {
        1 => Ok(()),
        _ => Err(Unset),
    }
}

/// Bytes; glibc's own value at start. A receive buffer (64 KiB) stays below it.
const MMAP_THRESHOLD: libc::c_int = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn what_is_large_never_comes_from_a_heap() {
        // A piece of its own mapping starts behind the two words that glibc keeps before it.
        let is_mapped = |piece: &[u8]| piece.as_ptr().addr() % 4096 == 2 * size_of::<usize>();
        hold_thresholds().unwrap();
        for _ in 0..3 {
            drop(black_box(vec![1_u8; 8 << 20]));
            assert!(is_mapped(&black_box(vec![1_u8; 1 << 20])));
        }
        assert!(!is_mapped(&black_box(vec![1_u8; 64 << 10])));
    }
}
