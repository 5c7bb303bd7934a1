//! Hashed passwords as Dovecot's passwd-file has them: what each scheme means, and whether a password is the one.
//!
//! Promises: a hash that would cost too much is refused when it is read, not when it is run; digests are compared in constant time.
//! Never: shows a password or a hash.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::ShaCrypt;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::limits::{
    ARGON2_LANES_MAX, ARGON2_MADE_MEMORY_KIB, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX,
    BCRYPT_COST_MAX, PASSWORD_MAX, SHA_CRYPT_ROUNDS_MAX,
};

use super::Password;

const _: () = assert!(
    argon2::Params::DEFAULT_M_COST == ARGON2_MADE_MEMORY_KIB,
    "what a hash of ours takes is what the limits say"
);

/// Schemes of Dovecot's that are not run here.
const FOREIGN: [&str; 14] = [
    "MD5",
    "MD5-CRYPT",
    "PLAIN-MD5",
    "LDAP-MD5",
    "SMD5",
    "DIGEST-MD5",
    "CRAM-MD5",
    "SHA",
    "SHA1",
    "SSHA",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "PBKDF2",
    "DES-CRYPT",
];

/// A password as it is kept: what [`Hash::read`] took.
#[derive(Clone)]
pub(crate) struct Hash {
    kind: Kind,
    /// As it stands in the file, scheme included.
    text: Box<str>,
}

#[derive(Clone)]
enum Kind {
    Argon2 {
        text: Box<str>,
        memory_kib: u32,
    },
    Bcrypt(Box<str>),
    ShaCrypt(Box<str>),
    Sha256 {
        digest: Box<[u8]>,
        salt: Box<[u8]>,
    },
    Sha512 {
        digest: Box<[u8]>,
        salt: Box<[u8]>,
    },
    /// Short: padded for the comparison only, a file has many.
    Plain(Box<str>),
}

impl Hash {
    /// Reads a password field: `{SCHEME}...`, `{SCHEME.b64}...`, or a crypt hash without a scheme.
    ///
    /// # Errors
    /// Why nobody can log in with it, without the field itself.
    pub(crate) fn read(field: &str) -> Result<Hash, String> {
        let (scheme, value) = match field.strip_prefix('{').and_then(|f| f.split_once('}')) {
            Some((scheme, value)) => (scheme.to_ascii_uppercase(), value),
            None if field.starts_with('{') => return Err("its scheme has no }".to_owned()),
            None => ("CRYPT".to_owned(), field),
        };
        if value.is_empty() {
            return Err("it has no password".to_owned());
        }
        let (scheme, encoding) = match scheme.split_once('.') {
            Some((scheme, encoding)) => (scheme, Some(encoding)),
            None => (scheme.as_str(), None),
        };
        let kind = match scheme {
            "PLAIN" | "CLEARTEXT" | "CLEAR" => {
                let text = as_text(value, encoding)?;
                if text.len() > PASSWORD_MAX {
                    return Err(format!("its password is longer than {PASSWORD_MAX} bytes"));
                }
                Kind::Plain(text.into())
            }
            "SHA256" | "SSHA256" => {
                let (digest, salt) = digest(value, encoding, 32, scheme == "SSHA256")?;
                Kind::Sha256 { digest, salt }
            }
            "SHA512" | "SSHA512" => {
                let (digest, salt) = digest(value, encoding, 64, scheme == "SSHA512")?;
                Kind::Sha512 { digest, salt }
            }
            "CRYPT" | "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" => {
                crypt(scheme, &as_text(value, encoding)?)?
            }
            _ => return Err(unknown(scheme)),
        };
        Ok(Hash {
            kind,
            text: field.into(),
        })
    }

    /// ARGON2ID of `password` with a salt of its own, at the cost that OWASP names.
    ///
    /// # Errors
    /// Empty or longer than [`PASSWORD_MAX`] bytes; no random bytes.
    pub(crate) fn make(password: &[u8]) -> Result<Hash, String> {
        is_possible(password)?;
        let hashed = Argon2::default().hash_password(password);
        let hashed = hashed.map_err(|e| format!("the password cannot be hashed: {e}"))?;
        Hash::read(&format!("{{ARGON2ID}}{hashed}"))
    }

    /// Whether `shown` is the password. Costs what the hash costs: not for an async thread.
    pub(crate) fn matches(&self, shown: &[u8]) -> bool {
        if shown.is_empty() || shown.len() > PASSWORD_MAX {
            return false;
        }
        let same = |digest: &[u8], made: &[u8]| bool::from(digest.ct_eq(made));
        match &self.kind {
            Kind::Argon2 { text, .. } => Argon2::default().verify_password(shown, &**text).is_ok(),
            Kind::Bcrypt(text) => bcrypt::verify(shown, text).unwrap_or(false),
            Kind::ShaCrypt(text) => ShaCrypt::default().verify_password(shown, &**text).is_ok(),
            Kind::Sha256 { digest, salt } => same(
                digest,
                &Sha256::new()
                    .chain_update(shown)
                    .chain_update(salt)
                    .finalize(),
            ),
            Kind::Sha512 { digest, salt } => same(
                digest,
                &Sha512::new()
                    .chain_update(shown)
                    .chain_update(salt)
                    .finalize(),
            ),
            Kind::Plain(text) => {
                Password::new(text).is_some_and(|password| password.matches(shown))
            }
        }
    }

    /// Bytes that running it takes, as far as they count.
    pub(crate) fn memory(&self) -> usize {
        match &self.kind {
            Kind::Argon2 { memory_kib, .. } => usize::try_from(*memory_kib)
                .unwrap_or(usize::MAX)
                .saturating_mul(1024),
            _ => 0,
        }
    }

