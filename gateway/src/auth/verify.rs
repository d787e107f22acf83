//! Password hashes: bcrypt, argon2id and SHA-512-crypt.

use std::cell::RefCell;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as PhcError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bcrypt::BcryptError;
use config::htpasswd::{Hash, HashKind};
use sha_crypt::ShaCrypt;

/// Makes an argon2id hash for an htpasswd file, with a fresh salt. Of the parameters that OWASP
/// holds equal, those with the least memory (7 MiB, five passes, one lane): each thread that checks
/// passwords keeps as much.
///
/// The password may have at most 1024 bytes.
pub(crate) fn hash_password(password: &[u8]) -> Result<String, HashError> {
    if password.len() > LONGEST_PASSWORD {
        return Err(HashError::TooLong);
    }
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(HashError::Random)?;
    let params = Params::new(7 * 1024, 5, 1, Some(32)).map_err(|e| HashError::Argon2(e.into()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(HashError::Argon2)
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Argon2 failed, for want of memory.
    #[error("argon2: {0}")]
    Argon2(PhcError),
    /// The system gave no random bytes.
    #[error("no random bytes for the salt: {0}")]
    Random(Unspecified),
    /// Over 1024 bytes.
    #[error("a password must have at most 1024 bytes")]
    TooLong,
}

/// Why a hash could not be checked against.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerifyError {
    /// The hash is not what its kind says, or there is no memory.
    #[error("argon2id: {0}")]
    Argon2id(PhcError),
    /// The hash is not what its kind says.
    #[error("bcrypt: {0}")]
    Bcrypt(BcryptError),
    /// The hash is not what its kind says.
    #[error("SHA-512-crypt: {0}")]
    Sha512Crypt(PhcError),
}

/// Whether a password is right. [`verify`] is the one; tests put their own in its place.
pub(super) trait Verify: Send + Sync {
    /// May take long.
    fn verify(&self, hash: &Hash, password: &[u8]) -> Result<bool, VerifyError>;
}

impl<F> Verify for F
where
    F: Fn(&Hash, &[u8]) -> Result<bool, VerifyError> + Send + Sync,
{
    fn verify(&self, hash: &Hash, password: &[u8]) -> Result<bool, VerifyError> {
        self(hash, password)
    }
}

/// Whether the password is right. Always runs the hash exactly once, also for a password that
/// cannot be right, so that the time tells nothing. Digests are compared in constant time.
pub(super) fn verify(hash: &Hash, password: &[u8]) -> Result<bool, VerifyError> {
    let possible = is_possible(hash.kind(), password);
    let candidate = if possible { password } else { b"" };
    let equal = match hash.kind() {
        HashKind::Argon2id => PasswordHash::new(hash.as_str())
            .map_err(PhcError::from)
            .and_then(|hash| verify_argon2(&hash, candidate))
            .map_err(VerifyError::Argon2id)?,
        HashKind::Bcrypt => {
            bcrypt::verify(candidate, hash.as_str()).map_err(VerifyError::Bcrypt)?
        }
        HashKind::Sha512Crypt => {
            matches(ShaCrypt::SHA512.verify_password(candidate, hash.as_str()))
                .map_err(VerifyError::Sha512Crypt)?
        }
    };
    Ok(possible && equal)
}

/// As `Argon2::verify_password`, but in memory that this thread keeps. Fresh blocks for each hash
/// are never given back whole by the allocator: 20 hashes of 19 MiB left 220 MiB resident.
fn verify_argon2(hash: &PasswordHash, password: &[u8]) -> Result<bool, PhcError> {
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(PhcError::PasswordInvalid);
    };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = match hash.version {
        Some(version) => Version::try_from(version)?,
        None => Version::default(),
    };
    let params = Params::try_from(hash)?;
    let needed = params.block_count();
    let mut actual = vec![0; expected.as_ref().len()];
    BLOCKS.with_borrow_mut(|blocks| {
        if blocks.len() < needed {
            *blocks = Vec::new();
            blocks.resize(needed, Block::new());
        }
        let blocks = blocks.get_mut(..needed).unwrap_or_default();
        Argon2::new(algorithm, version, params).hash_password_into_with_memory(
            password,
            salt.as_ref(),
            &mut actual,
            blocks,
        )
    })?;
    Ok(verify_slices_are_equal(&actual, expected.as_ref()).is_ok())
}

