//! The form of a password hash: whatever passes here can be verified later without an error.

use base64::Engine;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD_NO_PAD};

use super::HashKind;

/// Why a hash is refused: a format that is not accepted, or an accepted one that is out of form or
/// of bounds. Never quotes the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error(
        "malformed argon2id hash: expected $argon2id$v=19$m=M,t=T,p=P$salt$hash with M from 8*P \
         to 1048576, T from 1 to 64, P from 1 to 16"
    )]
    Argon2id,
    #[error(
        "malformed bcrypt hash: expected $2b$NN$ with a cost NN from 04 to 17, then 53 characters"
    )]
    Bcrypt,
    #[error(
        "{0} is not accepted: expected bcrypt ($2b$ or $2y$), argon2id ($argon2id$) or \
         SHA-512-crypt ($6$)"
    )]
    Foreign(&'static str),
    #[error(
        "malformed SHA-512-crypt hash: expected $6$salt$hash or $6$rounds=N$salt$hash with N from \
         1000 to 5000000, a salt of 1 to 16 characters and 86 of hash"
    )]
    Sha512Crypt,
}

/// Recognises a hash and checks it whole.
pub(super) fn check(text: &str) -> Result<HashKind, Fault> {
    let kind = recognise(text)?;
    match kind {
        HashKind::Argon2id => argon2id(text).ok_or(Fault::Argon2id)?,
        HashKind::Bcrypt => bcrypt(text).ok_or(Fault::Bcrypt)?,
        HashKind::Sha512Crypt => sha512_crypt(text).ok_or(Fault::Sha512Crypt)?,
    }
    Ok(kind)
}

fn recognise(text: &str) -> Result<HashKind, Fault> {
    const KINDS: [(&str, Result<HashKind, &str>); 15] = [
        ("$2a$", Ok(HashKind::Bcrypt)),
        ("$2b$", Ok(HashKind::Bcrypt)),
        ("$2y$", Ok(HashKind::Bcrypt)),
        ("$argon2id$", Ok(HashKind::Argon2id)),
        ("$6$", Ok(HashKind::Sha512Crypt)),
        ("$1$", Err("MD5-crypt")),
        ("$2x$", Err("the broken bcrypt variant $2x$")),
        ("$5$", Err("SHA-256-crypt")),
        ("$7$", Err("scrypt")),
        ("$apr1$", Err("MD5 (apr1)")),
        ("$argon2d$", Err("argon2d")),
        ("$argon2i$", Err("argon2i")),
        ("$y$", Err("yescrypt")),
        ("{SHA}", Err("SHA-1")),
        ("{SSHA}", Err("salted SHA-1")),
    ];
    match KINDS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        Some((_, kind)) => kind.map_err(Fault::Foreign),
        None if text.len() == 13 && text.bytes().all(is_crypt64) => {
            Err(Fault::Foreign("DES crypt (or a plain password)"))
        }
        None => Err(Fault::Foreign("a plain password or an unknown format")),
    }
}

fn bcrypt(text: &str) -> Option<()> {
    let rest = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))?;
    let (cost, rest) = rest.split_once('$')?;
    let cost = (cost.len() == 2).then(|| decimal(cost.trim_start_matches('0')))??;
    // 22 characters of salt are 16 bytes, 31 of hash are 23; unused bits must be zero.
    let (salt, hash) = rest.split_at_checked(22)?;
    let salt = BCRYPT.decode(salt).ok()?;
    let hash = BCRYPT.decode(hash).ok()?;
    ((4..=17).contains(&cost) && salt.len() == 16 && hash.len() == 23).then_some(())
}

/// The PHC string format, without the optional `keyid` and `data`.
fn argon2id(text: &str) -> Option<()> {
    let mut fields = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (fields.next()?, fields.next()?, fields.next()?);
    let mut costs = costs.split(',');
    let memory = decimal(costs.next()?.strip_prefix("m=")?)?;
    let passes = decimal(costs.next()?.strip_prefix("t=")?)?;
    let lanes = decimal(costs.next()?.strip_prefix("p=")?)?;
    let salt = STANDARD_NO_PAD.decode(salt).ok()?.len();
    let hash = STANDARD_NO_PAD.decode(hash).ok()?.len();
    // Each lane needs at least eight blocks of 1 KiB (RFC 9106 §3.1); the lengths are those that
    // the PHC format has room for.
    let sound = fields.next().is_none()
        && costs.next().is_none()
        && (1..=16).contains(&lanes)
        && (lanes.saturating_mul(8)..=1 << 20).contains(&memory)
        && (1..=64).contains(&passes)
        && (8..=48).contains(&salt)
        && (10..=64).contains(&hash);
    sound.then_some(())
}

