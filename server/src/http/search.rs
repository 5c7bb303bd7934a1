//! What `coldpost search` asks: which messages match, of one account or of all.
//!
//! Promises: told as it is found, its end last; an account that goes away meanwhile is passed over.

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
use coldpost_engine::query::Expression;
use coldpost_engine::search::{Hit, HitsWanted, InMailbox, Told};
use coldpost_engine::{Engine, Error, Kind, Result};

use super::limits::ACCOUNTS_MAX;
use super::wire::{SearchLine, SearchWanted, in_full};

/// Hands lines on, and adds them up.
struct Telling<'t> {
    account: String,
    tell: &'t mut (dyn FnMut(SearchLine) + Send),
    found: u64,
    mailboxes: u64,
    microseconds: u64,
}

impl Told for Telling<'_> {
    fn hit(&mut self, hit: Hit) {
        (self.tell)(SearchLine::hit(&self.account, hit));
    }

    fn mailbox(&mut self, mailbox: InMailbox) {
        self.found += u64::from(mailbox.found);
        self.mailboxes += 1;
        let took = u64::try_from(mailbox.took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds = self.microseconds.saturating_add(took);
        if mailbox.found > 0 {
            (self.tell)(SearchLine::mailbox(&self.account, mailbox));
        }
    }
}

/// Tells what matches; gives the line that ends it.
pub async fn search(
    engine: &Engine,
    wanted: &SearchWanted,
    tell: &mut (dyn FnMut(SearchLine) + Send),
) -> SearchLine {
    let mut telling = Telling {
        account: String::new(),
        tell,
        found: 0,
        mailboxes: 0,
        microseconds: 0,
    };
    match all(engine, wanted, &mut telling).await {
        Ok(()) => SearchLine::Summary {
            found: telling.found,
            mailboxes: telling.mailboxes,
            microseconds: telling.microseconds,
        },
        Err(e) => SearchLine::Failed { error: in_full(&e) },
    }
}

async fn all(engine: &Engine, wanted: &SearchWanted, telling: &mut Telling<'_>) -> Result<()> {
    let asked: Expression = wanted.query.parse()?;
    let hits = HitsWanted {
        hits: wanted.limit,
        excerpts: wanted.excerpts,
        ranked: wanted.ranked,
    };
    if let Some(name) = &wanted.account {
        let name = AccountName::normalise(name)?;
        let missing = || {
            let text = format!(
                "there is no account {}: coldpost account list shows them",
                name.as_str()
            );
            Error::new(Kind::NotFound, text)
        };
        let account = engine.account(&name)?.ok_or_else(missing)?;
        one(engine, (&name, account), &asked, hits, telling).await?;
        if telling.found == 0 {
            suggest(engine, account, &asked, telling).await?;
        }
        return Ok(());
    }
    let mut after: Option<AccountName> = None;
    loop {
        let some = engine.accounts(after.as_ref(), ACCOUNTS_MAX)?;
        for (name, account) in &some {
            match one(engine, (name, *account), &asked, hits, telling).await {
                Err(e) if e.kind() == Kind::NotFound => {}
                ended => ended?,
            }
        }
        after = some.last().map(|(name, _)| name.clone());
        if some.len() < ACCOUNTS_MAX {
            return Ok(());
        }
    }
}

/// What may have been meant.
async fn suggest(
    engine: &Engine,
    account: AccountRef,
    asked: &Expression,
    telling: &mut Telling<'_>,
) -> Result<()> {
    for (word, instead) in engine.suggested(account, asked).await? {
        if !instead.is_empty() {
            (telling.tell)(SearchLine::Suggestion {
                word: word.to_lowercase(),
                instead: instead.iter().map(|word| word.to_lowercase()).collect(),
            });
        }
    }
    Ok(())
}

async fn one(
    engine: &Engine,
    (name, account): (&AccountName, AccountRef),
    asked: &Expression,
    hits: HitsWanted,
    telling: &mut Telling<'_>,
) -> Result<()> {
    telling.account = name.as_str().to_owned();
    engine.tell_hits(account, asked, hits, telling).await
}
