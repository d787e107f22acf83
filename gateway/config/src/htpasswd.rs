//! htpasswd files: `user:hash` lines, checked when read, so that a later check cannot fail on form.

use std::collections::BTreeMap;
use std::fmt;

use policy::Username;

/// The users of one htpasswd file; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Htpasswd {
    users: BTreeMap<Box<str>, (Username, Hash)>,
}

/// A password hash of an accepted kind, in its textual form. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    kind: HashKind,
    text: Box<str>,
}

/// The accepted kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// `$argon2id$v=19$m=…,t=…,p=…$salt$hash` (PHC string).
    Argon2id,
    /// `$2a$`, `$2b$` or `$2y$`, cost 4–17.
    Bcrypt,
    /// `$6$[rounds=N$]salt$hash`.
    Sha512Crypt,
}

impl Htpasswd {
    /// Parses a file's text. Empty lines and lines that begin with `#` are passed over. A fault
    /// names its line and what was expected, and never quotes a hash.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let _ = text;
        todo!()
    }

    /// The user with that name (exactly).
    pub fn get(&self, user: &str) -> Option<&(Username, Hash)> {
        self.users.get(user)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Never true for a parsed file.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Any entry, chosen by `seed`: what a check of an unknown user is measured against, so that
    /// it takes as long as one of a known user.
    pub fn decoy(&self, seed: u64) -> Option<&Hash> {
        let index = usize::try_from(seed).ok()?.checked_rem(self.users.len())?;
        self.users.values().nth(index).map(|(_, hash)| hash)
    }
}

impl Hash {
    /// Its kind.
    pub fn kind(&self) -> HashKind {
        self.kind
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({:?})", self.kind)
    }
}
