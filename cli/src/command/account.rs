//! `coldpost account`: through the daemon or on the stopped data.
//!
//! Never: takes a password from the command line, where everybody who is on the machine reads it.

use std::io::{IsTerminal, Read, stdin};

use bytesize::ByteSize;
use coldpost_engine::account::AccountName;
use coldpost_server::accounts;
use coldpost_server::auth::Files;
use coldpost_server::budget::Budget;
use coldpost_server::http::limits::ACCOUNTS_MAX;
use coldpost_server::http::wire::{
    Accounts, AddAccount, Added, Delete, Deleted, Done, Rename, SetPassword,
};
use coldpost_server::limits::PASSWORD_MAX;

use super::bulk;
use crate::args;
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::{Reach, must_exist, with_engine};

/// Does what was asked of accounts.
///
/// # Errors
/// A name that cannot be one; no store, or one that cannot be reached; what was asked cannot be.
pub(crate) fn run(checked: &Checked, what: &args::Account, output: Output) -> Result<(), Failure> {
    match what {
        args::Account::Add { stdin: true, .. } => bulk::add(checked, output),
        args::Account::Add { name, password, .. } => {
            let name = name.as_deref().unwrap_or_default();
            add(checked, name, *password, output)
        }
        args::Account::List => list(checked, output),
        args::Account::Password { name } => password(checked, name, output),
        args::Account::Rename { old, new } => rename(checked, old, new, output),
        args::Account::Delete { name, apply, erase } => {
            delete(checked, name, *apply, *erase, output)
        }
    }
}

/// The accounts of stopped data, for one piece of work.
///
/// # Errors
/// No store; what the store says; those of `work`.
pub(super) fn on_stopped<T>(
    checked: &Checked,
    work: impl AsyncFnOnce(&accounts::Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    must_exist(&checked.engine.data)?;
    with_engine(&checked.engine, async |engine| {
        let delimiter = &checked.lmtp.recipient_delimiter;
        let memory = Budget::new(checked.engine.mail_memory);
        let files = Files::open(
            engine.data(),
            checked.passwd_file.as_deref(),
            delimiter,
            memory,
        );
        let files = files.map_err(|error| Failure::of("the users cannot be read", &error))?;
        let accounts = accounts::Accounts::new(engine.clone(), files, delimiter);
        accounts.settle().await?;
        work(&accounts).await
    })
}

fn add(checked: &Checked, name: &str, asks: bool, output: Output) -> Result<(), Failure> {
    let name = named(name)?;
    name.is_reachable(&checked.lmtp.recipient_delimiter)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let reach = Reach::find(checked)?;
    if let Reach::Stopped = reach {
        must_exist(&checked.engine.data)?;
    }
    let wanted = AddAccount {
        name: name.as_str().to_owned(),
        password: if asks { Some(ask(&name)?) } else { None },
        hash: None,
    };
    let added: Added = match reach {
        Reach::Running(daemon) => daemon.post("/admin/account", &wanted)?,
        Reach::Stopped => on_stopped(checked, async |accounts| {
            let added = accounts.add(vec![wanted]).await.pop();
            Ok(added.ok_or_else(|| Failure::Failed("no answer".to_owned()))??)
        })?,
    };
    output.say(&added, told(&added, asks))
}

/// What became of it, for people.
pub(super) fn told(added: &Added, with_password: bool) -> String {
    let what = match (added.new, with_password, added.password_set) {
        (true, ..) => "added",
        (false, true, true) => "is there already; it has a password now",
        (false, true, false) => {
            "is there already and keeps its password; coldpost account password changes it"
        }
        (false, false, _) => "is there already",
    };
    format!("{} {what}", added.account.name)
}

fn password(checked: &Checked, name: &str, output: Output) -> Result<(), Failure> {
    let name = named(name)?;
    let reach = Reach::find(checked)?;
    if let Reach::Stopped = reach {
        must_exist(&checked.engine.data)?;
    }
    let wanted = SetPassword {
        name: name.as_str().to_owned(),
        password: ask(&name)?,
    };
    let done: Done = match reach {
        Reach::Running(daemon) => daemon.post("/admin/account/password", &wanted)?,
        Reach::Stopped => on_stopped(checked, async |accounts| {
            Ok(accounts.set_password(&wanted.name, wanted.password).await?)
        })?,
    };
    let text = format!("{} has the new password", done.account.name);
    output.say(&done, text)
}

fn rename(checked: &Checked, from: &str, to: &str, output: Output) -> Result<(), Failure> {
    let wanted = Rename {
        from: named(from)?.as_str().to_owned(),
        to: named(to)?.as_str().to_owned(),
    };
    let done: Done = match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.post("/admin/account/rename", &wanted)?,
        Reach::Stopped => on_stopped(checked, async |accounts| {
            Ok(accounts.rename(&wanted.from, &wanted.to).await?)
        })?,
    };
    output.say(
        &done,
        format!("{} is {} now", wanted.from, done.account.name),
    )
}