/// Drepper's "Unix crypt using SHA-256 and SHA-512".
fn sha512_crypt(text: &str) -> Option<()> {
    let rest = text.strip_prefix("$6$")?;
    let rest = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$')?;
            (1_000..=5_000_000)
                .contains(&decimal(rounds)?)
                .then_some(rest)?
        }
        None => rest,
    };
    let (salt, hash) = rest.split_once('$')?;
    // 86 characters carry 516 bits, of which the last character's upper four are unused.
    let sound = (1..=16).contains(&salt.len())
        && salt.bytes().all(is_crypt64)
        && hash.len() == 86
        && hash.bytes().all(is_crypt64)
        && hash.ends_with(['.', '/', '0', '1']);
    sound.then_some(())
}

/// A number without sign or leading zeros.
fn decimal(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok())?
}

/// The alphabet of crypt(3).
fn is_crypt64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;
    use argon2::{Argon2, PasswordVerifier};
    use proptest::prelude::*;
    use proptest::sample::select;
    use sha_crypt::ShaCrypt;

    use super::*;

    /// From the test suite of the reference implementation; the password is "password".
    const ARGON2ID: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    /// From libxcrypt; the password is "secret".
    const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
    const SHA512: &str = "$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPl\
                          AKmFFlrjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1";
    const SHA512_DEFAULT: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5\
                                  knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

    #[test]
    fn accepts_what_other_programs_made() {
        assert_eq!(check(ARGON2ID), Ok(HashKind::Argon2id));
        assert_eq!(verify(ARGON2ID, "password"), Ok(true));
        assert_eq!(verify(ARGON2ID, "wrong"), Ok(false));
        for (text, kind) in [
            (BCRYPT.to_owned(), HashKind::Bcrypt),
            (BCRYPT.replace("$2b$", "$2y$"), HashKind::Bcrypt),
            (BCRYPT.replace("$2b$", "$2a$"), HashKind::Bcrypt),
            (SHA512.to_owned(), HashKind::Sha512Crypt),
            (SHA512_DEFAULT.to_owned(), HashKind::Sha512Crypt),
        ] {
            assert_eq!(check(&text), Ok(kind), "{text}");
            assert_eq!(verify(&text, "secret"), Ok(true), "{text}");
            assert_eq!(verify(&text, "wrong"), Ok(false), "{text}");
        }
    }

    #[test]
    fn foreign_formats_are_named() {
        for (text, name) in [
            ("$apr1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx", "MD5 (apr1)"),
            ("$1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx", "MD5-crypt"),
            ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA-1"),
            ("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "salted SHA-1"),
            ("rOJ3Kb7.VxYzU", "DES crypt (or a plain password)"),
            ("$5$abcdefgh$x", "SHA-256-crypt"),
            ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$x", "argon2i"),
            ("$2x$04$x", "the broken bcrypt variant $2x$"),
            ("$y$j9T$x", "yescrypt"),
            ("secret", "a plain password or an unknown format"),
            ("", "a plain password or an unknown format"),
        ] {
            assert_eq!(check(text), Err(Fault::Foreign(name)), "{text}");
        }
    }

    #[test]
    fn hashes_out_of_form_or_bounds_are_refused() {
        let replaced = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        for (from, to) in [
            ("$04$", "$03$"),
            ("$04$", "$18$"),
            ("$04$", "$4$"),
            ("$04$", "$004$"),
            ("$04$", "$+4$"),
            ("$04$", "$00$"),
            ("IrW", "Ir"),
            ("IrW", "IrWW"),
            ("IrW", "Ir+"),
            ("IrW", "Ir/"), // unused bits
            ("uu2", "uv2"), // unused bits
            ("abc", "äbc"),
        ] {
            let text = replaced(BCRYPT, from, to);
            assert_eq!(check(&text), Err(Fault::Bcrypt), "{text}");
        }
        for (from, to) in [
            ("v=19", "v=16"),
            ("v=19$", ""),
            ("m=256", "m=7"),
            ("m=256", "m=1048577"),
            ("m=256", "m=0256"),
            ("m=256", "m=+256"),
            ("m=256,", ""),
            ("m=256,t=2", "t=2,m=256"),
            ("m=256,t=2,p=1", "m=127,t=2,p=16"),
            ("t=2", "t=0"),
            ("t=2", "t=65"),
            ("p=1", "p=0"),
            ("p=1", "p=17"),
            ("p=1", "p=1,keyid=AAAA"),
            ("c29tZXNhbHQ", "c29tZXNhbA"),
            ("c29tZXNhbHQ", "c29tZXNhbHR"), // unused bits
            ("c29tZXNhbHQ", ""),
            ("c29tZXNhbHQ", "c29tZXNhbHQ="),
            ("i/4", "i/4="),
            ("i/4", "i/5"), // unused bits
            ("i/4", "i/4$"),
            ("$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", ""),
            (
                "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                "nf65EOgLrQMR",
            ),
        ] {
            let text = replaced(ARGON2ID, from, to);
            assert_eq!(check(&text), Err(Fault::Argon2id), "{text}");
        }
        for (from, to) in [
            ("rounds=1000", "rounds=999"),
            ("rounds=1000", "rounds=5000001"),
            ("rounds=1000", "rounds=01000"),
            ("rounds=1000", "rounds="),
            ("rounds=1000", "rounds=1000$x"),
            ("abcdefgh", ""),
            ("abcdefgh", "abcdefghijklmnopq"),
            ("abcdefgh", "abc-efgh"),
            ("Ju1", "Ju"),
            ("Ju1", "Ju11"),
            ("Ju1", "Ju2"), // unused bits
            ("Ju1", "J+1"),
            ("Ju1", "Ju1$"),
        ] {
            let text = replaced(SHA512, from, to);
            assert_eq!(check(&text), Err(Fault::Sha512Crypt), "{text}");
        }
        for (from, to) in [
            ("m=256", "m=8"),
            ("t=2", "t=64"),
            ("m=256,t=2,p=1", "m=128,t=2,p=16"),
        ] {
            let text = replaced(ARGON2ID, from, to);
            assert_eq!(check(&text), Ok(HashKind::Argon2id), "{text}");
        }
    }

    #[test]
    fn faults_quote_no_hash() {
        for text in [
            "{SHA}topsecret",
            "$6$topsecret",
            "$2b$topsecret",
            "$argon2id$topsecret",
        ] {
            let fault = check(text).unwrap_err().to_string();
            assert!(!fault.contains("topsecret"), "{fault}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A hash with any one character replaced: if its form is accepted, verifying it works.
        #[test]
        fn what_is_accepted_can_be_verified(
            hash in select(vec![ARGON2ID, BCRYPT, SHA512]),
            place in 11_usize..100,
            character in "[ -~]",
        ) {
            let place = place % hash.len();
            let mut text = hash.to_owned();
            text.replace_range(place..=place, &character);
            // Costs may have become large; the form is the point here.
            prop_assume!(cheap(&text));
            if check(&text).is_ok() {
                let right = verify(&text, if hash == ARGON2ID { "password" } else { "secret" });
                prop_assert!(right.is_ok(), "{text}: {right:?}");
                prop_assert_eq!(right, Ok(text == hash), "{}", text);
            }
        }

        #[test]
        fn never_panics(text in "(\\$(6|2b|argon2id)\\$)?\\PC*") {
            let _ = check(&text).map_err(|fault| fault.to_string());
        }
    }

    fn cheap(text: &str) -> bool {
        text.starts_with("$2b$04$") || text.starts_with("$6$rounds=1000$") || {
            text.starts_with("$argon2id$v=19$m=256,t=2,p=1$")
        }
    }

    /// As the process verifies it.
    fn verify(hash: &str, password: &str) -> Result<bool, String> {
        let verified = match recognise(hash).unwrap() {
            HashKind::Bcrypt => {
                return bcrypt::verify(password, hash).map_err(|error| error.to_string());
            }
            HashKind::Argon2id => PasswordHash::new(hash)
                .map_err(|error| error.to_string())
                .map(|hash| Argon2::default().verify_password(password.as_bytes(), &hash))?,
            HashKind::Sha512Crypt => ShaCrypt::SHA512.verify_password(password.as_bytes(), hash),
        };
        match verified {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}
