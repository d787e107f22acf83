//! The one fold under which header names are compared (docs/lanes.md).
//!
//! Back-ends map names in their own ways: CGI and WSGI turn `-` into `_`, some also `.`; some
//! ignore case. `X_Auth.Username`, `x-auth--username` and `X-Auth-Username` can all reach an
//! application as one variable, so they are one name here.

/// A header name, folded: lower case, every byte outside `[a-z0-9]` is `-`, runs of `-` are one,
/// and none stands at either end.
///
/// Names that fold to more than [`Folded::CAPACITY`] bytes keep their first bytes and say so:
/// such a name equals no owned name, but can still begin with an owned prefix.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    bytes: [u8; Self::CAPACITY],
    len: u8,
    cut: bool,
}

impl Folded {
    /// Folds a field name.
    pub fn of(name: &[u8]) -> Self {
        let mut folded = Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
            cut: false,
        };
        let mut gap = false;
        for byte in name {
            let byte = byte.to_ascii_lowercase();
            if !byte.is_ascii_alphanumeric() {
                gap = folded.len > 0;
                continue;
            }
            if gap && !folded.push(b'-') {
                break;
            }
            gap = false;
            if !folded.push(byte) {
                break;
            }
        }
        folded
    }

    /// The folded name, if it fits whole.
    pub fn whole(&self) -> Option<&[u8]> {
        (!self.cut).then(|| self.prefix())
    }

    /// Whether the folded name begins with these (folded) bytes.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.prefix().starts_with(prefix)
    }

    /// Whether the folded name is exactly these (folded) bytes.
    pub fn is(&self, other: &[u8]) -> bool {
        self.whole() == Some(other)
    }

    fn prefix(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
                true
            }
            None => {
                self.cut = true;
                false
            }
        }
    }

    /// The longest folded name that can be owned, in bytes.
    pub const CAPACITY: usize = 64;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one() {
        for spelling in [
            "X-Auth-Username",
            "x_auth_username",
            "X.Auth.Username",
            "x-auth--username",
            "X-_.Auth~Username!",
            "--x-auth-username--",
            "X|Auth'Username",
        ] {
            assert!(
                Folded::of(spelling.as_bytes()).is(b"x-auth-username"),
                "{spelling}"
            );
        }
    }

    #[test]
    fn other_names_stay_other() {
        for other in [
            "XAuthUsername",
            "X-Auth-User",
            "X-Auth-Usernames",
            "",
            "-",
            "X-Auth-Username2",
        ] {
            assert!(
                !Folded::of(other.as_bytes()).is(b"x-auth-username"),
                "{other}"
            );
        }
    }

    #[test]
    fn a_name_too_long_to_own_still_shows_its_prefix() {
        let long = format!("X_Forwarded__{}", "a".repeat(200));
        let folded = Folded::of(long.as_bytes());
        assert_eq!(folded.whole(), None);
        assert!(folded.starts_with(b"x-forwarded-"));
    }

    #[test]
    fn trailing_junk_does_not_count_as_length() {
        let padded = format!("{}{}", "a".repeat(64), "-".repeat(100));
        assert_eq!(
            Folded::of(padded.as_bytes()).whole().map(<[u8]>::len),
            Some(64)
        );
    }

    /// The definition, word by word.
    fn by_definition(name: &[u8]) -> Vec<u8> {
        let words = name.split(|byte| !byte.is_ascii_alphanumeric());
        let words: Vec<Vec<u8>> = words
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_ascii_lowercase)
            .collect();
        words.join(&b'-')
    }

    proptest! {
        #[test]
        fn any_name_folds_by_definition(
            name in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(b"aZ09-_".to_vec())],
                0..150,
            ),
        ) {
            let (folded, expected) = (Folded::of(&name), by_definition(&name));
            let fits = expected.len() <= Folded::CAPACITY;
            prop_assert_eq!(folded.whole(), fits.then_some(&*expected));
            prop_assert!(expected.starts_with(folded.prefix()));
            // Folding again changes nothing.
            let again = Folded::of(&expected);
            prop_assert_eq!(again.whole(), folded.whole());
        }
    }
}
