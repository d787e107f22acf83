//! The deployment tokens that clients registered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Tokens by name.
#[derive(Default)]
pub(super) struct Tokens {
    tokens: Mutex<HashMap<String, Token>>,
}

/// One registered token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// DER, `SubjectPublicKeyInfo`.
    pub(super) public_key: Vec<u8>,
    /// The user who visited the claim page.
    pub(super) owner: Option<String>,
}

impl Tokens {
    /// Remembers a token, unclaimed. False if the name is taken or there are too many.
    pub(super) fn register(&self, name: String, public_key: Vec<u8>) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKEN_LIMIT || tokens.contains_key(&name) {
            return false;
        }
        let token = Token {
            public_key,
            owner: None,
        };
        tokens.insert(name, token);
        true
    }

    /// Gives a token to a user. False if it is unknown, or somebody else's.
    pub(super) fn claim(&self, name: &str, owner: &str) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = tokens.get_mut(name) else {
            return false;
        };
        token.owner.get_or_insert_with(|| owner.to_owned()) == owner
    }

    /// A token by its name.
    pub(super) fn get(&self, name: &str) -> Option<Token> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(name).cloned()
    }
}

const TOKEN_LIMIT: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_claimed_once() {
        let tokens = Tokens::default();
        assert!(!tokens.claim("T1", "alice"));
        assert!(tokens.register("T1".to_owned(), vec![1]));
        assert!(!tokens.register("T1".to_owned(), vec![2]));
        assert_eq!(tokens.get("T1").unwrap().owner, None);
        assert!(tokens.claim("T1", "alice"));
        assert!(tokens.claim("T1", "alice"));
        assert!(!tokens.claim("T1", "eve"));
        let token = tokens.get("T1").unwrap();
        assert_eq!(token.owner.as_deref(), Some("alice"));
        assert_eq!(token.public_key, [1]);
    }
}
