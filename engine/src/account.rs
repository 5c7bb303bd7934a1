//! The name of an account: one normalisation for RCPT, LOGIN and the command line.
//!
//! Promises: every name that comes out can be written as an address without quoting, and is the one its mail is delivered to.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Kind, Result};
use crate::limits::ACCOUNT_NAME_MAX;

/// Bytes of a domain in A-labels, and of one of its labels (RFC 1035, 2.3.4).
const DOMAIN_MAX: usize = 255;
const LABEL_MAX: usize = 63;
/// What a local part has in quotes only (RFC 5322, 3.2.3).
const SPECIALS: &str = "@\\\"<>(),:;[]";

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

    /// Normalises `raw`, a login name or an address without a detail. Quotes that a local part does not need are taken away.
    ///
    /// # Errors
    /// `Invalid` when it is empty, longer than [`crate::limits::ACCOUNT_NAME_MAX`] bytes, has control characters,
    /// white space, `/` or what only quotes allow (`@ \ " < > ( ) , : ; [ ]`), no local part, or a domain that IDNA refuses.
    pub fn normalise(raw: &str) -> Result<AccountName> {
        is_short(raw)?;
        let (local, domain) = split(raw);
        AccountName::of_parts(&unquoted(local)?, domain)
    }

    /// The account that takes the mail of a recipient: `local`, without quotes, up to the first of `delimiters` (which is not its
    /// first character).
    ///
    /// # Errors
    /// As [`AccountName::normalise`].
    pub fn of_recipient(
        local: &str,
        domain: Option<&str>,
        delimiters: &str,
    ) -> Result<AccountName> {
        is_short(local)?;
        is_short(domain.unwrap_or_default())?;
        let user = match detail(local, delimiters) {
            Some(at) => local.get(..at).unwrap_or(local),
            None => local,
        };
        AccountName::of_parts(user, domain)
    }

    /// Whether mail reaches an account of this name.
    ///
    /// # Errors
    /// `Invalid`: one of `delimiters` begins a detail in it, so that its mail goes to a shorter name.
    pub fn is_reachable(&self, delimiters: &str) -> Result<()> {
        let (local, domain) = split(self.as_str());
        if detail(local, delimiters).is_none() {
            return Ok(());
        }
        let other = AccountName::of_recipient(local, domain, delimiters)?;
        Err(invalid(&format!(
            "mail to {} is delivered to {}, as lmtp.recipient_delimiter is {delimiters:?}; add that one",
            self.0, other.0
        )))
    }

    fn of_parts(local: &str, domain: Option<&str>) -> Result<AccountName> {
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

/// Composing and folding shorten or lengthen a text by a small factor only: far longer input needs no work.
fn is_short(raw: &str) -> Result<()> {
    if raw.len() > 4 * ACCOUNT_NAME_MAX {
        return Err(too_long());
    }
    Ok(())
}

fn split(raw: &str) -> (&str, Option<&str>) {
    match raw.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (raw, None),
    }
}

/// Where the detail of a local part begins.
fn detail(local: &str, delimiters: &str) -> Option<usize> {
    let mut characters = local.char_indices().skip(1);
    characters.find_map(|(at, c)| delimiters.contains(c).then_some(at))
}

/// The content of a quoted local part (RFC 5321, 4.1.2); another one as it is.
fn unquoted(local: &str) -> Result<Cow<'_, str>> {
    let Some(rest) = local.strip_prefix('"') else {
        return Ok(Cow::Borrowed(local));
    };
    let open = || invalid("a quote is opened and not closed; leave quotes out");
    let mut characters = rest.strip_suffix('"').ok_or_else(open)?.chars();
    let mut content = String::new();
    while let Some(c) = characters.next() {
        content.push(match c {
            '\\' => characters.next().ok_or_else(open)?,
            c => c,
        });
    }
    Ok(Cow::Owned(content))
}

/// The local part: NFC of the lower case, and again, as lowering may leave what composes.
fn local_part(raw: &str) -> Result<String> {
    let lower: String = raw.nfc().collect::<String>().to_lowercase().nfc().collect();
    let is_forbidden = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '/' | '\u{fffd}') || SPECIALS.contains(c)
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
                "\"Anna\"@example.org",
                "\"a\\nna\"",
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
                "\"Anna\"@example.org" = anna@example.org
                "\"a\\nna\"" = anna
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
                "\"a@b\"@example.org",
                "\"an na\"@example.org",
                "\"an\\\"na\"@example.org",
                "\"anna@example.org",
                "\"anna\\\"@example.org",
                "\"\"@example.org",
                "an:na@example.org",
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
                "\"a@b\"@example.org": account name: the character '@' is not allowed; leave it out
                "\"an na\"@example.org": account name: the character ' ' is not allowed; leave it out
                "\"an\\\"na\"@example.org": account name: the character '"' is not allowed; leave it out
                "\"anna@example.org": account name: a quote is opened and not closed; leave quotes out
                "\"anna\\\"@example.org": account name: a quote is opened and not closed; leave quotes out
                "\"\"@example.org": account name: nothing before the @; name a user
                "an:na@example.org": account name: the character ':' is not allowed; leave it out
            "#]],
        );
    }

    #[test]
    fn the_detail_is_cut_from_the_first_delimiter_on() {
        let account = |local: &str, delimiters: &str| {
            let name = AccountName::of_recipient(local, Some("example.org"), delimiters);
            name.map_or_else(|error| error.to_string(), |name| name.0)
        };
        assert_eq!(account("anna+lists+rust", "+"), "anna@example.org");
        assert_eq!(account("Anna-x+y", "+-"), "anna@example.org");
        assert_eq!(account("+anna", "+"), "+anna@example.org");
        assert_eq!(account("anna+x", ""), "anna+x@example.org");
        assert_eq!(account("anna+x y", "+"), "anna@example.org");
        assert!(account("a@b", "+").contains("'@' is not allowed"));
        let alone = AccountName::of_recipient("anna+x", None, "+").expect("a name");
        assert_eq!(alone.as_str(), "anna");
    }

    #[test]
    fn a_name_whose_mail_goes_elsewhere_is_told_where() {
        let reach = |raw: &str, delimiters: &str| {
            let name = AccountName::normalise(raw).expect("a name");
            name.is_reachable(delimiters)
                .map_err(|error| error.to_string())
        };
        assert_eq!(reach("anna@ex-ample.org", "-"), Ok(()));
        assert_eq!(reach("+anna@example.org", "+"), Ok(()));
        assert_eq!(reach("anna+x@example.org", ""), Ok(()));
        expect![[
            r#"account name: mail to anna+x@example.org is delivered to anna@example.org, as lmtp.recipient_delimiter is "+"; add that one"#
        ]]
        .assert_eq(&reach("anna+x@example.org", "+").expect_err("unreachable"));
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
