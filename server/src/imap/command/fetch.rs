//! FETCH and UID FETCH (RFC 3501, 6.4.5; CHANGEDSINCE and VANISHED of RFC 7162, 3.1.4 and 3.2.6).
//!
//! Promises: memory is bounded by a batch of rows and a few pieces of bodies, whatever the set. \Seen is set, durably,
//! before the bodies that set it are sent, and only for messages all of whose bodies could be read.

use coldpost_engine::Engine;
use coldpost_engine::flags::{FlagAction, Flags, SystemFlags};
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::{Entry, Message, Patience};
use coldpost_engine::write;

use crate::imap::ast::{Fetch, FetchItem, Numbers, Page};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::fetch_batch::{Batch, Batches};
use crate::imap::fetch_octets::Octets;
use crate::imap::fetch_plan::{FetchPlan, Item};
use crate::imap::out::Out;
use crate::imap::reply::{Code, FetchLine};
use crate::imap::results::between;
use crate::imap::resync;
use crate::imap::selected::{Expunges, Selected, Unasked, pieces};
use crate::imap::session::Session;
use crate::limits::{IMAP_BODIES_AHEAD, IMAP_ENTRIES_BATCH};

/// A message whose bodies were opened.
struct Ready {
    entry: Entry,
    message: Option<Message>,
    /// One for each item with octets, in the plan's order.
    octets: Vec<Octets>,
    /// BODY, which the row does not have as it is sent.
    body: Vec<u8>,
    /// PREVIEW; none: not now.
    preview: Option<String>,
    /// FLAGS stand in the answer though not asked for: \Seen was set.
    tells_flags: bool,
}

/// How many answers were not whole.
#[derive(Default)]
struct Missing {
    bodies: u64,
    encodings: u64,
    rows: u64,
}

pub(super) async fn run(session: &mut Session, fetch: Fetch, out: &mut Out<'_>) -> Outcome {
    if fetch.vanished && !session.qresync {
        return Ok(Completion::bad(
            "VANISHED needs QRESYNC, which is not enabled",
        ));
    }
    if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
        session.enable_condstore(out.buffer());
    }
    let selected = session.selected()?;
    let uids = selected.resolve(&fetch.set, fetch.numbers)?;
    let uids = match fetch.page {
        Some(page) => page_of(selected, &fetch, page, &uids)?,
        None => uids,
    };
    let plan = FetchPlan::new(&fetch, selected.read_only);
    if let (true, Some(since)) = (fetch.vanished, fetch.changed_since) {
        // `*` is the last UID that there ever was: the last messages may be what vanished.
        let known = fetch.set.resolve(selected.view.status().uid_next - 1);
        resync::tell_vanished(selected, &known, since, 1, out).await?;
    }
    let mut missing = Missing::default();
    let mut batches = Batches::of(&fetch, &plan, &uids);
    while let Some(batch) = batches.next(session).await? {
        fetch_batch(session, &plan, fetch.numbers, batch, &mut missing, out).await?;
    }
    Ok(match missing {
        Missing {
            bodies: 0,
            encodings: 0,
            rows: 0,
        } => Completion::ok("Fetch completed"),
        Missing {
            bodies: 0,
            encodings: 1..,
            ..
        } => Completion::no(
            Code::UnknownCte,
            "A part has a transfer encoding that is not known: fetch it with BODY",
        ),
        Missing {
            bodies: 0, rows, ..
        } => Completion::no(
            Code::Corruption,
            format!(
                "{rows} messages have no row that can be read and were left out; run coldpost verify"
            ),
        ),
        Missing { bodies, .. } => Completion::no(
            Code::Unavailable,
            format!("{bodies} bodies cannot be read now and were not sent"),
        ),
    })
}

/// Those of `uids` that a page has (RFC 9394, 3.3): of the messages that would be answered, so what has not changed is not counted.
fn page_of(selected: &Selected, fetch: &Fetch, page: Page, uids: &UidSet) -> Outcome<UidSet> {
    let changed = match fetch.changed_since {
        None => None,
        Some(since) => {
            let mut changed = UidSet::new();
            for piece in pieces(uids, IMAP_ENTRIES_BATCH) {
                let entries = selected.entries(&piece)?;
                let later = entries.iter().filter(|entry| entry.modseq > since);
                later.for_each(|entry| changed.push(entry.uid));
            }
            Some(changed)
        }
    };
    let answered = changed.as_ref().unwrap_or(uids);
    Ok(match page.places(answered.len()) {
        Some((first, last)) => between(answered, first, last),
        None => UidSet::new(),
    })
}

