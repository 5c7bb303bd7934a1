//! `coldpost account`: through the daemon or on the stopped data.

use coldpost_engine::account::AccountName;
use coldpost_engine::{Engine, Error};
use coldpost_server::http::limits::ACCOUNTS_MAX;
use coldpost_server::http::wire::{Account, Accounts, AddAccount, Added};

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::{Daemon, Reach, must_exist, with_engine};

/// Makes an account.
///
/// # Errors
/// A name that cannot be one, or that mail cannot reach; no store, or one that cannot be reached.
pub(crate) fn add(checked: &Checked, name: &str, output: Output) -> Result<(), Failure> {
    let usage = |error: Error| Failure::Usage(error.to_string());
    let name = AccountName::normalise(name).map_err(usage)?;
    name.is_reachable(&checked.lmtp.recipient_delimiter)
        .map_err(usage)?;
    let added: Added = match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.post(
            "/admin/account",
            &AddAccount {
                name: name.as_str().to_owned(),
            },
        )?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            with_engine(&checked.engine, async |engine| {
                let (account, new) = engine.make_account(&name).await?;
                let account = Account::new(&name, account);
                Ok(Added { account, new })
            })?
        }
    };
    let what = if added.new {
        "added"
    } else {
        "is there already"
    };
    output.say(&added, format_args!("{} {what}", added.account.name))
}

/// Lists all accounts, one a line.
///
/// # Errors
/// When there is no store, or it cannot be reached.
pub(crate) fn list(checked: &Checked, output: Output) -> Result<(), Failure> {
    match Reach::find(checked)? {
        Reach::Running(daemon) => list_pages(output, |after| page_of_daemon(&daemon, after)),
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            with_engine(&checked.engine, async |engine| {
                list_pages(output, |after| page_of_engine(engine, after))
            })
        }
    }
}

fn list_pages(
    output: Output,
    page: impl Fn(Option<&str>) -> Result<Accounts, Failure>,
) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let Accounts { accounts, more } = page(after.as_deref())?;
        for account in &accounts {
            output.say(account, &account.name)?;
        }
        match accounts.last() {
            Some(last) if more => after = Some(last.name.clone()),
            _ => return Ok(()),
        }
    }
}

fn page_of_daemon(daemon: &Daemon, after: Option<&str>) -> Result<Accounts, Failure> {
    let query: Vec<(&str, &str)> = after.map(|after| ("after", after)).into_iter().collect();
    daemon.get("/admin/account", &query)
}

fn page_of_engine(engine: &Engine, after: Option<&str>) -> Result<Accounts, Failure> {
    let after = after.map(AccountName::normalise).transpose()?;
    let found = engine.accounts(after.as_ref(), ACCOUNTS_MAX)?;
    let more = found.len() == ACCOUNTS_MAX;
    Ok(Accounts {
        accounts: found
            .iter()
            .map(|(name, account)| Account::new(name, *account))
            .collect(),
        more,
    })
}