fn delete(
    checked: &Checked,
    name: &str,
    apply: bool,
    erase: bool,
    output: Output,
) -> Result<(), Failure> {
    let wanted = Delete {
        name: named(name)?.as_str().to_owned(),
        apply,
        erase,
    };
    let deleted: Deleted = match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.post("/admin/account/delete", &wanted)?,
        Reach::Stopped => on_stopped(checked, async |accounts| {
            Ok(accounts
                .delete(&wanted.name, wanted.apply, wanted.erase)
                .await?)
        })?,
    };
    let account = &deleted.account;
    let what = format!(
        "{} with {} messages, {}",
        account.name,
        account.messages,
        ByteSize(account.bytes)
    );
    let exception = match &deleted.exception {
        Some(why) => format!(". There is an exception: {why}"),
        None => String::new(),
    };
    output.say(
        &deleted,
        match deleted.done {
            true => format!(
                "deleted: {what}. Its bytes are in no object any more by {}{exception}",
                deleted.gone_by
            ),
            false => format!(
                "nothing is changed; --apply deletes {what}, and its bytes are in no object any more by {}{exception}",
                deleted.gone_by
            ),
        },
    )
}

/// All accounts, one a line.
fn list(checked: &Checked, output: Output) -> Result<(), Failure> {
    match Reach::find(checked)? {
        Reach::Running(daemon) => list_pages(output, |after| {
            let query: Vec<_> = after.map(|after| ("after", after)).into_iter().collect();
            daemon.get("/admin/account", &query)
        }),
        Reach::Stopped => on_stopped(checked, async |accounts| {
            list_pages(output, |after| Ok(accounts.page(after, ACCOUNTS_MAX)?))
        }),
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
            let (messages, bytes) = (account.messages, account.bytes);
            output.say(account, format!("{}\t{messages}\t{bytes}", account.name))?;
        }
        match accounts.last() {
            Some(last) if more => after = Some(last.name.clone()),
            _ => return Ok(()),
        }
    }
}

fn named(name: &str) -> Result<AccountName, Failure> {
    AccountName::normalise(name).map_err(|error| Failure::Usage(error.to_string()))
}

/// A new password: typed twice without being shown, or a line of standard input.
fn ask(name: &AccountName) -> Result<String, Failure> {
    let password = if stdin().is_terminal() {
        let failed = |error| Failure::of("the password cannot be read", &error);
        let prompt = format!("New password for {}: ", name.as_str());
        let typed = rpassword::prompt_password(prompt).map_err(failed)?;
        if rpassword::prompt_password("Once more: ").map_err(failed)? != typed {
            return Err(Failure::Usage(
                "the two are not the same; nothing is changed".to_owned(),
            ));
        }
        typed
    } else {
        line()?
    };
    if password.is_empty() || password.len() > PASSWORD_MAX {
        return Err(Failure::Usage(format!(
            "a password has 1 to {PASSWORD_MAX} bytes; nothing is changed"
        )));
    }
    Ok(password)
}

fn line() -> Result<String, Failure> {
    let failed =
        |error: &dyn std::error::Error| Failure::of("standard input cannot be read", error);
    let most = u64::try_from(PASSWORD_MAX).unwrap_or(u64::MAX) + 2;
    let mut bytes = Vec::new();
    // A password is a line; what follows it is nobody's.
    stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    String::from_utf8(first.to_vec()).map_err(|error| failed(&error))
}
