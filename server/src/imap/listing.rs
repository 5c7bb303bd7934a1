//! Which names LIST and LSUB show: decided on the list of mailboxes alone.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_engine::view::MailboxInfo;

use crate::imap::ast::List;
use crate::imap::pattern::{Pattern, SEPARATOR};

/// A name that LIST shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) info: MailboxInfo,
    /// \Subscribed is told of it.
    pub(crate) tells_subscribed: bool,
    /// CHILDINFO: something below it matches the selection (RFC 5258, 3.5).
    pub(crate) subscribed_below: bool,
}

/// The names that `asked` selects, in the order of their names.
pub(crate) fn list(mailboxes: &[MailboxInfo], asked: &List) -> Vec<Listed> {
    let patterns: Vec<Pattern> = asked
        .patterns
        .iter()
        .map(|pattern| Pattern::new(&asked.reference, pattern))
        .collect();
    let select = asked.select;
    let selected = |info: &MailboxInfo| {
        (!select.subscribed || info.subscribed)
            && (!select.special_use || info.special_use.is_some())
            // What is only subscribed is no mailbox: shown where subscriptions are asked for.
            && (select.subscribed || info.id.is_some() || info.has_children)
    };
    let mut names: BTreeMap<&str, MailboxInfo> = mailboxes
        .iter()
        .map(|info| (info.name.as_str(), info.clone()))
        .collect();
    let mut above: BTreeSet<&str> = BTreeSet::new();
    if select.recursive_match {
        for info in mailboxes.iter().filter(|info| selected(info)) {
            above.extend(parents(&info.name));
        }
        for parent in &above {
            names.entry(parent).or_insert_with(|| nonexistent(parent));
        }
    }
    names
        .into_values()
        .filter(|info| patterns.iter().any(|pattern| pattern.matches(&info.name)))
        .filter_map(|info| {
            let subscribed_below = above.contains(info.name.as_str());
            (selected(&info) || subscribed_below).then_some(Listed {
                info,
                tells_subscribed: select.subscribed || asked.returns.subscribed,
                subscribed_below: subscribed_below && select.subscribed,
            })
        })
        .collect()
}

/// The names that LSUB shows, and whether they are mailboxes that can be selected.
pub(crate) fn lsub(
    mailboxes: &[MailboxInfo],
    reference: &str,
    pattern: &str,
) -> BTreeMap<String, bool> {
    let pattern = Pattern::new(reference, pattern);
    let mut names = BTreeMap::new();
    for info in mailboxes.iter().filter(|info| info.subscribed) {
        if pattern.matches(&info.name) {
            names.insert(info.name.clone(), info.id.is_some());
        } else if pattern.has_percent() {
            // With `%` a subscribed name deeper down shows its parent, \Noselect (RFC 3501, 6.3.9).
            for parent in parents(&info.name).filter(|parent| pattern.matches(parent)) {
                names.entry(parent.to_owned()).or_insert(false);
            }
        }
    }
    names
}

/// The parents of a name, from the root down.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

fn nonexistent(name: &str) -> MailboxInfo {
    MailboxInfo {
        name: name.to_owned(),
        id: None,
        has_children: false,
        subscribed: false,
        special_use: None,
    }
}

#[cfg(test)]
mod tests {
    use coldpost_engine::ids::MailboxId;
    use coldpost_engine::view::SpecialUse;

    use super::*;
    use crate::imap::ast::{ListReturn, ListSelect};

    /// INBOX, a parent that is no mailbox, one that is only subscribed.
    fn mailboxes() -> Vec<MailboxInfo> {
        let info = |name: &str, id: u32, has_children, subscribed| MailboxInfo {
            name: name.to_owned(),
            id: (id > 0).then_some(MailboxId(id)),
            has_children,
            subscribed,
            special_use: (name == "Sent").then_some(SpecialUse::Sent),
        };
        vec![
            info("Gone/Deep", 0, false, true),
            info("INBOX", 1, false, true),
            info("Lists", 0, true, false),
            info("Lists/rust", 2, false, true),
            info("Sent", 3, false, false),
        ]
    }

    fn listed(pattern: &str, select: ListSelect) -> Vec<String> {
        let asked = List {
            reference: String::new(),
            patterns: vec![pattern.to_owned()],
            select,
            returns: ListReturn::default(),
            extended: true,
        };
        list(&mailboxes(), &asked)
            .into_iter()
            .map(|l| {
                format!(
                    "{}{}",
                    l.info.name,
                    if l.subscribed_below { " below" } else { "" }
                )
            })
            .collect()
    }

    fn subscribed(pattern: &str) -> Vec<String> {
        let names = lsub(&mailboxes(), "", pattern).into_iter();
        names
            .map(|(name, selectable)| {
                if selectable {
                    name
                } else {
                    format!("{name} -")
                }
            })
            .collect()
    }

    #[test]
    fn list_shows_mailboxes_and_their_parents_and_no_mere_subscriptions() {
        assert_eq!(
            listed("*", ListSelect::default()),
            ["INBOX", "Lists", "Lists/rust", "Sent"]
        );
        assert_eq!(
            listed("%", ListSelect::default()),
            ["INBOX", "Lists", "Sent"]
        );
    }

    #[test]
    fn list_can_select_by_subscription_and_special_use() {
        let subscribed = ListSelect {
            subscribed: true,
            ..ListSelect::default()
        };
        assert_eq!(
            listed("*", subscribed),
            ["Gone/Deep", "INBOX", "Lists/rust"]
        );
        assert_eq!(listed("%", subscribed), ["INBOX"]);
        let recursive = ListSelect {
            recursive_match: true,
            ..subscribed
        };
        assert_eq!(
            listed("%", recursive),
            ["Gone below", "INBOX", "Lists below"]
        );
        assert_eq!(
            listed(
                "*",
                ListSelect {
                    special_use: true,
                    ..ListSelect::default()
                }
            ),
            ["Sent"]
        );
    }

    #[test]
    fn lsub_shows_the_parent_of_a_deeper_subscription_as_noselect_for_a_percent_only() {
        assert_eq!(subscribed("*"), ["Gone/Deep -", "INBOX", "Lists/rust"]);
        assert_eq!(subscribed("%"), ["Gone -", "INBOX", "Lists -"]);
        assert_eq!(subscribed("Lists"), Vec::<String>::new());
        assert_eq!(subscribed("Lists/%"), ["Lists/rust"]);
    }
}
