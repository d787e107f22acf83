//! htpasswd files: `user:hash` lines, checked when read, so that a later check cannot fail on form.

mod form;

use std::collections::{BTreeMap, HashMap};
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
    /// names its line (from 1; 0 for the file as a whole) and what was expected, and never quotes
    /// a hash.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut users = BTreeMap::new();
        let mut lines = HashMap::new();
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index.saturating_add(1);
            match entry(line) {
                Ok((name, hash)) => {
                    let first = *lines.entry(name.clone()).or_insert(number);
                    if first == number {
                        users.insert(name.as_str().into(), (name, hash));
                    } else {
                        faults.push((number, format!("this user is on line {first} already")));
                    }
                }
                Err(message) => faults.push((number, message)),
            }
        }
        if users.is_empty() && faults.is_empty() {
            faults.push((0, format!("no user in it: {EXPECTED}")));
        }
        if faults.is_empty() {
            Ok(Self { users })
        } else {
            Err(faults)
        }
    }

    /// The most memory that a check of one of their passwords takes, in bytes.
    pub fn check_memory(&self) -> u64 {
        let hashes = self.users.values().map(|(_, hash)| hash.check_memory());
        hashes.max().unwrap_or(0)
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
    /// Checks a hash's form.
    fn new(text: &str) -> Result<Self, form::Fault> {
        let kind = form::check(text)?;
        Ok(Self {
            kind,
            text: text.into(),
        })
    }

    /// Its kind.
    pub fn kind(&self) -> HashKind {
        self.kind
    }

    /// What argon2 was told to take (RFC 9106 §3.1: blocks of 1 KiB); the others take little.
    fn check_memory(&self) -> u64 {
        let costs = self.text.strip_prefix("$argon2id$v=19$m=");
        let blocks = costs.and_then(|costs| costs.split(',').next()?.parse::<u64>().ok());
        blocks.map_or(SMALL_CHECK, |blocks| blocks.saturating_mul(1024))
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

/// One line.
fn entry(line: &str) -> Result<(Username, Hash), String> {
    let (name, hash) = line.split_once(':').ok_or(EXPECTED)?;
    let name = Username::new(name).map_err(|error| error.to_string())?;
    let hash = Hash::new(hash).map_err(|fault| fault.to_string())?;
    Ok((name, hash))
}

/// The state of bcrypt or SHA-512-crypt.
const SMALL_CHECK: u64 = 8 << 10;

const EXPECTED: &str = "expected lines of the form user:hash";

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
    const ARGON2ID: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn reads_users_past_comments_and_empty_lines() {
        let text = format!("# staff\n\nalice:{BCRYPT}\r\n \t\nDOMAIN\\bob:{ARGON2ID}\n");
        let users = Htpasswd::parse(&text).unwrap();
        assert_eq!(users.len(), 2);
        assert!(!users.is_empty());
        let (name, hash) = users.get("alice").unwrap();
        assert_eq!(name.as_str(), "alice");
        assert_eq!((hash.kind(), hash.as_str()), (HashKind::Bcrypt, BCRYPT));
        let (_, hash) = users.get("DOMAIN\\bob").unwrap();
        assert_eq!((hash.kind(), hash.as_str()), (HashKind::Argon2id, ARGON2ID));
        assert_eq!(users.get("Alice"), None);
        assert_eq!(users.get("# staff"), None);
    }

    #[test]
    fn the_largest_argon2_hash_tells_what_a_check_takes() {
        let memory = |text: &str| Htpasswd::parse(text).unwrap().check_memory();
        assert_eq!(memory(&format!("alice:{BCRYPT}")), SMALL_CHECK);
        let larger = ARGON2ID.replace("m=256", "m=65536");
        let both = format!("alice:{ARGON2ID}\nbob:{BCRYPT}\ncarol:{larger}");
        assert_eq!(memory(&format!("alice:{ARGON2ID}")), 256 << 10);
        assert_eq!(memory(&both), 64 << 20);
    }

    #[test]
    fn every_line_at_fault_is_named() {
        let text = format!(
            "alice:{BCRYPT}\nbob\ncarol:$apr1$x$y\na,b:{BCRYPT}\n:{BCRYPT}\nalice:{ARGON2ID}\n\
             dora:{BCRYPT} \neve:plain\nalice:{BCRYPT}\n frank:{BCRYPT}"
        );
        let faults = Htpasswd::parse(&text).unwrap_err();
        let expected = [
            (2, "expected lines of the form user:hash"),
            (3, "MD5 (apr1) is not accepted: expected bcrypt"),
            (4, "a username must be visible ASCII without commas"),
            (5, "a username must not be empty"),
            (6, "this user is on line 1 already"),
            (7, "malformed bcrypt hash"),
            (8, "a plain password or an unknown format is not accepted"),
            (9, "this user is on line 1 already"),
            (10, "a username must not begin or end with a blank"),
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for ((line, message), (expected_line, part)) in faults.iter().zip(expected) {
            assert_eq!(*line, expected_line, "{message}");
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn a_file_without_users_is_refused() {
        for text in ["", "\n\n", "# nobody\n"] {
            let faults = Htpasswd::parse(text).unwrap_err();
            assert_eq!(faults, [(0, format!("no user in it: {EXPECTED}"))]);
        }
    }

    #[test]
    fn decoys_are_entries() {
        let users = Htpasswd::parse(&format!("a:{BCRYPT}\nb:{ARGON2ID}")).unwrap();
        assert_eq!(users.decoy(0).map(Hash::as_str), Some(BCRYPT));
        assert_eq!(users.decoy(1).map(Hash::as_str), Some(ARGON2ID));
        assert_eq!(users.decoy(u64::MAX).map(Hash::as_str), Some(ARGON2ID));
    }

    #[test]
    fn debug_shows_no_hash() {
        let users = Htpasswd::parse(&format!("alice:{BCRYPT}")).unwrap();
        let shown = format!("{users:?}");
        assert!(
            shown.contains("alice") && shown.contains("Hash(Bcrypt)"),
            "{shown}"
        );
        assert!(!shown.contains("abcdef"), "{shown}");
    }
}
