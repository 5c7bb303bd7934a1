//! Which messages are hit: by name of account and mailbox, UID and date, for people who must tell users.

use std::collections::BTreeMap;

use coldpost_tiers::hot::row::{AccountRow, MailboxRow, Place, Row, Run};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use super::Victim;
use crate::error::Result;
use crate::ids::{AccountId, MessageId};

/// Names of all mailbox entries that show one of `messages`.
pub(super) fn name(state: &Snapshot, messages: &[(AccountId, MessageId)]) -> Result<Vec<Victim>> {
    let mut by_account: BTreeMap<AccountId, Vec<MessageId>> = BTreeMap::new();
    for (account, message) in messages {
        by_account.entry(*account).or_default().push(*message);
    }
    let mut victims = Vec::new();
    for (account, mut wanted) in by_account {
        wanted.sort_unstable();
        let of_account = key::account(account);
        let name = match state.get(TableName::Accounts, &of_account)? {
            Some(value) => AccountRow::decode("accounts", &value)?.name,
            None => format!("account {:016x}", account.0),
        };
        state.walk(
            TableName::Runs,
            &of_account,
            &of_account,
            |run_key, value| {
                let hit = |e: &&coldpost_tiers::hot::row::RunEntry| {
                    wanted.binary_search(&e.message).is_ok()
                };
                for entry in Run::decode("runs", value)?.entries.iter().filter(hit) {
                    let mailbox_key = run_key.get(..12).unwrap_or_default();
                    let mailbox = match state.get(TableName::Mailboxes, mailbox_key)? {
                        Some(value) => MailboxRow::decode("mailboxes", &value)?.name,
                        None => "(a deleted mailbox)".to_owned(),
                    };
                    let place_key = key::message(account, entry.message);
                    let place = state.get(TableName::Places, &place_key)?;
                    let place = place.map(|v| Place::decode(&place_key, &v)).transpose()?;
                    let internal_date = place.map_or((0, 0), |p| (p.date, p.zone));
                    victims.push(Victim {
                        account: name.clone(),
                        mailbox,
                        uid: entry.uid,
                        internal_date,
                    });
                }
                Ok(true)
            },
        )?;
    }
    Ok(victims)
}
