//! Mailboxes of an account: names, listing, CREATE, DELETE, RENAME, SUBSCRIBE.

use std::collections::BTreeMap;

use coldpost_tiers::hot::row::{MailboxRow, MailboxState, Row};
use coldpost_tiers::hot::{TableName, key};

use crate::deliver::unexpected;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, MailboxId};
use crate::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_MAX};
use crate::op::{Op, Outcome};
use crate::open::Engine;
use crate::view::mailbox::{mailbox_id, mailbox_row, status_of};
use crate::view::{MailboxInfo, MailboxStatus, SpecialUse};

/// A mailbox name as it is kept: `INBOX` in capitals, no empty level (so no `/` at its end), within the bounds.
///
/// # Errors
/// `Invalid` or `Limit`, in words.
pub fn mailbox_name(name: &str) -> Result<String> {
    let wrong = |why: &str| Err(Error::new(Kind::Invalid, format!("mailbox name: {why}")));
    if name.is_empty() || name.split('/').any(str::is_empty) {
        return wrong("a level is empty");
    }
    if name.chars().any(char::is_control) {
        return wrong("it has control characters");
    }
    if name.len() > MAILBOX_NAME_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!("a mailbox name has at most {MAILBOX_NAME_MAX} bytes"),
        ));
    }
    if name.split('/').count() > MAILBOX_LEVELS_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!("a mailbox name has at most {MAILBOX_LEVELS_MAX} levels"),
        ));
    }
    let (first, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
    Ok(if first.eq_ignore_ascii_case("INBOX") {
        format!("INBOX{rest}")
    } else {
        name.to_owned()
    })
}

fn special_use(bits: u8) -> Option<SpecialUse> {
    SpecialUse::ALL.into_iter().find(|u| bits & u.bit() != 0)
}

impl Engine {
    /// All mailboxes of an account, sorted by name, with names that are only parents or only subscribed.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn mailboxes(&self, account: AccountRef) -> Result<Vec<MailboxInfo>> {
        let state = self.shard(account.shard)?.hot.read()?;
        let of_account = key::account(account.number);
        let mut names: BTreeMap<String, MailboxInfo> = BTreeMap::new();
        let blank = |name: &str| MailboxInfo {
            name: name.to_owned(),
            id: None,
            has_children: false,
            subscribed: false,
            special_use: None,
        };
        state.walk(
            TableName::Mailboxes,
            &of_account,
            &of_account,
            |key, value| {
                let row = MailboxRow::decode("mailboxes", value)?;
                if row.state == MailboxState::Live {
                    let info = names
                        .entry(row.name.clone())
                        .or_insert_with(|| blank(&row.name));
                    info.id = Some(MailboxId(key::mailbox_of(key)));
                    info.special_use = special_use(row.special_use);
                }
                Ok(true)
            },
        )?;
        for name in names.keys().cloned().collect::<Vec<_>>() {
            for (end, _) in name.match_indices('/') {
                let parent = &name[..end];
                names
                    .entry(parent.to_owned())
                    .or_insert_with(|| blank(parent))
                    .has_children = true;
            }
        }
        state.walk(
            TableName::Subscriptions,
            &of_account,
            &of_account,
            |key, _| {
                let name = String::from_utf8_lossy(key.get(8..).unwrap_or_default()).into_owned();
                names
                    .entry(name.clone())
                    .or_insert_with(|| blank(&name))
                    .subscribed = true;
                Ok(true)
            },
        )?;
        Ok(names.into_values().collect())
    }

    /// A mailbox's counters.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` after an I/O error.
    pub fn status(&self, account: AccountRef, name: &str) -> Result<MailboxStatus> {
        let state = self.shard(account.shard)?.hot.read()?;
        let id = mailbox_id(&state, account, name)?;
        let gone = || Error::new(Kind::NotFound, format!("mailbox {name} is not there"));
        Ok(status_of(
            id,
            &mailbox_row(&state, account, id)?.ok_or_else(gone)?,
        ))
    }

    /// CREATE. Missing parents are shown as names that cannot be selected.
    ///
    /// # Errors
    /// `Conflict` when it exists; `Invalid` and `Limit` for its name; `Unavailable`.
    pub async fn create(
        &self,
        account: AccountRef,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        let name = mailbox_name(name)?;
        let special_use = special_use.map_or(0, SpecialUse::bit);
        let op = Op::Create {
            account: account.number,
            name,
            special_use,
        };
        match self.shard(account.shard)?.change(op).await? {
            Outcome::Created { mailbox, .. } => Ok(mailbox),
            other => Err(unexpected(&other)),
        }
    }

    /// DELETE.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for INBOX and for a name that is only a parent; `Unavailable`.
    pub async fn delete(&self, account: AccountRef, name: &str) -> Result<()> {
        let name = mailbox_name(name)?;
        let infos = self.mailboxes(account)?;
        let known = infos.iter().find(|info| info.name == name);
        let mailbox = match known {
            Some(MailboxInfo { id: Some(id), .. }) => *id,
            Some(info) if info.has_children => {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("{name} is only the parent of other mailboxes"),
                ));
            }
            _ => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("mailbox {name} is not there"),
                ));
            }
        };
        self.done(
            account,
            Op::Delete {
                account: account.number,
                mailbox,
            },
        )
        .await
    }

    /// RENAME with everything below it; of INBOX: its messages move to a new mailbox (RFC 3501, 6.3.5).
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`, `Limit`, `Unavailable`.
    pub async fn rename(&self, account: AccountRef, from: &str, to: &str) -> Result<()> {
        let (from, to) = (mailbox_name(from)?, mailbox_name(to)?);
        if from != "INBOX" {
            return self
                .done(
                    account,
                    Op::Rename {
                        account: account.number,
                        from,
                        to,
                    },
                )
                .await;
        }
        self.create(account, &to, None).await?;
        let state = self.shard(account.shard)?.hot.read()?;
        let inbox = mailbox_id(&state, account, "INBOX")?;
        drop(state);
        let all = crate::uidset::UidSet::from_ranges([(1, u32::MAX)]);
        self.r#move(account, inbox, &all, &to).await.map(|_| ())
    }

    /// SUBSCRIBE (`on`) and UNSUBSCRIBE: of names, whether a mailbox is there or not.
    ///
    /// # Errors
    /// `Invalid` and `Limit` for the name; `Unavailable`.
    pub async fn subscribe(&self, account: AccountRef, name: &str, on: bool) -> Result<()> {
        let name = mailbox_name(name)?;
        self.done(
            account,
            Op::Subscribe {
                account: account.number,
                name,
                on,
            },
        )
        .await
    }

    /// An op that gives nothing but that it is done.
    pub(crate) async fn done(&self, account: AccountRef, op: Op) -> Result<()> {
        match self.shard(account.shard)?.change(op).await? {
            Outcome::Done { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
