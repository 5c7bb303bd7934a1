//! Accounts as HTTP and `--json` say them. What holds a password is never shown.

use std::fmt;

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
use serde::{Deserialize, Serialize};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its normalised name.
    pub name: String,
    /// Its number, 16 hexadecimal digits.
    pub number: String,
    /// Its mail shard.
    pub shard: u16,
    /// Messages in all its mailboxes.
    pub messages: u64,
    /// Their octets.
    pub bytes: u64,
}

impl Account {
    /// From the engine's types; `usage` is messages and octets.
    pub fn new(name: &AccountName, account: AccountRef, usage: (u64, u64)) -> Account {
        let (number, shard) = (format!("{:016x}", account.number.0), account.shard.0);
        Account {
            name: name.as_str().to_owned(),
            number,
            shard,
            messages: usage.0,
            bytes: usage.1,
        }
    }
}

/// `POST /admin/account`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddAccount {
    /// As typed; normalised by the server.
    pub name: String,
    /// A password of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The same, hashed already: `{SCHEME}hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl fmt::Debug for AddAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddAccount")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The answer to [`AddAccount`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The account.
    pub account: Account,
    /// False when it was there already.
    pub new: bool,
    /// Whether the password that came along is its password now: one that it has already stays.
    pub password_set: bool,
}

/// `POST /admin/account/batch`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Batch {
    /// In order.
    pub accounts: Vec<AddAccount>,
}

/// One answer to a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is there.
    Added(Added),
    /// Why it is not, and what to do.
    Error(String),
}

/// The answers to a [`Batch`], in its order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answers {
    /// One for each.
    pub answers: Vec<Answer>,
}

/// `GET /admin/account`, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// Some of them, from `after` on.
    pub accounts: Vec<Account>,
    /// Whether there are more.
    pub more: bool,
}

/// `POST /admin/account/password`.
#[derive(Clone, Serialize, Deserialize)]
pub struct SetPassword {
    /// Whose.
    pub name: String,
    /// The new one.
    pub password: String,
}

impl fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetPassword")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `POST /admin/account/rename`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rename {
    /// Its name.
    pub from: String,
    /// Its name from then on.
    pub to: String,
}

/// The answer to [`SetPassword`] and [`Rename`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The account as it is now.
    pub account: Account,
}

/// `POST /admin/account/delete`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delete {
    /// Whose mail is to go.
    pub name: String,
    /// Only with this it does.
    #[serde(default)]
    pub apply: bool,
    /// Its bytes go as soon as they can, not with the rest.
    #[serde(default)]
    pub erase: bool,
}

/// The answer to [`Delete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The account as it was.
    pub account: Account,
    /// False: it is still there, this was only a look.
    pub done: bool,
    /// When its bytes are in no object any more, at the latest (RFC 3339).
    #[serde(default)]
    pub gone_by: String,
    /// Why some of them may stay longer, and what to do; absent where there is no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}