async fn fetch_batch(
    session: &mut Session,
    plan: &FetchPlan,
    numbers: Numbers,
    batch: Batch,
    missing: &mut Missing,
    out: &mut Out<'_>,
) -> Outcome<()> {
    let Batch { entries, rows } = batch;
    let mut rows = rows.into_iter().peekable();
    let mut group: Vec<Ready> = Vec::new();
    let mut in_hand = 0;
    for entry in entries {
        let message = rows.next_if(|row| row.id == entry.message);
        if plan.rows && message.is_none() {
            missing.rows += 1;
            continue;
        }
        let Some(ready) = open(session, plan, entry, message, missing).await else {
            continue;
        };
        in_hand += ready.octets.iter().map(Octets::in_hand).sum::<usize>();
        group.push(ready);
        // \Seen is set on as many messages together as bodies may wait for it.
        if !plan.sets_seen || in_hand >= IMAP_BODIES_AHEAD {
            let group = std::mem::take(&mut group);
            send_group(session, plan, numbers, group, missing, out).await?;
            in_hand = 0;
        }
    }
    send_group(session, plan, numbers, group, missing, out).await
}

/// Opens the bodies of one message; `None` when its row is damaged.
async fn open(
    session: &Session,
    plan: &FetchPlan,
    entry: Entry,
    message: Option<Message>,
    missing: &mut Missing,
) -> Option<Ready> {
    let body = match &message {
        Some(message) if plan.has(&FetchItem::Body) => body_of(message, missing)?,
        _ => Vec::new(),
    };
    let preview = match (&message, plan.previews) {
        (Some(message), Some(patience)) => preview_of(session, message, patience, missing).await,
        _ => None,
    };
    let mut octets = Vec::new();
    let mut in_hand = 0;
    if let Some(message) = &message {
        for item in &plan.items {
            if let Item::Octets(item, section, partial) = item {
                let engine = &session.ctx.engine;
                let opened = Octets::open(engine, message, item, section, *partial).await;
                let more = opened.in_hand();
                // A thousand sections of one message are not held together.
                if in_hand > 0 && in_hand + more > IMAP_BODIES_AHEAD {
                    octets.push(opened.put_off());
                } else {
                    in_hand += more;
                    octets.push(opened);
                }
            }
        }
    }
    let away = octets
        .iter()
        .filter(|octets| matches!(octets, Octets::Away))
        .count();
    missing.bodies += u64::try_from(away).unwrap_or(u64::MAX);
    let unknown = octets
        .iter()
        .filter(|octets| matches!(octets, Octets::Unknown));
    missing.encodings += u64::try_from(unknown.count()).unwrap_or(u64::MAX);
    Some(Ready {
        entry,
        message,
        octets,
        body,
        preview,
        tells_flags: false,
    })
}

/// A preview that cannot be made now is NIL (RFC 8970, 3), and one that was waited for is missed.
async fn preview_of(
    session: &Session,
    message: &Message,
    patience: Patience,
    missing: &mut Missing,
) -> Option<String> {
    match session.ctx.engine.preview(message, patience).await {
        Ok(preview) => preview,
        Err(error) => {
            tracing::warn!(
                message = message.email_id.text(),
                error = &error as &dyn std::error::Error,
                "a preview cannot be made now"
            );
            missing.bodies += u64::from(patience == Patience::Waits);
            None
        }
    }
}

fn body_of(message: &Message, missing: &mut Missing) -> Option<Vec<u8>> {
    match message.row.body() {
        Ok(body) => Some(body.into_owned()),
        Err(error) => {
            tracing::error!(
                message = message.email_id.text(),
                error = &error as &dyn std::error::Error,
                "a message is left out"
            );
            missing.rows += 1;
            None
        }
    }
}

async fn send_group(
    session: &mut Session,
    plan: &FetchPlan,
    numbers: Numbers,
    mut group: Vec<Ready>,
    missing: &mut Missing,
    out: &mut Out<'_>,
) -> Outcome<()> {
    if plan.sets_seen {
        let seen = set_seen(session, numbers, &group, out).await?;
        refresh(session.selected()?, &mut group, &seen)?;
    }
    let engine = session.ctx.engine.clone();
    let unasked = session.unasked(numbers);
    let selected = session.selected()?;
    for ready in group {
        missing.bodies += send_message(selected, &engine, plan, ready, unasked, out).await?;
    }
    Ok(())
}

/// Sets \Seen where it is not set yet and every body is there, and tells what others changed. Gives where it did.
async fn set_seen(
    session: &mut Session,
    numbers: Numbers,
    group: &[Ready],
    out: &mut Out<'_>,
) -> Outcome<UidSet> {
    let unseen = |ready: &Ready| {
        !ready.entry.system.contains(SystemFlags::SEEN)
            && !ready.octets.iter().any(Octets::is_unsaid)
    };
    let uids: UidSet = group
        .iter()
        .filter(|ready| unseen(ready))
        .map(|ready| ready.entry.uid)
        .collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    let account = session.account()?;
    let view = &session.selected()?.view;
    let change = write::Store {
        mailbox: view.mailbox(),
        uids: uids.clone(),
        action: FlagAction::Add,
        flags: Flags {
            system: SystemFlags::SEEN,
            ..Flags::default()
        },
        unchanged_since: None,
    };
    if let Err(error) = session.ctx.engine.store(account, change).await {
        // Mail can be read when nothing can be written.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "\\Seen is not set"
        );
        return Ok(UidSet::new());
    }
    session
        .tell_changes(Expunges::Held, numbers, &uids, out)
        .await?;
    Ok(uids)
}

