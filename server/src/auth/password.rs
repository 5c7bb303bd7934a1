//! A password from the configuration: compared in constant time, never shown.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::limits::PASSWORD_MAX;

/// A password that a client must show.
#[derive(Clone)]
pub struct Password {
    padded: Box<[u8; PASSWORD_MAX]>,
    length: u64,
}

impl Password {
    /// From the configuration. `None` when it is empty or longer than [`PASSWORD_MAX`] bytes.
    pub fn new(text: &str) -> Option<Password> {
        if text.is_empty() {
            return None;
        }
        let (padded, length) = pad(text.as_bytes())?;
        Some(Password { padded, length })
    }

    /// Whether `shown` is it. The time depends neither on where they differ nor on the length of this one.
    pub fn matches(&self, shown: &[u8]) -> bool {
        match pad(shown) {
            Some((padded, length)) => {
                let same: Choice =
                    self.padded.as_slice().ct_eq(padded.as_slice()) & self.length.ct_eq(&length);
                same.into()
            }
            None => false,
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

fn pad(text: &[u8]) -> Option<(Box<[u8; PASSWORD_MAX]>, u64)> {
    let mut padded = Box::new([0; PASSWORD_MAX]);
    padded.get_mut(..text.len())?.copy_from_slice(text);
    Some((padded, u64::try_from(text.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_match() {
        let password = Password::new("sesame").expect("short and not empty");
        assert!(password.matches(b"sesame"));
        for wrong in [
            &b""[..],
            b"sesam",
            b"sesame\0",
            b"Sesame",
            b"sesame ",
            &[b's'; PASSWORD_MAX + 1],
        ] {
            assert!(!password.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_never_shown_and_never_empty() {
        assert_eq!(
            format!("{:?}", Password::new("sesame")),
            "Some(Password(hidden))"
        );
        assert!(Password::new("").is_none());
        assert!(Password::new(&"x".repeat(PASSWORD_MAX + 1)).is_none());
    }
}
