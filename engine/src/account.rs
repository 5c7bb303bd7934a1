//! The name of an account: one normalisation for RCPT, LOGIN and the command line.

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Kind, Result};
use crate::limits::ACCOUNT_NAME_MAX;

/// Bytes of a domain in A-labels, and of one of its labels (RFC 1035, 2.3.4).
const DOMAIN_MAX: usize = 255;
const LABEL_MAX: usize = 63;

/// A normalised account name (`anna@example.org`, or `anna` without a domain): NFC, lower case, domain as A-labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(String);

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was normalised when it was kept.
    pub(crate) fn kept(name: &str) -> AccountName {
        AccountName(name.to_owned())
    }

    /// Normalises `raw` (an address or a login name, already without `+detail`).
    ///
    /// # Errors
    /// `Invalid` when it is empty, longer than [`crate::limits::ACCOUNT_NAME_MAX`] bytes, has control characters,
    /// white space, `/` or `\`, no local part, or a domain that IDNA refuses.
    pub fn normalise(raw: &str) -> Result<AccountName> {
        // Composing and folding shorten or lengthen a text by a small factor only: far longer input needs no work.
        if raw.len() > 4 * ACCOUNT_NAME_MAX {
            return Err(too_long());
        }
        let (local, domain) = match raw.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (raw, None),
        };
        let mut name = local_part(local)?;
        if let Some(domain) = domain {
            name.push('@');
            name.push_str(&normal_domain(domain)?);
        }
        if name.len() > ACCOUNT_NAME_MAX {
            return Err(too_long());
        }
        Ok(AccountName(name))
    }
}

fn invalid(what: &str) -> Error {
    Error::new(Kind::Invalid, format!("account name: {what}"))
}

fn too_long() -> Error {
    invalid(&format!(
        "longer than {ACCOUNT_NAME_MAX} bytes; use a shorter one"
    ))
}

/// The local part: NFC of the lower case, and again, as lowering may leave what composes.
fn local_part(raw: &str) -> Result<String> {
    let lower: String = raw.nfc().collect::<String>().to_lowercase().nfc().collect();
    // A quoted local part keeps its quotes and may have what is special elsewhere (RFC 5321, 4.1.2).
    let is_quoted = lower.len() > 2 && lower.starts_with('"') && lower.ends_with('"');
    let is_special = |c: char| matches!(c, '@' | '\\' | '"' | '<' | '>');
    let is_forbidden = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '/' | '\u{fffd}')
            || (!is_quoted && is_special(c))
    };
    if lower.is_empty() {
        return Err(invalid("nothing before the @; name a user"));
    }
    if let Some(bad) = lower.chars().find(|c| is_forbidden(*c)) {
        return Err(invalid(&format!(
            "the character {bad:?} is not allowed; leave it out"
        )));
    }
    if lower == "." || lower == ".." {
        return Err(invalid("a name of dots alone is not allowed"));
    }
    Ok(lower)
}