/// Looks at the flags again: an answer must not have older ones than what was told of other sessions before it.
fn refresh(selected: &Selected, group: &mut [Ready], seen: &UidSet) -> Outcome<()> {
    let uids = group.iter().map(|ready| ready.entry.uid).collect();
    let entries = selected.entries(&uids)?;
    for ready in group.iter_mut() {
        if let Ok(at) = entries.binary_search_by_key(&ready.entry.uid, |entry| entry.uid) {
            // One that was expunged meanwhile keeps its flags, and nothing is told of them.
            ready.tells_flags = seen.contains(ready.entry.uid) && entries[at] != ready.entry;
            ready.entry = entries[at].clone();
        }
    }
    Ok(())
}

/// Gives the bodies that went away since they were opened.
async fn send_message(
    selected: &Selected,
    engine: &Engine,
    plan: &FetchPlan,
    ready: Ready,
    unasked: Unasked,
    out: &mut Out<'_>,
) -> Outcome<u64> {
    let mut gone = 0;
    let Some(sequence) = selected.sequence(ready.entry.uid) else {
        return Ok(gone);
    };
    let away = |octets: &Octets| matches!(octets, Octets::Away);
    let plain = plan.items.len() - ready.octets.len();
    if plain == 0 && !ready.tells_flags && ready.octets.iter().all(Octets::is_unsaid) {
        return Ok(gone);
    }
    let mut line = FetchLine::begin(out.buffer(), sequence);
    if ready.tells_flags && unasked.uid && !plan.has(&FetchItem::Uid) {
        line.uid(out.buffer(), ready.entry.uid);
    }
    if ready.tells_flags && !plan.has(&FetchItem::Flags) {
        selected.flags(&mut line, out.buffer(), &ready.entry);
    }
    if ready.tells_flags && unasked.modseq && !plan.has(&FetchItem::ModSeq) {
        line.modseq(out.buffer(), ready.entry.modseq);
    }
    let mut octets = ready.octets.into_iter();
    for item in &plan.items {
        match item {
            Item::Plain(item) => {
                let message = ready.message.as_ref();
                match item {
                    FetchItem::Body => line.body(out.buffer(), &ready.body),
                    FetchItem::Preview { .. } => {
                        line.preview(out.buffer(), ready.preview.as_deref());
                    }
                    _ => plain_item(
                        selected,
                        item,
                        &ready.entry,
                        message,
                        &mut line,
                        out.buffer(),
                    ),
                }
                out.relieve().await?;
            }
            Item::Octets(item, section, partial) => {
                let mut next = octets.next().unwrap_or(Octets::Away);
                if let (Octets::Later, Some(message)) = (&next, &ready.message) {
                    next = Octets::open(engine, message, item, section, *partial).await;
                    gone += u64::from(away(&next));
                }
                next.send(item, &mut line, out).await?;
            }
        }
    }
    line.end(out.buffer());
    out.relieve().await?;
    Ok(gone)
}

/// An item that needs no octets of the message, but for BODY and PREVIEW. Those of the row are there whenever the plan asks for them.
fn plain_item(
    selected: &Selected,
    item: &FetchItem,
    entry: &Entry,
    message: Option<&Message>,
    line: &mut FetchLine,
    buffer: &mut Vec<u8>,
) {
    match (item, message) {
        (FetchItem::Uid, _) => line.uid(buffer, entry.uid),
        (FetchItem::Flags, _) => selected.flags(line, buffer, entry),
        (FetchItem::ModSeq, _) => line.modseq(buffer, entry.modseq),
        (FetchItem::SaveDate, _) => line.save_date(buffer, entry.save_date),
        (FetchItem::InternalDate, Some(message)) => {
            line.internal_date(buffer, message.internal_date)
        }
        (FetchItem::Rfc822Size, Some(message)) => line.size(buffer, message.size),
        (FetchItem::Envelope, Some(message)) => line.envelope(buffer, message.row.envelope()),
        (FetchItem::BodyStructure, Some(message)) => {
            line.body_structure(buffer, message.row.bodystructure())
        }
        (FetchItem::EmailId, Some(message)) => line.email_id(buffer, &message.email_id.text()),
        (FetchItem::ThreadId, Some(message)) => line.thread_id(buffer, &message.thread_id.text()),
        (item, _) => unreachable!("{item:?} has octets, or its row was left out"),
    }
}
