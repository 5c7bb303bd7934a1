//! `[mail] autocreate`: what a new account has beside INBOX, written as `Name` or `Name \Use`.

use std::fmt;
use std::str::FromStr;

use coldpost_engine::limits::AUTOCREATE_MAX;
use coldpost_engine::mailbox_name;
use coldpost_engine::settings::NewMailbox;
use coldpost_engine::view::SpecialUse;

use super::Config;
use super::check::wrong;
use crate::failure::Failure;

/// What a user finds where nothing else is said.
const USUAL: [(&str, SpecialUse); 4] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Junk", SpecialUse::Junk),
    ("Trash", SpecialUse::Trash),
];

/// The uses as they are written (RFC 6154, 2).
const USES: [(&str, SpecialUse); SpecialUse::ALL.len()] = [
    ("\\All", SpecialUse::All),
    ("\\Archive", SpecialUse::Archive),
    ("\\Drafts", SpecialUse::Drafts),
    ("\\Flagged", SpecialUse::Flagged),
    ("\\Junk", SpecialUse::Junk),
    ("\\Sent", SpecialUse::Sent),
    ("\\Trash", SpecialUse::Trash),
];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FirstMailbox(NewMailbox);

impl FromStr for FirstMailbox {
    type Err = String;

    fn from_str(text: &str) -> Result<FirstMailbox, String> {
        let text = text.trim();
        let (name, attribute) = match text.rsplit_once(' ') {
            Some((name, attribute)) if attribute.starts_with('\\') => (name, Some(attribute)),
            _ => (text, None),
        };
        let known = |attribute: &str| {
            let found = USES
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(attribute));
            found.map(|(_, special_use)| *special_use).ok_or_else(|| {
                let words = USES.map(|(word, _)| word).join(", ");
                format!("{attribute} is no use of a mailbox: write one of {words}, or none")
            })
        };
        let special_use = attribute.map(known).transpose()?;
        if name.split(' ').any(|word| word.starts_with('\\')) {
            return Err("write a name, and behind it one use or none".to_owned());
        }
        let name = mailbox_name(name.trim_end()).map_err(|error| error.to_string())?;
        if name == "INBOX" {
            return Err("INBOX is there anyway; leave it out".to_owned());
        }
        Ok(FirstMailbox(NewMailbox { name, special_use }))
    }
}

impl fmt::Display for FirstMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)?;
        let own = |(_, special_use): &&(&str, SpecialUse)| Some(*special_use) == self.0.special_use;
        match USES.iter().find(own) {
            Some((word, _)) => write!(f, " {word}"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// The usual ones; none behind a front end, which has its own idea of them.
    ///
    /// # Errors
    /// Too many of them; a name or a use that stands there twice.
    pub(super) fn first_mailboxes(&self) -> Result<Vec<NewMailbox>, Failure> {
        const KEY: &str = "mail.autocreate";
        let Some(given) = &self.mail.autocreate else {
            let usual = USUAL.map(|(name, special_use)| NewMailbox {
                name: name.to_owned(),
                special_use: Some(special_use),
            });
            let has_front = self.auth.backend_password.is_some();
            return Ok(usual.into_iter().filter(|_| !has_front).collect());
        };
        let given: Vec<NewMailbox> = given.0.iter().map(|first| first.0.clone()).collect();
        if given.len() > AUTOCREATE_MAX {
            let count = given.len();
            return wrong(
                KEY,
                format_args!("{count} mailboxes are too many; at most {AUTOCREATE_MAX}"),
            );
        }
        for (at, mailbox) in given.iter().enumerate() {
            let before = given.get(..at).unwrap_or_default();
            if before.iter().any(|other| other.name == mailbox.name) {
                return wrong(KEY, format_args!("{} stands there twice", mailbox.name));
            }
            let has_use = |other: &NewMailbox| {
                mailbox.special_use.is_some() && other.special_use == mailbox.special_use
            };
            if let Some(other) = before.iter().find(|other| has_use(other)) {
                return wrong(
                    KEY,
                    format_args!(
                        "{} and {} have the same use; give it to one of them",
                        other.name, mailbox.name
                    ),
                );
            }
        }
        Ok(given)
    }
}
