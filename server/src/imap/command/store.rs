//! STORE and UID STORE (RFC 3501, 6.4.6; UNCHANGEDSINCE of RFC 7162, 3.1.3).

use coldpost_engine::uidset::UidSet;
use coldpost_engine::write;

use crate::imap::ast::{Numbers, Store};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::reply::Code;
use crate::imap::selected::{Expunges, Told, Unasked, pieces};
use crate::imap::session::Session;
use crate::limits::IMAP_STORE_BATCH;

pub(super) async fn run(session: &mut Session, store: Store, out: &mut Out<'_>) -> Outcome {
    session.selected()?.writable()?;
    if store.unchanged_since.is_some() {
        session.enable_condstore(out.buffer());
    }
    // What others changed is told before, so that it is not taken for the effect of this command.
    session
        .tell_changes(Expunges::Held, store.numbers, &Told::new(), out)
        .await?;
    let selected = session.selected()?;
    let uids = selected.resolve(&store.set, store.numbers)?;
    let gone = selected.gone(&uids)?;
    let mut modified = UidSet::new();
    for piece in pieces(&uids.difference(&gone), IMAP_STORE_BATCH) {
        modified = modified.union(&store_piece(session, &store, piece, out).await?);
    }
    completion(session, &store, &modified, &gone)
}

/// Stores on a bounded number of messages and tells their flags; gives those that failed UNCHANGEDSINCE.
async fn store_piece(
    session: &mut Session,
    store: &Store,
    uids: UidSet,
    out: &mut Out<'_>,
) -> Outcome<UidSet> {
    let account = session.account()?;
    let change = write::Store {
        mailbox: session.selected()?.view.mailbox(),
        uids: uids.clone(),
        action: store.action,
        flags: store.flags.clone(),
        unchanged_since: store.unchanged_since,
    };
    let stored = session.ctx.engine.store(account, change).await?;
    // Keywords that are new in this mailbox are told before flags that use them.
    let unasked = Unasked {
        modseq: session.condstore,
        uid: store.numbers == Numbers::Uid,
    };
    let selected = session.selected()?;
    let gone = selected.gone(&uids)?;
    let entries = selected.entries(&uids.difference(&gone))?;
    let answered = |uid| !stored.modified.contains(uid);
    let told: Told = entries
        .iter()
        .filter(|e| answered(e.uid))
        .map(|e| (e.uid, e.modseq))
        .collect();
    session
        .tell_changes(Expunges::Held, store.numbers, &told, out)
        .await?;
    let selected = session.selected()?;
    for entry in entries.iter().filter(|entry| answered(entry.uid)) {
        if !store.silent {
            selected.tell_flags(entry, unasked, out).await?;
        } else if session.condstore && stored.changed.contains(entry.uid) {
            // The client must learn the new modseq, .SILENT or not (RFC 7162, 3.1.3).
            selected.tell_modseq(entry, unasked, out).await?;
        }
    }
    Ok(stored.modified)
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