    /// The field as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(hidden)")
    }
}

/// Whether it can be somebody's password at all.
///
/// # Errors
/// Empty, too long, or with characters that no line can hold.
fn is_possible(password: &[u8]) -> Result<(), String> {
    if password.is_empty() {
        return Err("an empty password is none; give one".to_owned());
    }
    if password.len() > PASSWORD_MAX {
        return Err(format!(
            "the password is longer than {PASSWORD_MAX} bytes; use a shorter one"
        ));
    }
    if password.contains(&0) {
        return Err("the password has a NUL character; use another one".to_owned());
    }
    Ok(())
}

fn unknown(scheme: &str) -> String {
    // What stands between the braces may be a password that somebody began with one.
    match FOREIGN.contains(&scheme) {
        true => format!("the scheme {scheme} is not known here"),
        false => "its scheme is not known here".to_owned(),
    }
}

fn decoded(value: &str, encoding: &str) -> Result<Vec<u8>, String> {
    let wrong = || "its password is not encoded as its scheme says".to_owned();
    match encoding {
        "B64" | "BASE64" => STANDARD.decode(value).map_err(|_| wrong()),
        "HEX" => {
            let digit = |c: u8| char::from(c).to_digit(16);
            let byte = |pair: &[u8]| match *pair {
                [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
                _ => None,
            };
            let bytes: Option<Vec<u8>> = value.as_bytes().chunks(2).map(byte).collect();
            bytes.ok_or_else(wrong)
        }
        _ => Err("the encoding of its scheme is not known here".to_owned()),
    }
}

fn as_text(value: &str, encoding: Option<&str>) -> Result<String, String> {
    let Some(encoding) = encoding else {
        return Ok(value.to_owned());
    };
    String::from_utf8(decoded(value, encoding)?).map_err(|_| "its password is no UTF-8".to_owned())
}

type Salted = (Box<[u8]>, Box<[u8]>);

/// A digest of `length` bytes, and the salt behind it.
fn digest(
    value: &str,
    encoding: Option<&str>,
    length: usize,
    is_salted: bool,
) -> Result<Salted, String> {
    let bytes = decoded(value, encoding.unwrap_or("B64"))?;
    match bytes.split_at_checked(length) {
        Some((digest, salt)) if is_salted != salt.is_empty() => Ok((digest.into(), salt.into())),
        _ => Err("its hash has the wrong length".to_owned()),
    }
}

/// A hash that says its own kind; `scheme` is CRYPT or the one kind that is meant.
fn crypt(scheme: &str, text: &str) -> Result<Kind, String> {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    let means = |name: &str| scheme == name || scheme == "CRYPT";
    if means("ARGON2ID") && is(&["$argon2id$"]) || means("ARGON2I") && is(&["$argon2i$"]) {
        return argon2(text);
    }
    if means("BLF-CRYPT") && is(&["$2a$", "$2b$", "$2y$"]) {
        return blowfish(text);
    }
    if means("SHA512-CRYPT") && is(&["$6$"]) || means("SHA256-CRYPT") && is(&["$5$"]) {
        return sha_crypt(text);
    }
    Err(match scheme {
        "CRYPT" => "its kind of crypt is not known here".to_owned(),
        scheme => format!("its hash is none of {scheme}"),
    })
}

fn argon2(text: &str) -> Result<Kind, String> {
    let broken = || "its argon2 hash is broken".to_owned();
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    let params = argon2::Params::try_from(&hash).map_err(|_| broken())?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(broken());
    }
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > ARGON2_MEMORY_KIB_MAX || passes > ARGON2_PASSES_MAX || lanes > ARGON2_LANES_MAX {
        return Err(format!(
            "its argon2 hash costs m={memory},t={passes},p={lanes}, at most m={ARGON2_MEMORY_KIB_MAX},t={ARGON2_PASSES_MAX},p={ARGON2_LANES_MAX} is run"
        ));
    }
    Ok(Kind::Argon2 {
        text: text.into(),
        memory_kib: memory,
    })
}

fn blowfish(text: &str) -> Result<Kind, String> {
    let parts: bcrypt::HashParts = text
        .parse()
        .map_err(|_| "its bcrypt hash is broken".to_owned())?;
    let cost = parts.get_cost();
    if !(4..=BCRYPT_COST_MAX).contains(&cost) {
        return Err(format!(
            "its bcrypt hash costs {cost}, 4 to {BCRYPT_COST_MAX} is run"
        ));
    }
    Ok(Kind::Bcrypt(text.into()))
}

fn sha_crypt(text: &str) -> Result<Kind, String> {
    let broken = || "its crypt hash is broken".to_owned();
    let mut fields = text.split('$').skip(2);
    let mut next = fields.next().ok_or_else(broken)?;
    if let Some(rounds) = next.strip_prefix("rounds=") {
        let rounds: u32 = rounds.parse().map_err(|_| broken())?;
        if !(sha_crypt::Params::ROUNDS_MIN..=SHA_CRYPT_ROUNDS_MAX).contains(&rounds) {
            return Err(format!(
                "its crypt hash has {rounds} rounds, {} to {SHA_CRYPT_ROUNDS_MAX} are run",
                sha_crypt::Params::ROUNDS_MIN
            ));
        }
        next = fields.next().ok_or_else(broken)?;
    }
    let length = if text.starts_with("$6$") { 86 } else { 43 };
    let is_whole = fields.next().is_some_and(|hash| hash.len() == length);
    if next.len() > 16 || !is_whole || fields.next().is_some() {
        return Err(broken());
    }
    Ok(Kind::ShaCrypt(text.into()))
}

#[cfg(test)]
#[path = "scheme/tests.rs"]
mod tests;
