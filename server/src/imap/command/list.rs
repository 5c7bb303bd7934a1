//! LIST and LSUB (RFC 3501, 6.3.8 and 6.3.9; RFC 5258 with STATUS of RFC 5819 and SPECIAL-USE of RFC 6154).

use coldpost_engine::Kind;
use tokio::task::consume_budget;

use crate::imap::ast::{List, StatusItem};
use crate::imap::command::status;
use crate::imap::completion::{Completion, Outcome};
use crate::imap::listing::{Listed, Pace, list, lsub};
use crate::imap::out::Out;
use crate::imap::reply::{self, ListName};
use crate::imap::session::Session;
use crate::limits::IMAP_LIST_TIME;

/// The answer to a question for the separator (RFC 3501, 6.3.8): every name has the root "".
const ROOT: ListName<'static> = ListName {
    name: "",
    attributes: &["\\Noselect"],
    special_use: None,
    child_subscribed: false,
};

/// LIST.
pub(super) async fn run(session: &mut Session, asked: List, out: &mut Out<'_>) -> Outcome {
    let account = session.account()?;
    if !asked.extended && asked.patterns.iter().all(String::is_empty) {
        reply::list(out.buffer(), &ROOT);
        return Ok(Completion::ok("List completed"));
    }
    let items = asked.returns.status.as_deref();
    if items.is_some_and(|items| items.contains(&StatusItem::HighestModSeq)) {
        session.enable_condstore(out.buffer());
    }
    let mailboxes = session.ctx.engine.mailboxes(account)?;
    let mut pace = Pace::new(IMAP_LIST_TIME);
    for listed in list(&mailboxes, &asked, &mut pace).await? {
        tell(&listed, asked.extended, out.buffer());
        // What is shown for the sake of something below it has no STATUS (RFC 5819, 3).
        if let (Some(items), Some(_), true) = (items, listed.info.id, listed.is_selected) {
            match status::tell(session, account, &listed.info.name, items, out.buffer()) {
                // One that went in between is passed over (RFC 5819, 2).
                Err(error) if error.kind() == Kind::NotFound => {}
                told => told?,
            }
            consume_budget().await;
        }
        out.relieve().await?;
    }
    Ok(Completion::ok("List completed"))
}

fn tell(listed: &Listed, extended: bool, buffer: &mut Vec<u8>) {
    let info = &listed.info;
    let absent = if extended {
        "\\NonExistent"
    } else {
        "\\Noselect"
    };
    let attributes: Vec<&str> = [
        info.id.is_none().then_some(absent),
        Some(if info.has_children {
            "\\HasChildren"
        } else {
            "\\HasNoChildren"
        }),
        (listed.tells_subscribed && info.subscribed).then_some("\\Subscribed"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let name = ListName {
        name: &info.name,
        attributes: &attributes,
        special_use: info.special_use,
        child_subscribed: listed.subscribed_below,
    };
    reply::list(buffer, &name);
}

/// LSUB.
pub(super) async fn subscribed(
    session: &mut Session,
    reference: &str,
    pattern: &str,
    out: &mut Out<'_>,
) -> Outcome {
    if pattern.is_empty() {
        reply::lsub(out.buffer(), &ROOT);
        return Ok(Completion::ok("Lsub completed"));
    }
    let mailboxes = session.ctx.engine.mailboxes(session.account()?)?;
    let mut pace = Pace::new(IMAP_LIST_TIME);
    for (name, selectable) in lsub(&mailboxes, reference, pattern, &mut pace).await? {
        let attributes: &[&str] = if selectable { &[] } else { &["\\Noselect"] };
        reply::lsub(
            out.buffer(),
            &ListName {
                name: &name,
                attributes,
                special_use: None,
                child_subscribed: false,
            },
        );
        out.relieve().await?;
    }
    Ok(Completion::ok("Lsub completed"))
}
