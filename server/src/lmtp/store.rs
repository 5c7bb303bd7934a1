//! The engine as LMTP sees it: a short disk is told apart from other trouble, because LMTP has a code for it.
//!
//! Promises: an account is made only when there is a message for it.

use std::sync::Arc;

use bytes::Bytes;
use coldpost_engine::account::AccountName;
use coldpost_engine::write::Delivered;
use coldpost_engine::{Engine, Error, Kind, Result};

use super::Deliver;
use crate::auth::{Purpose, Users};

/// Delivers into an engine.
pub struct Store {
    /// Where mail goes.
    pub engine: Engine,
    /// Who gets some.
    pub users: Arc<Users>,
}

impl Deliver for Store {
    async fn takes(&self, name: &AccountName) -> Result<bool> {
        self.users.takes_mail(name).await
    }

    async fn deliver(&self, message: Bytes, to: &[AccountName]) -> Result<Vec<Delivered>> {
        self.engine.room().map_err(short)?;
        let mut accounts = Vec::with_capacity(to.len());
        let mut refused = Vec::new();
        for (at, name) in to.iter().enumerate() {
            match self.users.resolve(name, Purpose::Deliver).await {
                Ok(Some(account)) => accounts.push((account, None)),
                Ok(None) => refused.push((at, Delivered::AccountGone)),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), %error, "the account of a recipient cannot be read or made");
                    let is_disk_full = error.is_disk_full();
                    refused.push((at, Delivered::NotNow { is_disk_full }));
                }
            }
        }
        let mut outcomes = match accounts.is_empty() {
            true => Vec::new(),
            false => self
                .engine
                .deliver(message, &accounts)
                .await
                .map_err(told)?,
        };
        // From the front on, so that each stands where its recipient does.
        for (at, outcome) in refused {
            outcomes.insert(at, outcome);
        }
        Ok(outcomes)
    }
}

fn told(error: Error) -> Error {
    if error.is_disk_full() {
        short(error)
    } else {
        error
    }
}

fn short(error: Error) -> Error {
    Error::with_source(
        Kind::Limit,
        "the disk of the data directory is short",
        error,
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::time::Duration;

    use coldpost_engine::settings::{ColdSettings, MinFree, Settings};

    use super::*;
    use crate::auth::AccountPolicy;

    /// An engine's settings below `directory`.
    pub(crate) fn settings(directory: &Path) -> Settings {
        Settings {
            data: directory.join("data"),
            cold: ColdSettings {
                url: format!("file://{}/cold", directory.display()),
                ..ColdSettings::default()
            },
            segment_size: 1 << 20,
            shards: 1,
            hot_cache: 1 << 22,
            frames_cache: 1 << 20,
            words: true,
            local_bodies: 1 << 30,
            min_free: MinFree::Bytes(0),
            mail_memory: 1 << 20,
            attachment_threshold: 64 << 10,
            dedup: Default::default(),
            cut_age: Duration::from_secs(3600),
            retention: Duration::from_secs(14 * 86_400),
            grace: Duration::from_secs(86_400),
            segment_age: Duration::from_secs(30 * 86_400),
            autocreate: Vec::new(),
        }
    }

    fn names(users: &[&str]) -> Vec<AccountName> {
        let name = |user: &&str| AccountName::normalise(user).expect("a name");
        users.iter().map(name).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_outcome_stands_where_its_recipient_does_and_accounts_come_with_mail() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(settings(directory.path()))
            .await
            .expect("a store");
        let store = |policy| Store {
            engine: engine.clone(),
            users: Arc::new(Users::new(engine.clone(), policy, "+")),
        };
        let to = names(&["ghost", "bob", "ghoul", "ann", "bob", "spook"]);
        let mail = Bytes::from_static(b"Subject: x\r\n\r\nx\r\n");
        for known in names(&["ann", "bob"]) {
            engine.open_account(&known).await.expect("made");
        }
        let listed = store(AccountPolicy::Listed);
        let stored = async |store: &Store, to: &[AccountName]| -> Vec<bool> {
            let outcomes = store.deliver(mail.clone(), to).await.expect("delivered");
            let is_stored = |outcome: &Delivered| matches!(outcome, Delivered::Stored { .. });
            outcomes.iter().map(is_stored).collect()
        };
        let expected = [false, true, false, true, true, false];
        assert_eq!(stored(&listed, &to).await, expected);
        assert_eq!(
            stored(&listed, &names(&["ghost", "ghoul"])).await,
            [false; 2]
        );
        assert!(!listed.takes(&to[0]).await.expect("asked"));
        let create = store(AccountPolicy::Create);
        assert!(create.takes(&to[0]).await.expect("asked"));
        assert_eq!(engine.accounts(None, 10).expect("listed").len(), 2);
        assert_eq!(stored(&create, &to).await, [true; 6]);
        assert_eq!(engine.accounts(None, 10).expect("listed").len(), 5);
        engine.close().await;
    }
}
