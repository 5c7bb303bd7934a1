//! STORE and UID STORE (RFC 3501, 6.4.6; UNCHANGEDSINCE of RFC 7162, 3.1.3).

use std::collections::HashMap;

use coldpost_engine::flags::{FlagAction, SystemFlags};
use coldpost_engine::ids::{ModSeq, Uid};
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::Entry;
use coldpost_engine::write;

use crate::imap::ast::{Numbers, Store};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::reply::Code;
use crate::imap::selected::{Expunges, Selected, pieces};
use crate::imap::session::Session;
use crate::limits::IMAP_STORE_BATCH;

pub(super) async fn run(session: &mut Session, store: Store, out: &mut Out<'_>) -> Outcome {
    session.selected()?.writable()?;
    if store.unchanged_since.is_some() {
        session.enable_condstore(out.buffer());
    }
    let known = session.selected()?.view.status().highest_modseq;
    // What others changed is told before, so that it is not taken for the effect of this command.
    session
        .tell_changes(Expunges::Held, store.numbers, &UidSet::new(), out)
        .await?;
    let selected = session.selected()?;
    let uids = selected.resolve(&store.set, store.numbers)?;
    let gone = selected.gone(&uids)?;
    let mut modified = UidSet::new();
    for piece in pieces(&uids.difference(&gone), IMAP_STORE_BATCH) {
        modified = modified.union(&store_piece(session, &store, piece, known, out).await?);
    }
    completion(session, &store, &modified, &gone)
}

/// Stores on a bounded number of messages and tells their flags; gives those that failed UNCHANGEDSINCE. `known` is the modseq up
/// to which everything was told before this command.
async fn store_piece(
    session: &mut Session,
    store: &Store,
    uids: UidSet,
    known: ModSeq,
    out: &mut Out<'_>,
) -> Outcome<UidSet> {
    let account = session.account()?;
    let before = if store.silent {
        known_entries(session.selected()?, &uids, known)?
    } else {
        HashMap::new()
    };
    let change = write::Store {
        mailbox: session.selected()?.view.mailbox(),
        uids: uids.clone(),
        action: store.action,
        flags: store.flags.clone(),
        unchanged_since: store.unchanged_since,
    };
    let stored = session.ctx.engine.store(account, change).await?;
    let gone = session.selected()?.gone(&uids)?;
    let answered = uids.difference(&gone).difference(&stored.modified);
    // Keywords that are new in this mailbox are told before flags that use them.
    session
        .tell_changes(Expunges::Held, store.numbers, &answered, out)
        .await?;
    let unasked = session.unasked(store.numbers);
    let selected = session.selected()?;
    for entry in &selected.entries(&answered)? {
        match before.get(&entry.uid) {
            // The client knows all of it. Under CONDSTORE it must learn the new modseq, .SILENT or not; with UNCHANGEDSINCE also one that
            // is as it was (RFC 7162, 3.1.3).
            Some(known) if carried_out(store, selected.view.keywords(), known) == flags(entry) => {
                let conditional = store.unchanged_since.is_some();
                if session.condstore && (conditional || entry.modseq != known.modseq) {
                    selected.tell_modseq(entry, unasked, out).await?;
                }
            }
            // Another session had its hand in it: that is told, .SILENT or not (RFC 3501, 6.4.6).
            _ => selected.tell_flags(entry, unasked, out).await?,
        }
    }
    Ok(stored.modified)
}

/// The entries of `uids` that have not changed since everything up to `known` was told: their flags are what the client takes
/// them to be.
fn known_entries(
    selected: &Selected,
    uids: &UidSet,
    known: ModSeq,
) -> Outcome<HashMap<Uid, Entry>> {
    let entries = selected.entries(uids)?.into_iter();
    Ok(entries
        .filter(|entry| entry.modseq <= known)
        .map(|entry| (entry.uid, entry))
        .collect())
}

fn flags(entry: &Entry) -> (SystemFlags, u128) {
    (entry.system, entry.keywords)
}

/// What the flags of `before` are after this STORE alone; `keywords` are those of the mailbox.
fn carried_out(store: &Store, keywords: &[String], before: &Entry) -> (SystemFlags, u128) {
    let named = |keyword: &String| {
        let wanted = &store.flags.keywords;
        wanted
            .iter()
            .any(|other| other.eq_ignore_ascii_case(keyword))
    };
    let bits = keywords
        .iter()
        .enumerate()
        .filter(|(_, keyword)| named(keyword))
        .fold(0, |bits, (bit, _)| bits | (1_u128 << bit));
    let system = store.flags.system;
    match store.action {
        FlagAction::Replace => (system, bits),
        FlagAction::Add => (before.system.union(system), before.keywords | bits),
        FlagAction::Remove => (before.system.without(system), before.keywords & !bits),
    }
}

fn completion(session: &Session, store: &Store, modified: &UidSet, gone: &UidSet) -> Outcome {
    const GONE: &str = "Some of the messages were expunged meanwhile";
    let named = || {
        Outcome::Ok(Code::Modified(
            session.selected()?.numbers(modified, store.numbers),
        ))
    };
    let some_gone = store.numbers == Numbers::Sequence && !gone.is_empty();
    Ok(match (some_gone, modified.is_empty()) {
        (false, true) => Completion::ok("Store completed"),
        (false, false) => Completion::ok("Conditional store failed").with(named()?),
        (true, true) => Completion::no(Code::ExpungeIssued, GONE),
        (true, false) => Completion::no(named()?, GONE),
    })
}
