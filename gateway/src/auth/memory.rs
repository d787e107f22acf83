//! The most memory that logins take, in bytes.

use std::sync::Arc;

use policy::Identity;

use super::check::{MOST_LIMITED, MOST_REMEMBERED, MOST_SESSIONS};
use super::fingerprint::Fingerprint;
use super::local::{RECENT_PASSWORDS, RECENT_SESSIONS, Seen};
use super::session::Session;
use super::verified::{Record, Verified};
use crate::clock::Moment;
use crate::memory::table;

/// Of each table of failures: one by address, one by account.
pub(crate) const FAILURES_MEMORY: usize = table::<(Fingerprint, Moment)>(MOST_LIMITED);

/// Of all passwords that are remembered as verified.
pub(crate) const VERIFIED_MEMORY: usize =
    table::<(Fingerprint, Record)>(MOST_REMEMBERED) + MOST_REMEMBERED * shared::<Verified>();

/// Of all sessions.
pub(crate) const SESSIONS_MEMORY: usize = table::<(Fingerprint, Arc<Session>)>(MOST_SESSIONS)
    + MOST_SESSIONS * (shared::<Session>() + IDENTITY);

/// Of one worker's own view; what it shares is not counted again. Two generations are kept.
pub(crate) const LOCAL_MEMORY: usize = 2
    * (table::<(Fingerprint, Seen<Session>)>(RECENT_SESSIONS)
        + table::<(Fingerprint, Seen<Verified>)>(RECENT_PASSWORDS)
        + (RECENT_SESSIONS + RECENT_PASSWORDS) * IDENTITY);

/// An allocation with its two counts, and what the allocator adds.
const fn shared<T>() -> usize {
    size_of::<Arc<T>>() * 2 + size_of::<T>() + ALLOCATION
}

/// A visitor's name, of the longest that there are.
const IDENTITY: usize = shared::<Identity>() + ALLOCATION + LONGEST_NAME;

/// A header, and rounding up.
const ALLOCATION: usize = 24;

/// As [`policy::Username`] has it.
const LONGEST_NAME: usize = 255;