/// The domain as A-labels in lower case, or a domain literal as it is.
fn normal_domain(raw: &str) -> Result<String> {
    if let Some(literal) = raw
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let is_address = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
        if literal.is_empty() || !literal.chars().all(is_address) {
            return Err(invalid(
                "a domain in brackets must be an address, as in [192.0.2.1]",
            ));
        }
        return Ok(format!("[{}]", literal.to_ascii_lowercase()));
    }
    let ascii = idna::domain_to_ascii(raw).map_err(|e| {
        Error::with_source(
            Kind::Invalid,
            "account name: the domain is none; check its spelling",
            e,
        )
    })?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if ascii.len() > DOMAIN_MAX || !ascii.split('.').all(is_label) {
        return Err(invalid("the domain is none; check its spelling"));
    }
    Ok(ascii.to_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(names: &[&str], expected: Expect) {
        let shown: String = names
            .iter()
            .map(|raw| match AccountName::normalise(raw) {
                Ok(name) => format!("{raw:?} = {}\n", name.as_str()),
                Err(error) => format!("{raw:?}: {error}\n"),
            })
            .collect();
        expected.assert_eq(&shown);
    }

    #[test]
    fn names_that_mean_the_same_become_the_same() {
        check(
            &[
                "Anna@Example.ORG",
                "anna",
                "JU\u{308}RGEN@Bücher.example",
                "jürgen@xn--bcher-kva.example",
                "a.b+c@example.org.",
                "root@[192.0.2.1]",
                "\"A@b\"@example.org",
                "root@[IPv6:2001:DB8::1]",
                "ΟΔΟΣ@δοκιμή.example",
                "user@localhost",
                "用户@例え.テスト",
            ],
            expect![[r#"
                "Anna@Example.ORG" = anna@example.org
                "anna" = anna
                "JU\u{308}RGEN@Bücher.example" = jürgen@xn--bcher-kva.example
                "jürgen@xn--bcher-kva.example" = jürgen@xn--bcher-kva.example
                "a.b+c@example.org." = a.b+c@example.org
                "root@[192.0.2.1]" = root@[192.0.2.1]
                "\"A@b\"@example.org" = "a@b"@example.org
                "root@[IPv6:2001:DB8::1]" = root@[ipv6:2001:db8::1]
                "ΟΔΟΣ@δοκιμή.example" = οδος@xn--jxalpdlp.example
                "user@localhost" = user@localhost
                "用户@例え.テスト" = 用户@xn--r8jz45g.xn--zckzah
            "#]],
        );
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_way_out() {
        check(
            &[
                "",
                "@example.org",
                "a@b@example.org",
                "a b@example.org",
                "a\u{0}@x",
                "../../etc@x",
                "a\\b",
                "..",
                ".",
                "a@",
                "a@b..c",
                "a@-\u{ad}.",
                "a@b c",
                "a@[",
                "a@[]",
                "a@[x/y]",
                "a@exa/mple",
                "\u{feff}\n",
                "a@\u{1f600}\u{200d}.example",
                "tab\t@x",
                "a\u{2028}b",
            ],
            expect![[r#"
                "": account name: nothing before the @; name a user
                "@example.org": account name: nothing before the @; name a user
                "a@b@example.org": account name: the character '@' is not allowed; leave it out
                "a b@example.org": account name: the character ' ' is not allowed; leave it out
                "a\0@x": account name: the character '\0' is not allowed; leave it out
                "../../etc@x": account name: the character '/' is not allowed; leave it out
                "a\\b": account name: the character '\\' is not allowed; leave it out
                "..": account name: a name of dots alone is not allowed
                ".": account name: a name of dots alone is not allowed
                "a@": account name: the domain is none; check its spelling
                "a@b..c": account name: the domain is none; check its spelling
                "a@-\u{ad}.": account name: the domain is none; check its spelling
                "a@b c": account name: the domain is none; check its spelling
                "a@[": account name: the domain is none; check its spelling
                "a@[]": account name: a domain in brackets must be an address, as in [192.0.2.1]
                "a@[x/y]": account name: a domain in brackets must be an address, as in [192.0.2.1]
                "a@exa/mple": account name: the domain is none; check its spelling
                "\u{feff}\n": account name: the character '\n' is not allowed; leave it out
                "a@😀\u{200d}.example": account name: the domain is none; check its spelling
                "tab\t@x": account name: the character '\t' is not allowed; leave it out
                "a\u{2028}b": account name: the character '\u{2028}' is not allowed; leave it out
            "#]],
        );
    }

    #[test]
    fn length_is_bounded_before_any_work() {
        assert!(AccountName::normalise(&"a".repeat(ACCOUNT_NAME_MAX)).is_ok());
        assert!(AccountName::normalise(&"a".repeat(ACCOUNT_NAME_MAX + 1)).is_err());
        assert!(AccountName::normalise(&"ä".repeat(10_000_000)).is_err());
        assert!(
            AccountName::normalise(&format!("a@{}.example", "b".repeat(LABEL_MAX + 1))).is_err()
        );
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in "\\PC{0,20}(@[a-zA-Z0-9äÖéß.-]{0,20})?") {
            if let Ok(name) = AccountName::normalise(&raw) {
                prop_assert_eq!(AccountName::normalise(name.as_str()).ok(), Some(name));
            }
        }
    }
}