thread_local! {
    /// The memory of argon2 on this thread, as much as the largest hash needed.
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// bcrypt ignores what follows the 72nd byte, and repeats what ends with a NUL: different
/// passwords would be one. The tools that make bcrypt and SHA-512-crypt end at a NUL.
fn is_possible(kind: HashKind, password: &[u8]) -> bool {
    let longest = match kind {
        HashKind::Argon2id | HashKind::Sha512Crypt => LONGEST_PASSWORD,
        HashKind::Bcrypt => 72,
    };
    let text = kind == HashKind::Argon2id || !password.contains(&0);
    text && password.len() <= longest
}

fn matches(result: Result<(), PhcError>) -> Result<bool, PhcError> {
    match result {
        Ok(()) => Ok(true),
        Err(PhcError::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

const LONGEST_PASSWORD: usize = 1024;

#[cfg(test)]
mod tests {
    use config::htpasswd::Htpasswd;

    use super::*;

    #[test]
    fn hashes_made_by_other_tools_are_verified_and_refused() {
        for (made_by, password, hash) in MADE_ELSEWHERE {
            let hash = parse(hash);
            let password = password.as_bytes();
            assert!(verify(&hash, password).unwrap(), "{made_by}");
            let longer = [password, b"x"].concat();
            let shorter = &password[..password.len() - 1];
            let mut other = password.to_vec();
            other[0] ^= 1;
            for wrong in [&longer[..], shorter, &other, b""] {
                assert!(!verify(&hash, wrong).unwrap(), "{made_by}: {wrong:?}");
            }
        }
    }

    #[test]
    fn passwords_that_bcrypt_would_confuse_are_refused() {
        let of_72 = parse(HASH_OF_72_BYTES);
        assert!(verify(&of_72, &[b'a'; 72]).unwrap());
        assert!(
            bcrypt::verify([b'a'; 73], of_72.as_str()).unwrap(),
            "the 73rd is ignored"
        );
        assert!(!verify(&of_72, &[b'a'; 73]).unwrap());
        let of_a = parse(HASH_OF_A);
        assert!(verify(&of_a, b"a").unwrap());
        assert!(
            bcrypt::verify(b"a\0a", of_a.as_str()).unwrap(),
            "the key is repeated"
        );
        assert!(!verify(&of_a, b"a\0a").unwrap());
    }

    #[test]
    fn the_longest_password_has_1024_bytes() {
        let hash = |password: &[u8]| {
            let params = Params::new(64, 1, 1, None).unwrap();
            let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_with_salt(password, b"saltsaltsalt")
                .unwrap();
            parse(&hash.to_string())
        };
        assert!(verify(&hash(&[b'a'; 1024]), &[b'a'; 1024]).unwrap());
        assert!(!verify(&hash(&[b'a'; 1025]), &[b'a'; 1025]).unwrap());
        assert!(verify(&hash(b""), b"").unwrap());
        assert!(
            !verify(&hash(b""), &[b'a'; 1025]).unwrap(),
            "nor is it the empty one"
        );
        assert!(hash_password(&[b'a'; 1024]).is_ok());
        assert!(matches!(
            hash_password(&[b'a'; 1025]),
            Err(HashError::TooLong)
        ));
        assert!(
            verify(&hash(b"a\0b"), b"a\0b").unwrap(),
            "argon2 takes any bytes"
        );
    }

    #[test]
    fn a_new_hash_has_a_fresh_salt_and_serves_in_a_file() {
        let [one, other] = [(); 2].map(|()| hash_password(b"correct horse").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{one}");
        assert_ne!(one, other);
        let hash = parse(&one);
        assert_eq!(hash.kind(), HashKind::Argon2id);
        assert!(verify(&hash, b"correct horse").unwrap());
        assert!(!verify(&hash, b"battery staple").unwrap());
    }

    fn parse(hash: &str) -> Hash {
        let users = Htpasswd::parse(&format!("user:{hash}\n")).unwrap();
        users.get("user").unwrap().1.clone()
    }

    const MADE_ELSEWHERE: [(&str, &str, &str); 12] = [
        (
            "htpasswd -nbBC 4 (Apache 2.4.71)",
            "correct horse",
            "$2y$04$CId8LK1NjB3rqFFERyCzHOf2dpq4oHMBFyezV8.2i4LrFQuVrBJyu",
        ),
        (
            "htpasswd -nbBC 5 (Apache 2.4.71)",
            "pässwörd",
            "$2y$05$bcm7bymg1H.tHydWOh3xX.TVRDnbNkxhEvto5v0qdS54KqUfK3CYK",
        ),
        (
            "perl -e 'print crypt(…, \"\\$2b\\$04\\$abcdefghijklmnopqrstuu\")' (libxcrypt 4.4.33)",
            "correct horse",
            "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        ),
        (
            "the same with $2a$ and a salt of zeros",
            "correct horse",
            "$2a$04$......................IBkH8pjfkDYmjZtzsiFYGYLacsaGHyW",
        ),
        (
            "Python bcrypt 5.0.0, hashpw(…, gensalt(4))",
            "correct horse",
            "$2b$04$P9P/Ed9kOYlA4QLirCriV.M8fBg9u3PqnCY/7FqbSVRBfb66i1Kw2",
        ),
        (
            "openssl passwd -6 -salt exampleSalt (OpenSSL 3.0)",
            "correct horse",
            "$6$exampleSalt$v18SL218t.63f0pghoJBPKXMs4DXd1DcsuGKmYUPt7ovC.tqVJpYuGmZuxXpwULSHctbqHrDheFOmkcV0YjdI/",
        ),
        (
            "perl crypt with rounds",
            "correct horse",
            "$6$rounds=1000$saltstring$YiR6NSM0LQXmu7vAhkMXfkdYk7qtFouVx1Mdr3HmzXspT8kONjlpU3CsV7ezCB62uXJoAdaagsH4ck7/tB9js.",
        ),
        (
            "Python 3.11 crypt.crypt, the longest salt",
            "correct horse",
            "$6$rounds=1000$0123456789abcdef$GaScwcscdzvyk7gzZmxXAHiJAYBdSzwVcphgrsQJGOjgOegLlrTs5rVDD6z0u4r1gcbw2MjFIR1AQnAH5uLeW0",
        ),
        (
            "Python 3.11 crypt.crypt, the shortest salt",
            "correct horse",
            "$6$rounds=1000$a$7tSDkp.pIJbmlv59ppCu7eYrBwVE.L1XEH9NpkW.anQbUXuQyEIPU7NIDh45igeqYOx29zDB/xX42IWVYuyxR1",
        ),
        (
            "Python argon2-cffi 25.1.0, low_level.hash_secret(…, 1, 64, 1, 32, Type.ID)",
            "correct horse",
            "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MjZP1+1U9JUbDWvDvtLyEsZiNXOKEUxfi6O2oe46uxA",
        ),
        (
            "argon2 saltsaltsalt -id -t 2 -k 256 -p 2 -e (argon2 20171227)",
            "correct horse",
            "$argon2id$v=19$m=256,t=2,p=2$c2FsdHNhbHRzYWx0$/L1DnG+r7F7kpVt15hQPMPhz6puqsD0IXWRJ6WLqTxo",
        ),
        (
            "argon2 saltsaltsalt -id -t 1 -k 64 -p 1 -l 24 -e (argon2 20171227)",
            "correct horse",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$UVnsdTdJlF4hUvHUMPJ8szXU8YysXSmZ",
        ),
    ];

    /// `htpasswd -nbBC 4 user aaa…` (72 of them).
    const HASH_OF_72_BYTES: &str = "$2y$04$wzXQBm7MQFDLg4biEHSy6O1XGKMGLqnoIMeHSa3nNRLp.qzAl4fP6";
    /// `htpasswd -nbBC 4 user a`.
    const HASH_OF_A: &str = "$2y$04$RwK4LU7mN.BWiES9xRbmH.h4Kz.Lu9yPvOyDAm0xCPtk30fAj2c/G";
}
